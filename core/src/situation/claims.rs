//! Claims: what other groups have on this node, by the virtual port database. What
//! another group has is never this group's, even if this group's parameters name it. It
//! is not read, not taken, and not given up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::action::failure::{Failure, Kind};
use crate::config::group::{DiskSpec, Group, Ownership};
use crate::disks::disk::{self, Disk};
use crate::kernel::{Kernel, paths};
use crate::run_files::registry::{self, Entry};
use crate::wwn::Wwn;

/// The claims of every other group on this node: its database entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims(Vec<Entry>);

impl Claims {
    /// Returns the claims that these entries of other groups make.
    pub(crate) fn of(others: Vec<Entry>) -> Self {
        Self(others)
    }

    /// Returns the current claims of all groups on this node except this one.
    pub(crate) fn beside(kernel: &dyn Kernel, group: &str) -> Self {
        let entries = registry::entries(kernel).into_iter();
        Self(entries.filter(|entry| entry.group != group).collect())
    }

    /// Returns the group that claims a port name.
    pub(crate) fn on_port(&self, wwpn: Wwn) -> Option<&str> {
        self.first(|entry| entry.wwpn == wwpn)
    }

    /// Returns the group that claims a node name, and so the directory of its backstores.
    pub(crate) fn on_node_name(&self, wwnn: Wwn) -> Option<&str> {
        self.first(|entry| entry.wwnn == wwnn)
    }

    /// Returns the disks that other groups claim. They are looked up once, for many
    /// questions.
    pub(crate) fn disks(&self, kernel: &dyn Kernel) -> Disks<'_> {
        let mut all = Disks::default();
        for entry in &self.0 {
            let reserved = entry.ownership == Ownership::Scsi3Pr;
            for disk in entry.disks.iter().chain(&entry.state) {
                if let Some(node) = disk.node_now(kernel) {
                    all.add(&entry.group, Stack::of(kernel, &node), reserved);
                }
            }
        }
        all
    }

    fn first(&self, has: impl Fn(&Entry) -> bool) -> Option<&str> {
        self.0.iter().find(|entry| has(entry)).map(|entry| entry.group.as_str())
    }

    /// Checks that no other group on this node claims a name or a disk of this group.
    ///
    /// # Errors
    /// [`Kind::Configuration`], with each name and disk that is claimed, and by whom.
    pub(crate) fn allow<'a>(
        &self,
        kernel: &dyn Kernel,
        group: &Group,
        disks: impl IntoIterator<Item = &'a Disk>,
    ) -> Result<(), Failure> {
        let ports = group.ports.iter().filter_map(|port| {
            let other = self.on_port(port.wwpn)?;
            Some(format!("port {} is {other}'s here", port.wwpn))
        });
        let wwnn = self
            .on_node_name(group.wwnn)
            .map(|other| format!("node name {} is {other}'s here", group.wwnn));
        let reserved = group.ownership == Ownership::Scsi3Pr;
        let mut disks = disks.into_iter().peekable();
        let held = disks.peek().map(|_| self.disks(kernel)).unwrap_or_default();
        let disks = disks.filter_map(|disk| {
            let other = held.group(kernel, &disk.node, reserved)?;
            let (slot, name) = (disk.slot, &disk.device);
            Some(format!("{slot} ({name}) is a disk of {other}'s here"))
        });
        let causes: Vec<_> = ports.chain(wwnn).chain(disks).collect();
        if causes.is_empty() {
            return Ok(());
        }
        let advice = "Give each group names and disks of its own; nothing was touched";
        let failure = Failure::of(Kind::Configuration, "see whose it is", causes);
        Err(Failure { path: Some(paths::REGISTRY.into()), ..failure.advise(advice) })
    }
}

