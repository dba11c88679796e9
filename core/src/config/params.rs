//! The parameters of both resource agents, one table for each. The meta-data, the manual
//! pages and the reading of the configuration all follow these tables.

use super::choices::{AUTO, LinkLoss, Ownership, Preserve};
use super::kind::{Choice, Kind};
use crate::text::quoted;

/// The declaration of a resource's parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// The parameter's name, as in the CIB.
    pub name: &'static str,
    /// Which values it may have.
    pub kind: Kind,
    /// The value if none is given; `None` for a parameter that must be given.
    pub default: Option<&'static str>,
    /// Whether no two resources may have the same value (`unique` in the meta-data).
    pub unique: bool,
    /// Whether it may change while the group is served, by a reload.
    pub reloadable: bool,
    /// The description in a few words.
    pub short: &'static str,
    /// The full description, for the meta-data and the manual page.
    pub long: &'static str,
}

impl Param {
    /// Returns whether the parameter must be given.
    pub fn required(&self) -> bool {
        self.default.is_none()
    }

    /// Returns the parameter's value: the given one, or else the default. The result is
    /// empty for an optional parameter that is not given.
    ///
    /// # Errors
    /// A sentence that says what is wrong: the parameter is required and not given, or
    /// the value does not fit its kind.
    pub(crate) fn value(&self, given: Option<String>) -> Result<String, String> {
        let given = given.map(|text| text.trim().to_owned());
        let given = given.filter(|text| !text.is_empty());
        let value = given.or(self.default.map(String::from));
        let Some(value) = value else {
            return Err(format!("{} is not set ({})", self.name, self.short));
        };
        match self.kind.fault(&value) {
            Some(fault) if !value.is_empty() => {
                Err(format!("{}: {} {fault}", self.name, quoted(&value)))
            }
            _ => Ok(value),
        }
    }
}

