//! The resources' parameters: a table for each agent, from which meta-data is printed, the
//! manual page is made and the configuration is read.

/// A parameter of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// The parameter's name in the CIB.
    pub name: &'static str,
    /// OCF content type: `string`, or `select` with `choices`.
    pub choices: &'static [&'static str],
    /// What holds when it is not set; `None` where it must be set.
    pub default: Option<&'static str>,
    /// Whether two resources may not share a value.
    pub unique: bool,
    /// Whether it changes under a live port.
    pub reloadable: bool,
    /// A few words.
    pub short: &'static str,
    /// The whole story.
    pub long: &'static str,
}

impl Param {
    /// Whether the resource cannot do without it.
    pub fn required(&self) -> bool {
        self.default.is_none()
    }
}

/// The parameters of `ocf:understudy:vport`, in the order in which people should meet them.
pub const VPORT: &[Param] = &[
    Param {
        name: "wwnn",
        choices: &[],
        default: None,
        unique: true,
        reloadable: false,
        short: "node name (WWNN) of the virtual ports",
        long: "The World Wide Node Name that the takeover group's virtual ports carry, \
               wherever they run. Any common spelling: 20:00:00:25:b5:00:00:0a, \
               0x20000025b500000a, naa.20000025b500000a.",
    },
    Param {
        name: "ports",
        choices: &[],
        default: None,
        unique: true,
        reloadable: false,
        short: "port names (WWPN) of the group",
        long: "The World Wide Port Names of the group's virtual ports, separated by \
               spaces. WWPN@FABRIC-WWN names the fabric too: then only a physical port \
               that is logged in to that fabric will do. Nodes behind different edge \
               switches know one fabric by different names: WWPN@NAME|NAME is either. Give \
               one port for each fabric.",
    },
    Param {
        name: "disks",
        choices: &[],
        default: None,
        unique: true,
        reloadable: true,
        short: "LUN=DEVICE, separated by spaces",
        long: "The disks of the group and their LUN numbers, as LUN=DEVICE separated by \
               spaces. DEVICE is a WWID (naa.6001405...) or a persistent path under /dev \
               (/dev/disk/by-id/..., /dev/mapper/..., /dev/drbd/by-res/...). The LUN \
               number is part of what an initiator remembers: it never changes by itself. \
               Disks come and go while the group is served; of one that goes, let the \
               initiators let go first. A number keeps its disk: one that is to have another \
               disk goes first, and comes back with it in a second change; see \
               understudy(8), accept.",
    },
    Param {
        name: "initiators",
        choices: &[],
        default: None,
        unique: false,
        reloadable: true,
        short: "initiator WWPNs that may log in",
        long: "The World Wide Port Names of the initiators that may use the group, \
               separated by spaces. Any other initiator sees no LUN. Initiators come and go \
               while the group is served; one that met the port before it was allowed \
               has to log in again.",
    },
    Param {
        name: "ownership",
        choices: &["scsi3-pr", "none"],
        default: Some("scsi3-pr"),
        unique: false,
        reloadable: false,
        short: "what guarantees that one node owns the disks",
        long: "scsi3-pr: the node that serves holds a persistent reservation (Write \
               Exclusive, Registrants Only) on every disk, all of them or none: a SCSI-3 \
               one, or on an NVMe namespace one of NVMe. \
               none: something else already guarantees one owner, such as DRBD.",
    },
    Param {
        name: "state",
        choices: &[],
        default: Some(""),
        unique: true,
        reloadable: false,
        short: "small disk on which initiators' reservations are kept",
        long: "A disk of the group's own, as a WWID or a persistent path under /dev, on \
               which the persistent reservations that initiators make are kept: every \
               node finds them there when it takes the group over. It needs 1 MiB and \
               512 KiB for each LUN on which initiators register, and is owned as the \
               other disks are. A disk with anything else on it is refused; a new one \
               has only zeros. Not set, initiators lose their registrations when the \
               group moves.",
    },
    Param {
        name: "preserve_reservations",
        choices: &["all", "aptpl", "none"],
        default: Some("all"),
        unique: false,
        reloadable: false,
        short: "which reservations of initiators outlive a takeover",
        long: "all: every registration and reservation, as an array keeps them while only \
               one of its nodes fails. aptpl: those which an initiator has asked to \
               survive a loss of power (Activate Persist Through Power Loss). none: none. \
               Where state is not set, none are.",
    },
    Param {
        name: "home",
        choices: &[],
        default: Some(""),
        unique: false,
        reloadable: true,
        short: "node that the group belongs to",
        long: "The name of the cluster node that the group belongs to. There it is \
               native, elsewhere guest. Where it runs is decided by Pacemaker alone; \
               prefer the home with a location constraint.",
    },
    Param {
        name: "link_loss",
        choices: &["fail", "degraded"],
        default: Some("fail"),
        unique: false,
        reloadable: true,
        short: "what a monitor says of a port whose link is lost",
        long: "fail: a monitor fails when the physical port has lost its link for some \
               seconds, so that the group is stopped and started where it can be. \
               degraded: the group is reported as degraded and stays where it is; rules \
               on the node attributes of ocf:understudy:fcport move it, and only to a \
               node that has a port online. Of several ports, those whose fabric the node \
               has lost hold up no start; once the fabric is back, the monitor misses \
               them.",
    },
    Param {
        name: "expedite",
        choices: &["yes", "no"],
        default: Some("yes"),
        unique: false,
        reloadable: true,
        short: "expedite RCU grace periods while LUNs come and go",
        long: "yes: while LUNs are made or removed, and no longer, the kernel's RCU grace \
               periods are expedited (/sys/kernel/rcu_expedited). Each LUN costs one or two \
               such periods. That interrupts every processor of the node for a moment; no \
               leaves the kernel as it is, and a group with hundreds of LUNs takes many \
               seconds longer.",
    },
    Param {
        name: "driver",
        choices: &["auto", "tcm_fc", "qla2xxx"],
        default: Some("auto"),
        unique: false,
        reloadable: false,
        short: "LIO driver of the physical port",
        long: "The target driver that serves the port. auto takes the one that belongs \
               to the physical port's driver: tcm_fc for libfc (fcoe, bnx2fc, qedf), \
               qla2xxx for QLogic HBAs. qla2xxx has not yet run on hardware: it is \
               built from the kernel's source, and docs/qla2xxx.md has the steps of a \
               first run.",
    },
];

