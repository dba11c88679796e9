//! The lab's takeover groups: how they are configured in the cluster, and where their
//! disks are at the initiator.
//!
//! Two groups are always there. The others come for a scenario: one has ports in two
//! fabrics, and one the names of its home's physical port. One has NVMe namespaces, and one
//! belongs to a third storage node. Some are served by QLogic HBAs.

use std::fmt::Write as _;
use std::time::Duration;

use understudy_fabric::wwn::Wwn;

use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::plan::{ARRAYS, HOST, SIDES, SPARE, Side, guests};
use crate::shelf::{self, Disk};
use crate::{fabric, nvme, speed};

/// A takeover group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The Pacemaker resource.
    pub name: &'static str,
    /// The node that it belongs to.
    pub home: &'static str,
    /// The node that takes the group over.
    pub partner: &'static str,
    letter: char,
    sides: &'static [Side],
    carrier: Carrier,
    storage: Storage,
}

/// What carries a group's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// Any physical port, as a virtual port of its own names.
    Any,
    /// The home's physical port, whose names the group has.
    Home,
    /// A QLogic HBA, as a virtual port of its own names.
    Hba,
}

/// Where a group's disks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// On the iSCSI shelf: the disks that are named after the group's letter.
    Own,
    /// On the iSCSI shelf: `count` of the disks that come and go, from `first` on.
    Spares { first: usize, count: usize },
    /// On the NVMe shelf.
    Nvme,
}

/// The first two of the disks that come and go.
const FIRST_TWO: Storage = Storage::Spares { first: 0, count: 2 };
/// The last two of the disks that come and go.
const OTHER_TWO: Storage = Storage::Spares { first: 2, count: 2 };
/// All of the disks that come and go.
const ALL_FOUR: Storage = Storage::Spares { first: 0, count: 4 };

/// Returns a group with one virtual port in the first fabric, on the iSCSI shelf.
fn group(
    name: &'static str,
    letter: char,
    home: &'static str,
    partner: &'static str,
) -> Group {
    let (sides, carrier, storage) = (&[Side::A], Carrier::Any, Storage::Own);
    Group { name, home, partner, letter, sides, carrier, storage }
}

/// Returns the two groups that are always there, each native to one node.
#[must_use]
pub fn groups() -> [Group; 2] {
    let [a, b] = ARRAYS;
    [group("group-a", 'a', a, b), group("group-b", 'b', b, a)]
}

/// Returns the group with a port in each fabric, on two of the disks that come and go.
/// Its home is the node whose fence strikes at once. The other node's fence is delayed,
/// so that nodes that lose sight of each other do not both die.
#[must_use]
pub fn pair() -> Group {
    let [a, b] = ARRAYS;
    Group { sides: &SIDES, storage: FIRST_TWO, ..group("pair", 'e', b, a) }
}

/// Returns the group with the names of its home's physical port in the second fabric, on
/// the other two of the disks that come and go.
#[must_use]
pub fn own() -> Group {
    let [a, b] = ARRAYS;
    let (carrier, storage) = (Carrier::Home, OTHER_TWO);
    Group { sides: &[Side::B], carrier, storage, ..group("own", 'f', b, a) }
}

/// Returns the group of the third storage node, on two of the disks that come and go.
#[must_use]
pub fn third() -> Group {
    Group { storage: FIRST_TWO, ..group("group-c", 'd', SPARE, ARRAYS[0]) }
}

/// Returns the group on the NVMe shelf, with three namespaces and one for its state. Its
/// home is the node whose fence strikes at once.
#[must_use]
pub fn on_nvme() -> Group {
    let [a, b] = ARRAYS;
    Group { storage: Storage::Nvme, ..group("on-nvme", '9', b, a) }
}

/// Returns a group in the second fabric, with one port there. The QLogic HBAs are in that
/// fabric.
fn beside_hbas(
    name: &'static str,
    letter: char,
    home: &'static str,
    partner: &'static str,
) -> Group {
    Group { sides: &[Side::B], ..group(name, letter, home, partner) }
}

/// Returns the group that the storage nodes' QLogic HBAs serve, on two of the disks that
/// come and go.
#[must_use]
pub fn on_qlogic() -> Group {
    let ([a, b], carrier, storage) = (ARRAYS, Carrier::Hba, FIRST_TWO);
    Group { carrier, storage, ..beside_hbas("on-qlogic", '6', b, a) }
}