/// Returns in words what two groups have in common: names, and disks. The list is empty
/// if they can exist side by side. Two disks count as one if their configured names do,
/// or if they are one disk on this node.
pub fn shared(kernel: &dyn Kernel, one: &Group, other: &Group) -> Vec<String> {
    let ports = one.ports.iter().map(|port| port.wwpn);
    let ports = ports.filter(|wwpn| other.ports.iter().any(|port| port.wwpn == *wwpn));
    let ports = ports.map(|wwpn| format!("port {wwpn}"));
    let wwnn = (one.wwnn == other.wwnn).then(|| format!("node name {}", one.wwnn));
    let theirs = other.all_disks();
    let mut held = Disks::default();
    for disk in disk::find_any(kernel, &theirs) {
        let reserved = other.ownership == Ownership::Scsi3Pr;
        held.add(&other.name, Stack::of(kernel, &disk.node), reserved);
    }
    let reserved = one.ownership == Ownership::Scsi3Pr;
    let same = |spec: &DiskSpec| {
        let here = disk::find_any(kernel, std::slice::from_ref(spec));
        theirs.iter().any(|their| disk::is_same_name(&spec.device, &their.device))
            || here.iter().any(|disk| held.group(kernel, &disk.node, reserved).is_some())
    };
    let disks = one.all_disks().into_iter().filter(same);
    let disks = disks.map(|spec| format!("{} ({})", spec.slot, spec.device));
    ports.chain(wwnn).chain(disks).collect()
}

/// The disks that other groups claim, by the kernel's names.
#[derive(Default)]
pub(crate) struct Disks<'a> {
    /// The claimed disks themselves, each with its group.
    used: BTreeMap<String, &'a str>,
    /// The devices beneath the claimed disks, each with its group and whether that group
    /// reserves its disks.
    beneath: BTreeMap<String, (&'a str, bool)>,
}

impl<'a> Disks<'a> {
    fn add(&mut self, group: &'a str, stack: Stack, reserved: bool) {
        for name in stack.beneath {
            let known = self.beneath.entry(name).or_insert((group, reserved));
            known.1 |= reserved;
        }
        self.used.insert(stack.top, group);
    }

    /// Returns the group whose disk a write to the device `node` could change, because
    /// they are one disk, or one is beneath the other. Two devices side by side on one
    /// disk share that disk's reservation. These conflict if either group reserves its
    /// disks.
    pub(crate) fn group(
        &self,
        kernel: &dyn Kernel,
        node: &Path,
        reserved: bool,
    ) -> Option<&'a str> {
        if self.used.is_empty() {
            return None;
        }
        let this = Stack::of(kernel, node);
        let mut all = this.beneath.iter().chain([&this.top]);
        if let Some(group) = all.find_map(|name| self.used.get(name)) {
            return Some(group);
        }
        let above = self.beneath.get(&this.top).map(|(group, _)| *group);
        above.or_else(|| {
            let mut side = this.beneath.iter().filter_map(|name| self.beneath.get(name));
            side.find(|(_, theirs)| reserved || *theirs).map(|(group, _)| *group)
        })
    }
}

/// A block device and all devices beneath it, by the kernel's names.
struct Stack {
    top: String,
    beneath: BTreeSet<String>,
}

impl Stack {
    fn of(kernel: &dyn Kernel, node: &Path) -> Self {
        let top = node.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (mut beneath, mut left) = (BTreeSet::new(), vec![top.clone()]);
        while let Some(name) = left.pop() {
            let mut lower =
                kernel.list(&paths::block(&name, "slaves")).unwrap_or_default();
            lower.extend(whole(kernel, &name));
            left.extend(lower.into_iter().filter(|its| beneath.insert(its.clone())));
        }
        Self { top, beneath }
    }
}

