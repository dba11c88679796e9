//! Takeover groups as the configuration describes them.

use std::collections::BTreeMap;
use std::fmt;

pub use super::choices::{AUTO, LinkLoss, Ownership, Preserve};
pub use super::device_name::DeviceName;
pub use super::slot::Slot;
pub use super::spec::{DiskSpec, PortSpec};

use super::params::VPORT;
use super::reader::Reader;
use crate::text::quoted;
use crate::wwn::Wwn;

/// A takeover group as configured: one node name, with its ports, disks and initiators.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// The Pacemaker resource's name.
    pub name: String,
    /// The node name (WWNN) of every port of the group.
    pub wwnn: Wwn,
    /// The group's ports, at least one.
    pub ports: Vec<PortSpec>,
    /// The disks behind LUN numbers: at least one, no number twice. The state disk is not
    /// here.
    pub disks: Vec<DiskSpec>,
    /// The port names of the initiators that may use the group, at least one.
    pub initiators: Vec<Wwn>,
    /// What guarantees that one node owns the group's disks.
    pub ownership: Ownership,
    /// The node that the group belongs to, if the configuration names one.
    pub home: Option<String>,
    /// The name of the LIO driver that serves the ports, or [`AUTO`].
    pub driver: &'static str,
    /// How a monitor judges a port whose link is lost.
    pub link_loss: LinkLoss,
    /// Whether RCU grace periods are expedited while LUNs are made and removed.
    pub expedite: bool,
    /// The state disk, on which initiators' reservations are saved; `None` if none are
    /// saved.
    pub state: Option<DeviceName>,
    /// Which of the initiators' reservations are saved.
    pub preserve: Preserve,
}