/// Returns the second group that the QLogic HBAs serve, on the other two of the disks that
/// come and go. Its home is the partner of the first.
#[must_use]
pub fn on_qlogic_too() -> Group {
    let ([a, b], carrier, storage) = (ARRAYS, Carrier::Hba, OTHER_TWO);
    Group { carrier, storage, ..beside_hbas("on-qlogic-too", '7', a, b) }
}

/// Returns the group that the QLogic HBAs serve with a disk for its initiators'
/// reservations, on all the disks that come and go.
#[must_use]
pub fn on_qlogic_with_state() -> Group {
    let ([a, b], carrier, storage) = (ARRAYS, Carrier::Hba, ALL_FOUR);
    Group { carrier, storage, ..beside_hbas("on-qlogic-with-state", '8', b, a) }
}

/// Returns the group in the HBAs' fabric that any physical port there may serve, on all the
/// disks that come and go. Where a node has a software port in that fabric, the agent takes
/// it, because it has more room for virtual ports than an HBA.
#[must_use]
pub fn on_any() -> Group {
    let [a, b] = ARRAYS;
    Group { storage: ALL_FOUR, ..beside_hbas("on-any", '5', b, a) }
}

impl Group {
    /// Returns the node name.
    #[must_use]
    pub fn wwnn(&self) -> String {
        if self.carrier == Carrier::Home {
            // fcoe makes both names from the hardware address.
            return self.wwpn_in(Side::B).replacen("20", "10", 1);
        }
        format!("20:00:75:64:00:00:00:0{}", self.letter)
    }

    /// Returns the group's port name: the virtual one, or the first of several.
    #[must_use]
    pub fn wwpn(&self) -> String {
        self.wwpn_in(self.side())
    }

    /// Returns the fabric of the group's first port.
    #[must_use]
    pub fn side(&self) -> Side {
        self.sides.first().copied().unwrap_or(Side::A)
    }

    /// Returns the name of the group's port in a fabric.
    #[must_use]
    pub fn wwpn_in(&self, side: Side) -> String {
        if self.carrier == Carrier::Home {
            let home = guests().into_iter().find(|guest| guest.name == self.home);
            return with_colons(&home.map(|home| home.wwpn(side)).unwrap_or_default());
        }
        let number = match side {
            Side::A => 1,
            Side::B => 2,
        };
        format!("20:0{number}:75:64:00:00:00:0{}", self.letter)
    }

    /// Returns the name of the group's port, or of its first, as the fabric's type.
    ///
    /// # Errors
    /// Never in practice.
    pub fn port(&self) -> Result<Wwn> {
        self.port_in(self.side())
    }

    /// Returns the name of the group's port in a fabric, as the fabric's type.
    ///
    /// # Errors
    /// Never in practice.
    pub fn port_in(&self, side: Side) -> Result<Wwn> {
        fabric::wwn(&self.wwpn_in(side))
    }

    /// Returns all the group's ports, each with its fabric.
    ///
    /// # Errors
    /// Never in practice.
    pub fn ports(&self) -> Result<Vec<(Side, Wwn)>> {
        let port = |side: &Side| Ok((*side, self.port_in(*side)?));
        self.sides.iter().map(port).collect()
    }

    /// Returns the group's disks on the iSCSI shelf.
    #[must_use]
    pub fn disks(&self) -> Vec<Disk> {
        match self.storage {
            Storage::Own => shelf::group(self.letter),
            Storage::Spares { first, count } => {
                shelf::spares().into_iter().skip(first).take(count).collect()
            }
            Storage::Nvme => Vec::new(),
        }
    }

    /// Returns the words of the parameter `ports`.
    fn port_specs(&self) -> Vec<String> {
        let spec = |side: &Side| format!("{}@{}", self.wwpn_in(*side), side.wwn());
        self.sides.iter().map(spec).collect()
    }

    /// Returns the initiator's port names, one for each of the group's fabrics.
    fn initiators(&self) -> Vec<String> {
        let host = guests().into_iter().find(|guest| guest.name == HOST);
        let port = |side: &Side| host.as_ref().map(|host| host.wwpn(*side));
        self.sides.iter().filter_map(port).collect()
    }

    /// Returns the disk on which the reservations of the group's initiators are saved.
    #[must_use]
    pub fn state_disk(&self) -> Option<Disk> {
        let name = format!("state-{}", self.letter);
        shelf::disks().into_iter().find(|disk| disk.name == name)
    }