/// Returns the disk that a partition is on. `/sys/class/block/sda1` leads to
/// `.../sda/sda1`.
fn whole(kernel: &dyn Kernel, name: &str) -> Option<String> {
    if !kernel.exists(&paths::block(name, "partition")) {
        return None;
    }
    let device = kernel.resolve(&paths::block(name, "")).ok()?;
    Some(device.parent()?.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::kernel::RealKernel;

    /// A node with the disk sda and its partition sda1, with dm-0 on sda, and dm-1 and
    /// dm-2 on sdb.
    fn node() -> (tempfile::TempDir, RealKernel) {
        let root = tempfile::tempdir().unwrap();
        let devices = root.path().join("sys/devices");
        let class = root.path().join("sys/class/block");
        fs::create_dir_all(&class).unwrap();
        for device in ["sda", "sda/sda1", "sdb", "dm-0", "dm-1", "dm-2"] {
            let (at, name) =
                (devices.join(device), Path::new(device).file_name().unwrap());
            fs::create_dir_all(at.join("slaves")).unwrap();
            symlink(&at, class.join(name)).unwrap();
        }
        fs::write(devices.join("sda/sda1/partition"), "1\n").unwrap();
        for (above, below) in [("dm-0", "sda"), ("dm-1", "sdb"), ("dm-2", "sdb")] {
            fs::write(devices.join(above).join("slaves").join(below), "").unwrap();
        }
        let kernel = RealKernel::new(root.path());
        (root, kernel)
    }

    /// Returns whether a disk conflicts with a group that has another one.
    fn whose(has: &str, asked: &str, ownership: &str, reserved: bool) -> bool {
        let (_root, kernel) = node();
        let entry = format!(
            r#"{{"group": "g", "wwnn": "2000000025b5000a", "wwpn": "200100002500000a",
                "physical_port": "2000525400000001", "host": "host2", "role": "native",
                "since": 1, "ownership": "{ownership}",
                "disks": [{{"lun": 0, "device": "naa.60014050", "node": "/dev/{has}"}}]}}"#
        );
        let claims = Claims::of(vec![serde_json::from_str(&entry).unwrap()]);
        let disks = claims.disks(&kernel);
        disks.group(&kernel, &Path::new("/dev").join(asked), reserved) == Some("g")
    }

    #[test]
    fn a_disk_is_that_groups_who_has_what_is_beneath_or_above() {
        for (has, asked) in [
            ("sda", "sda"),
            ("sda", "sda1"),
            ("sda1", "sda"),
            ("sda", "dm-0"),
            ("dm-0", "sda"),
        ] {
            assert!(whose(has, asked, "none", false), "{has} {asked}");
        }
        assert!(!whose("sda", "sdb", "scsi3-pr", true));
    }

    #[test]
    fn two_volumes_of_one_disk_share_its_reservation_and_nothing_else() {
        assert!(!whose("dm-1", "dm-2", "none", false));
        assert!(whose("dm-1", "dm-2", "scsi3-pr", false));
        assert!(whose("dm-1", "dm-2", "none", true));
        assert!(whose("dm-1", "sdb", "none", false));
    }

    #[test]
    fn what_two_configurations_share_is_found_in_any_spelling() {
        let (_root, kernel) = node();
        let group = |letter: char, port: &str, disk: &str| {
            let value = |name: &str| match name {
                "wwnn" => Some(format!("20:00:00:25:b5:00:00:0{letter}")),
                "ports" => Some(port.to_owned()),
                "disks" => Some(disk.to_owned()),
                "initiators" => Some("21:00:00:24:ff:00:00:01".to_owned()),
                _ => None,
            };
            Group::parse(&letter.to_string(), value).unwrap()
        };
        let (port, wwid) =
            ("20:01:00:25:b5:00:00:0a", "naa.60014050000000000000000000000001");
        let one = group('a', port, &format!("0={wwid}"));
        let found =
            |port: &str, disk: &str| shared(&kernel, &one, &group('b', port, disk));
        let (other, by_id) = ("20:01:00:25:b5:00:00:0b", "/dev/disk/by-id");
        assert_eq!(found(other, "0=naa.60014050000000000000000000000002"), [""; 0]);
        assert_eq!(
            found("0x20010025B500000A", "0=/dev/disk/by-id/x"),
            [format!("port {port}")]
        );
        for name in ["wwn-0x6001405", "scsi-36001405", "dm-uuid-mpath-36001405"] {
            let disk = format!("7={by_id}/{name}0000000000000000000000001");
            assert_eq!(found(other, &disk), [format!("LUN 0 ({wwid})")], "{disk}");
        }
        let twin = Group { name: "twin".into(), ..one.clone() };
        assert_eq!(shared(&kernel, &one, &twin).len(), 3);
    }
}