/// Everything that is wrong with a group's configuration, one sentence for each fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct GroupError(pub Vec<String>);

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many faults are printed: people do not read a longer list.
        const TOLD: usize = 8;
        let told: Vec<&str> = self.0.iter().take(TOLD).map(String::as_str).collect();
        f.write_str(&told.join("; "))?;
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Returns whether two names are names of one node. Pacemaker ignores case when it
/// compares them (`pcmk__str_casei`).
pub fn is_same_node(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

impl Group {
    /// Reads a group from the parameters of its resource.
    ///
    /// `param` returns the value of a parameter of [`VPORT`], or `None` if it is not set.
    /// Nothing else is looked at, so every node comes to the same answer.
    ///
    /// # Errors
    /// Every fault found, each with the parameter and the value.
    pub fn parse(
        name: &str,
        param: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, GroupError> {
        let mut read = Reader::new(VPORT, param);
        let wwnn = read.one("wwnn", "name");
        let ports = read.words("ports");
        let disks = read.words("disks");
        let initiators = read.words("initiators");
        let ownership = read.choice("ownership");
        let home = read.text("home");
        let driver = read.word("driver");
        let link_loss = read.choice("link_loss");
        let expedite = read.choice("expedite");
        let preserve = read.choice("preserve_reservations");
        let state = read.one("state", "device");
        read.add(contradictions(&ports, &disks, &initiators, state.as_ref()));

        // A `None` among these has left a fault in `read`, which `finish` then returns.
        let whole = || {
            Some(Self {
                name: name.to_owned(),
                wwnn: wwnn?,
                ports,
                disks,
                initiators,
                ownership: ownership?,
                home,
                driver: driver?,
                link_loss: link_loss?,
                expedite: expedite?,
                state: state.filter(|_| preserve != Some(Preserve::None)),
                preserve: preserve?,
            })
        };
        read.finish(whole()).map_err(GroupError)
    }

    /// Reads a group from its parameters, given by name. A list is its words, separated by
    /// spaces.
    ///
    /// # Errors
    /// Every fault found, each with the parameter and the value; a name that is no parameter's
    /// is one.
    pub fn of<'a>(
        name: &str,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, GroupError> {
        let given: BTreeMap<_, _> = parameters.into_iter().collect();
        let group = Self::parse(name, |param| given.get(param).map(|&text| text.into()));
        let is_known = |name: &str| VPORT.iter().any(|param| param.name == name);
        let unknown = given.into_keys().filter(|name| !is_known(name));
        let mut faults: Vec<_> =
            unknown.map(|name| format!("{} is no parameter", quoted(name))).collect();
        match group {
            Ok(group) if faults.is_empty() => Ok(group),
            group => {
                faults.extend(group.err().into_iter().flat_map(|error| error.0));
                Err(GroupError(faults))
            }
        }
    }

    /// Returns every disk that a node owns for the group: those of the LUNs, then the
    /// state disk.
    pub fn all_disks(&self) -> Vec<DiskSpec> {
        let slot = Slot::Reservations;
        let state = self.state.clone().map(|device| DiskSpec { slot, device });
        self.disks.iter().cloned().chain(state).collect()
    }

    /// Returns the LUN numbers of the group.
    pub fn luns(&self) -> impl Iterator<Item = u16> {
        self.disks.iter().filter_map(|disk| disk.slot.lun())
    }

    /// Returns whether this node is the group's home.
    pub fn is_native(&self, node: &str) -> bool {
        self.home.as_deref().is_some_and(|home| is_same_node(home, node))
    }
}

/// Returns a fault for each value that is given twice, or in two roles that exclude each
/// other.
fn contradictions(
    ports: &[PortSpec],
    disks: &[DiskSpec],
    initiators: &[Wwn],
    state: Option<&DeviceName>,
) -> Vec<String> {
    let mut faults = twice("ports", "WWPN", ports.iter().map(|p| p.wwpn));
    faults.extend(twice("disks", "LUN", disks.iter().filter_map(|d| d.slot.lun())));
    faults.extend(twice("disks", "device", disks.iter().map(|d| &d.device)));
    for disk in disks.iter().filter(|disk| state == Some(&disk.device)) {
        faults.push(format!("state: {} is {} already", disk.device, disk.slot));
    }
    faults.extend(twice("initiators", "WWPN", initiators.iter().copied()));
    for port in ports.iter().filter(|port| initiators.contains(&port.wwpn)) {
        faults.push(format!("{} is both a port and an initiator", port.wwpn));
    }
    faults
}

/// Returns a fault for each value that a parameter has more than once.
fn twice<T: Ord + fmt::Display>(
    param: &str,
    what: &str,
    values: impl Iterator<Item = T>,
) -> Vec<String> {
    let mut times = BTreeMap::new();
    for value in values {
        *times.entry(value).or_insert(0) += 1;
    }
    let several = times.iter().filter(|(_, times)| **times > 1);
    several.map(|(value, _)| format!("{param}: {what} {value} is given twice")).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn good(name: &str) -> Option<String> {
        let value = match name {
            "wwnn" => "20:00:00:25:b5:00:00:0a",
            "ports" => "20:01:00:25:b5:00:00:0a@10:00:00:00:00:00:00:01",
            "disks" => "0=/dev/disk/by-id/wwn-0x60014051 7=naa.60014050000000002",
            "initiators" => "21:00:00:24:ff:00:00:01 0x21000024ff000002",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn with(name: &'static str, value: &'static str) -> Result<Group, GroupError> {
        Group::parse("g", |p| if p == name { Some(value.into()) } else { good(p) })
    }

    #[test]
    fn a_whole_group_is_read() {
        let group = Group::parse("g", good).unwrap();
        assert_eq!(group.ports.len(), 1);
        assert_eq!(group.ports[0].fabrics.len(), 1);
        assert_eq!(group.luns().collect::<Vec<_>>(), [0, 7]);
        assert_eq!(group.initiators.len(), 2);
        assert_eq!(group.ownership, Ownership::Scsi3Pr);
        assert_eq!(group.driver, AUTO);
        assert_eq!(group.home, None);
        assert!(!group.is_native("a"));
        let group = Group { home: Some("Array-A".into()), ..group };
        assert!(group.is_native("array-a") && !group.is_native("array-b"));
    }

    #[test]
    fn each_fault_is_named() {
        for (param, value, want) in [
            ("wwnn", "20:00", "wwnn: '20:00' is not a WWN"),
            ("wwnn", "", "wwnn is not set"),
            ("ports", "xyz", "ports: 'xyz' is not a WWN"),
            ("ports", "2001002500000001 2001002500000001", "given twice"),
            ("ports", "2001002500000001@x", "'x' is not a WWN"),
            ("ports", "21:00:00:24:ff:00:00:01", "both a port and an initiator"),
            ("disks", "0=/dev/disk/by-id/a 0=/dev/disk/by-id/b", "LUN 0 is given twice"),
            ("disks", "0=/dev/disk/by-id/a 1=/dev/disk/by-id/a", "given twice"),
            ("disks", "x=/dev/disk/by-id/a", "'x' in"),
            ("disks", "16384=/dev/disk/by-id/a", "from 0 to 16383"),
            ("disks", "/dev/disk/by-id/a", "not LUN=DEVICE"),
            ("disks", "0=/dev/sda", "after a reboot"),
            ("disks", "0=/dev/zd16", "after a reboot"),
            ("disks", "0=/dev/emcpowera", "after a reboot"),
            ("disks", "0=/dev/xvdb", "after a reboot"),
            ("disks", "0=/dev/md127", "after a reboot"),
            ("disks", "0=/dev/rbd0", "after a reboot"),
            ("disks", "0=/dev/nbd0", "after a reboot"),
            ("disks", "0=/dev/loop0", "after a reboot"),
            ("disks", "0=/dev/block/8:16", "after a reboot"),
            ("disks", "0=/dev/disk/by-diskseq/9", "after a reboot"),
            ("disks", "0=/dev/disk/by-uuid/0a-1b", "after a reboot"),
            ("disks", "0=/dev/../etc/passwd", "not a plain path"),
            ("disks", "0=/dev/a,readonly=1", "not a plain path"),
            ("disks", "0=/dev/a\u{1b}[2J", "'/dev/a\u{fffd}[2J' is not a plain path"),
            ("disks", "0=/etc/passwd", "neither a path under /dev nor a WWID"),
            ("ownership", "mine", "neither scsi3-pr nor none"),
            ("driver", "lpfc", "none of auto, tcm_fc, qla2xxx"),
            ("link_loss", "ignore", "neither fail nor degraded"),
            ("expedite", "1", "'1' is neither yes nor no"),
            ("expedite", "yes no", "'yes no' is neither yes nor no"),
            ("preserve_reservations", "some", "none of all, aptpl, none"),
            ("state", "/dev/sdc", "after a reboot"),
            ("state", "/dev/mapper/x /dev/mapper/y", "more than one device"),
            ("state", "/dev/disk/by-id/wwn-0x60014051", "is LUN 0 already"),
        ] {
            let error = with(param, value).unwrap_err().to_string();
            assert!(error.contains(want), "{param}={value}: {error}");
        }
    }

    #[test]
    fn a_name_that_is_no_parameters_is_a_fault_among_the_others() {
        let names = VPORT.iter().map(|param| param.name);
        let given: Vec<_> = names.filter_map(|name| Some((name, good(name)?))).collect();
        let pairs = || given.iter().map(|(name, text)| (*name, text.as_str()));
        assert_eq!(Group::of("g", pairs()), Group::parse("g", good));
        let faults = |pairs| Group::of("g", pairs).unwrap_err().0;
        let colour = [("colour", "red")];
        assert_eq!(
            faults(pairs().chain(colour).collect::<Vec<_>>()),
            ["'colour' is no parameter"]
        );
        assert_eq!(faults(colour.to_vec()).len(), 5);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let error = Group::parse("g", |_| None).unwrap_err();
        assert_eq!(error.0.len(), 4, "{error}");
    }

    #[test]
    fn every_parameter_is_read() {
        let asked = RefCell::new(BTreeSet::new());
        let note = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            good(name)
        };
        Group::parse("g", note).unwrap();
        let declared: BTreeSet<_> = VPORT.iter().map(|p| p.name.to_owned()).collect();
        assert_eq!(asked.into_inner(), declared);
    }

    #[test]
    fn every_word_that_is_declared_means_something() {
        for (param, word) in
            VPORT.iter().flat_map(|p| p.kind.words().iter().map(move |w| (p.name, w)))
        {
            let given = |name: &str| {
                if name == param { Some((*word).into()) } else { good(name) }
            };
            Group::parse("g", given).unwrap();
        }
    }

    /// Checks that an error stays short, because people read an exit reason as one line.
    #[test]
    fn many_faults_and_long_words_make_no_page() {
        let words = ["x".repeat(9000), "y ".repeat(9000)].join(" ");
        let error = Group::parse("g", |_| Some(words.clone())).unwrap_err();
        let line = error.to_string();
        assert!(line.len() < 2000 && line.ends_with("; and 45002 more"), "{line}");
    }

    proptest! {
        #[test]
        fn no_text_panics(which in 0..VPORT.len(), text in ".*") {
            let name = VPORT[which].name;
            let _ = Group::parse("g", |p| {
                if p == name { Some(text.clone()) } else { good(p) }
            });
        }
    }
}