    fn state(&self) -> String {
        if self.storage == Storage::Nvme {
            return nvme::wwids().last().cloned().unwrap_or_default();
        }
        self.state_disk().map(|disk| disk.named()).unwrap_or_default()
    }

    /// Returns the words of the parameter `disks`.
    #[must_use]
    pub fn disk_specs(&self) -> Vec<String> {
        let state = self.state();
        let wwids = nvme::wwids().into_iter().filter(|wwid| *wwid != state);
        match self.storage {
            Storage::Nvme => {
                (0..).zip(wwids).map(|(lun, wwid)| format!("{lun}={wwid}")).collect()
            }
            _ => specs(self.disks()),
        }
    }

    /// Returns the resource's parameters.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("wwnn", self.wwnn()),
            ("ports", self.port_specs().join(" ")),
            ("disks", self.disk_specs().join(" ")),
            ("initiators", self.initiators().join(" ")),
            ("state", self.state()),
            ("home", self.home.to_owned()),
            ("link_loss", "degraded".to_owned()),
            ("driver", self.driver().to_owned()),
        ]
    }

    /// Returns the parameter `driver`.
    fn driver(&self) -> &'static str {
        if self.carrier == Carrier::Hba { "qla2xxx" } else { "auto" }
    }

    /// Returns one of the resource's parameters, by its name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters()
            .into_iter()
            .find(|(its, _)| *its == name)
            .map(|(_, value)| value)
    }

    /// Returns the agent's environment for this resource, as assignments for a shell.
    /// `changes` replace parameters. If `changes` has a parameter twice, the first one
    /// counts.
    #[must_use]
    pub fn environment(&self, instance: &str, changes: &[(&str, &str)]) -> String {
        let mut text = format!("OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE={instance}");
        for (name, value) in self.parameters() {
            let changed = changes.iter().find(|(changed, _)| *changed == name);
            let value = changed.map_or(value.as_str(), |(_, value)| value);
            let _ = write!(text, " OCF_RESKEY_{name}='{value}'");
        }
        text
    }

    /// Returns the group's table for the file that `understudy configure` reads.
    fn table(&self) -> String {
        format!(
            "[[group]]\nname = {:?}\nhome = {:?}\nwwnn = {:?}\nports = {:?}\n\
             disks = {:?}\ninitiators = {:?}\nstate = {:?}\ndriver = {:?}\n",
            self.name,
            self.home,
            self.wwnn(),
            self.port_specs(),
            self.disk_specs(),
            self.initiators(),
            self.state(),
            self.driver()
        )
    }
}

/// Returns a name in the form 20:00:..., from the form 0x2000...
fn with_colons(wwn: &str) -> String {
    let digits: Vec<char> = wwn.trim_start_matches("0x").chars().collect();
    let bytes = digits.chunks(2).map(|byte| byte.iter().collect::<String>());
    bytes.collect::<Vec<_>>().join(":")
}

/// Returns words for the parameter `disks`. The LUN numbers are the disks' places.
pub fn specs(disks: impl IntoIterator<Item = Disk>) -> Vec<String> {
    let disks = disks.into_iter().zip(0..);
    disks.map(|(disk, lun)| format!("{lun}={}", disk.named())).collect()
}

/// The name of the clone that watches the physical ports.
pub const WATCH: &str = "fcport-clone";

/// Returns the name of the node attribute with the number of ports online in a fabric.
#[must_use]
pub fn ports_online(side: Side) -> String {
    format!("fcport-{}", side.wwn().replace(':', ""))
}

/// Configures groups and the watch in the cluster, in one change, with what `understudy
/// configure` prints. Only its times are stretched, where this machine is slow.
///
/// # Errors
/// The command or the cluster refuses.
pub fn configure(node: &Guest, groups: &[Group]) -> Result<()> {
    let tables: String = groups.iter().map(Group::table).collect();
    apply(node, &tables, ":")
}

/// Configures a group in the cluster. `fabrics` is `each` or `any`: which of its fabrics
/// count. Deletes first what rules the cluster had for this group.
///
/// # Errors
/// The command or the cluster refuses.
pub fn configure_as(node: &Guest, group: &Group, fabrics: &str) -> Result<()> {
    let rules = format!("//rsc_location[@rsc='{}'][rule]", group.name);
    node.run(&format!("{FORGET}; forget \"{rules}\""), Duration::from_secs(60))?;
    // The group gets no priority. In a split the other node's fence then waits, as in
    // every lab.
    let light = "sed -i '/name=\"priority\"/d' /run/groups.xml";
    apply(node, &format!("{}fabrics = {fabrics:?}\n", group.table()), light)
}