/// The parameters of `ocf:understudy:fcport`.
pub const FCPORT: &[Param] = &[
    Param {
        name: "dampen",
        choices: &[],
        default: Some("10"),
        unique: false,
        reloadable: false,
        short: "how long a change must last, in seconds",
        long: "How long the number of ports online must stay another one, in seconds, \
               before the cluster is told. A link that comes back within that time moves \
               nothing. Longer than the interval of the monitor. A fabric that no other \
               node has a port online in is not told as lost: that moves nothing.",
    },
    Param {
        name: "giveback",
        choices: &[],
        default: Some(""),
        unique: false,
        reloadable: false,
        short: "after how many seconds groups may come home by themselves",
        long: "How long a node must have had all that a group of its own needs (disks \
               that say who owns them, a physical port online in the right fabric), in \
               seconds, before the cluster is told that the group may come home: by the value 1 of \
               the node attribute ready-GROUP, for a location rule. Not set, it stays \
               with 0 (all is there) or -1 (something is missing), of which a commanded \
               takeover takes note.",
    },
];

/// A parameter's value, or what holds when it is not set; `None` where it must be set and
/// is not.
pub fn value(spec: &Param, given: Option<String>) -> Option<String> {
    let given = given.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    given.or(spec.default.map(String::from))
}