/// The parameters of `ocf:understudy:vport`, in the order in which they are listed for
/// people.
pub const VPORT: &[Param] = &[
    Param {
        name: "wwnn",
        kind: Kind::Text,
        default: None,
        unique: true,
        reloadable: false,
        short: "node name (WWNN) of the virtual ports",
        long: "The World Wide Node Name of the takeover group's virtual ports, on \
               whichever node they are. It may be written in any common form: \
               20:00:00:25:b5:00:00:0a, 0x20000025b500000a, naa.20000025b500000a.",
    },
    Param {
        name: "ports",
        kind: Kind::Words,
        default: None,
        unique: true,
        reloadable: false,
        short: "port names (WWPN) of the group",
        long: "The World Wide Port Names of the group's virtual ports, separated by \
               spaces. Give one port for each fabric. WWPN@FABRIC-WWN names the fabric \
               too: the port is then made only on a physical port that is logged in to \
               that fabric. Nodes behind different edge switches may know one fabric \
               by two names: give both, as WWPN@NAME|NAME.",
    },
    Param {
        name: "disks",
        kind: Kind::Words,
        default: None,
        unique: true,
        reloadable: true,
        short: "LUN=DEVICE, separated by spaces",
        long: "The disks of the group and their LUN numbers, as LUN=DEVICE separated \
               by spaces. DEVICE is a WWID (naa.6001405...) or a persistent path under \
               /dev (/dev/disk/by-id/..., /dev/mapper/..., /dev/drbd/by-res/...). \
               Initiators remember a disk by its LUN number, so a number never changes \
               by itself. You can add and remove disks while the group is served. \
               Before you remove one, have the initiators stop using it. A number \
               keeps its disk. To put another disk behind it, remove the number in one \
               change and add it with the new disk in a second one. A change of the \
               disk in one step is refused: see accept in understudy(8).",
    },
    Param {
        name: "initiators",
        kind: Kind::Words,
        default: None,
        unique: false,
        reloadable: true,
        short: "initiator WWPNs that may log in",
        long: "The World Wide Port Names of the initiators that may use the group, \
               separated by spaces. Any other initiator sees no LUN. You can add and \
               remove initiators while the group is served. An initiator that met the \
               port before it was allowed has to log in again.",
    },
    Param {
        name: "ownership",
        kind: Kind::Choice(Ownership::WORDS),
        default: Some("scsi3-pr"),
        unique: false,
        reloadable: false,
        short: "what guarantees that one node owns the disks",
        long: "What guarantees that only one node owns the disks. scsi3-pr: the node \
               that serves holds a persistent reservation (Write Exclusive, \
               Registrants Only) on every disk, all of them or none. On an NVMe \
               namespace it is an NVMe reservation. none: something else already \
               guarantees one owner, such as DRBD.",
    },
    Param {
        name: "state",
        kind: Kind::Text,
        default: Some(""),
        unique: true,
        reloadable: false,
        short: "small disk on which initiators' reservations are kept",
        long: "A small disk of the group's own, as a WWID or a persistent path under \
               /dev. The persistent reservations that initiators make are kept on it, \
               and the node that takes the group over finds them there. It needs 1 \
               MiB, and 512 KiB more for each LUN on which initiators register. A node \
               owns it like the group's other disks. A new one has only zeros; a disk \
               with anything else on it is refused. Without it, initiators lose their \
               registrations when the group moves.",
    },
    Param {
        name: "preserve_reservations",
        kind: Kind::Choice(Preserve::WORDS),
        default: Some("all"),
        unique: false,
        reloadable: false,
        short: "which reservations of initiators outlive a takeover",
        long: "all: every registration and reservation, as an array keeps them while \
               only one of its nodes fails. aptpl: those which an initiator has asked \
               to survive a loss of power (Activate Persist Through Power Loss). none: \
               none. Without state none are kept.",
    },
    Param {
        name: "home",
        kind: Kind::Text,
        default: Some(""),
        unique: false,
        reloadable: true,
        short: "node that the group belongs to",
        long: "The name of the cluster node that the group belongs to. On it the group \
               is native, on any other node a guest. Pacemaker alone decides where the \
               group runs: prefer the home with a location constraint.",
    },
    Param {
        name: "link_loss",
        kind: Kind::Choice(LinkLoss::WORDS),
        default: Some("fail"),
        unique: false,
        reloadable: true,
        short: "what a monitor says of a port whose link is lost",
        long: "fail: a monitor fails when the physical port has lost its link for some \
               seconds, so that Pacemaker stops the group and starts it where it can. \
               degraded: the monitor reports the group as degraded, and the group \
               stays where it is. Rules on the node attributes of \
               ocf:understudy:fcport then move it, and only to a node that has a port \
               online. If a group has several ports, a start does not wait for a port \
               whose fabric its node has lost. Once that fabric is back, the monitor \
               fails because the port is missing.",
    },
    Param {
        name: "expedite",
        kind: Kind::Flag,
        default: Some("yes"),
        unique: false,
        reloadable: true,
        short: "expedite RCU grace periods while LUNs come and go",
        long: "yes: the kernel's RCU grace periods are expedited \
               (/sys/kernel/rcu_expedited), but only while LUNs are made or removed. \
               Each LUN costs one or two such periods. Expediting interrupts every \
               processor of the node for a moment. no: the kernel is left as it is, \
               and a group with hundreds of LUNs takes many seconds longer.",
    },
    Param {
        name: "driver",
        kind: Kind::Choice(&[AUTO, "tcm_fc", "qla2xxx"]),
        default: Some("auto"),
        unique: false,
        reloadable: false,
        short: "LIO driver of the physical port",
        long: "The target driver that serves the port. auto takes the one that belongs \
               to the physical port's driver: tcm_fc for libfc (fcoe, bnx2fc, qedf), \
               qla2xxx for QLogic HBAs. qla2xxx runs on the real driver with an \
               emulated HBA, and has not yet run on hardware: docs/qla2xxx.md has the \
               steps of a first run.",
    },
];

/// The parameters of `ocf:understudy:fcport`.
pub const FCPORT: &[Param] = &[
    Param {
        name: "dampen",
        kind: Kind::Seconds,
        default: Some("10"),
        unique: false,
        reloadable: false,
        short: "how long a change must last, in seconds",
        long: "How many seconds a change of the number of ports online must last \
               before it is reported to the cluster. A link that comes back within \
               that time moves nothing. Set it longer than the interval of the \
               monitor. The loss of a fabric in which no other node has a port online \
               is not reported, so it moves nothing.",
    },
    Param {
        name: "giveback",
        kind: Kind::Seconds,
        default: Some(""),
        unique: false,
        reloadable: false,
        short: "after how many seconds groups may come home by themselves",
        long: "For how many seconds a node must have had all that a group of its own \
               needs, before fcport reports that the group may come home. A group \
               needs all its disks, able to say who owns them, and a physical port \
               online in the right fabric. The report is the value 1 of the node \
               attribute ready-GROUP, for a location rule. Without this parameter the \
               value is 0 (all is there) or -1 (something is missing), and a commanded \
               takeover looks at it.",
    },
];