/// A shell function that deletes every element that an XPath finds in the configuration.
const FORGET: &str = "forget() {
        while cibadmin --query --xpath \"$1\" > /dev/null 2>&1; do
            cibadmin --delete --xpath \"($1)[1]\"
        done
    }";

fn apply(node: &Guest, tables: &str, change: &str) -> Result<()> {
    let configure = format!(
        "cat > /run/groups.toml <<'GROUPS'\n{tables}GROUPS\n\
         understudy configure --format xml /run/groups.toml > /run/groups.xml &&
         {change} && cat /run/groups.xml"
    );
    let xml = speed::stretch_times(&node.run(&configure, Duration::from_secs(60))?);
    modify(node, &xml)
}

/// Merges a configuration into the cluster's, and leaves the rest as it is.
///
/// # Errors
/// The cluster refuses.
pub fn modify(node: &Guest, configuration: &str) -> Result<()> {
    let apply = format!(
        "cibadmin --modify --allow-create --scope configuration -p \
         <<'XML'\n{configuration}\nXML"
    );
    node.run(&apply, Duration::from_secs(60)).map(drop)
}

/// Stops resources and removes them, with their rules, from the configuration.
///
/// # Errors
/// The cluster refuses.
pub fn forget(node: &Guest, names: &[&str]) -> Result<()> {
    let names = names.join(" ");
    let script = format!(
        "set -e; {FORGET}
         for r in {names}; do crm_resource -r $r --meta -p target-role -v Stopped; done
         lab-idle
         for r in {names}; do
             forget \"//rsc_location[@rsc='$r']\"
             cibadmin --delete --xpath \"//resources/*[@id='$r']\"
         done
         lab-idle"
    );
    node.run(&script, Duration::from_secs(240)).map(drop)
}

/// A LUN of a group, as the initiator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lun {
    /// The name of the group.
    pub group: &'static str,
    /// The LUN's number.
    pub number: u16,
    /// The device's name at the initiator, such as `sda`.
    pub device: String,
}

/// A shell command for the initiator: look for LUNs that are new.
pub const SCAN: &str = "for h in /sys/class/fc_host/host*; do
        echo '- - -' > /sys/class/scsi_host/${h##*/}/scan
    done";

/// Waits until the initiator sees every LUN of both groups. Returns them, with the names
/// of their devices.
///
/// # Errors
/// The initiator does not see them in that time.
pub fn luns(host: &Guest, time: Duration) -> Result<Vec<Lun>> {
    let mut found = Vec::new();
    for group in groups() {
        found.extend(luns_of(host, &group, group.disks().len(), time)?);
    }
    Ok(found)
}

/// Waits until the initiator sees this many LUNs of a group, and returns them.
///
/// # Errors
/// The initiator does not see them in that time.
pub fn luns_of(
    host: &Guest,
    group: &Group,
    count: usize,
    time: Duration,
) -> Result<Vec<Lun>> {
    luns_through(host, group, group.side(), count, time)
}

/// Waits until the initiator sees this many LUNs of a group through its port in a fabric,
/// and returns them.
///
/// # Errors
/// The initiator does not see them in that time.
pub fn luns_through(
    host: &Guest,
    group: &Group,
    side: Side,
    count: usize,
    time: Duration,
) -> Result<Vec<Lun>> {
    let wwpn = group.wwpn_in(side).replace(':', "");
    // A target's SCSI address leads to its port name. A LUN's address is that of its
    // target, and its number.
    let script = format!(
        "while :; do
            list=
            for t in /sys/class/fc_transport/target*; do
                read -r name < $t/port_name || continue
                [ \"$name\" = 0x{wwpn} ] || continue
                for d in /sys/class/scsi_device/${{t##*/target}}:*/device/block/*; do
                    [ -e $d ] || continue
                    lun=${{d%/device/block/*}}
                    list=\"$list ${{lun##*:}}=${{d##*/}}\"
                done
            done
            set -- $list
            [ $# -eq {count} ] && echo $list && exit
            sleep 0.3
        done"
    );
    let said = host.run(&script, time)?;
    let lun = |word: &str| {
        let (number, device) = word.split_once('=').unwrap_or_default();
        let number = number.parse().map_err(|_| Error::other("not a LUN"))?;
        Ok(Lun { group: group.name, number, device: device.to_owned() })
    };
    said.split_whitespace().map(lun).collect()
}
