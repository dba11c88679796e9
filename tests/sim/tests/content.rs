//! The names of disks whose content is initiators', as each node keeps them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Node, Setup, pair};
use understudy_core::config::group::{DiskSpec, Slot};
use understudy_core::disks::content::keep_apart;
use understudy_core::kernel::{Kernel, paths};

/// Returns the disks of a group, with LUN numbers from 0.
fn disks(names: &[&str]) -> Option<Vec<DiskSpec>> {
    let spec = |(lun, name): (u16, &&str)| DiskSpec {
        slot: Slot::Lun(lun),
        device: name.parse().unwrap(),
    };
    Some((0..).zip(names).map(spec).collect())
}

fn keep(node: &Node, groups: &[(&str, Option<Vec<DiskSpec>>)]) -> Vec<String> {
    let groups = groups.iter().map(|(name, disks)| ((*name).to_owned(), disks.clone()));
    keep_apart(&node.kernel, &BTreeMap::from_iter(groups)).unwrap();
    node.kernel.list(Path::new(paths::CONTENT)).unwrap_or_default()
}

/// A disk's paths and its multipath device have names of their own, and not all of them need
/// be here yet.
#[test]
fn a_disk_is_known_by_each_name_that_sysfs_may_have() {
    let (a, _) = pair(&Setup::new(1, 1));
    let group = disks(&[
        "naa.600a0b80001234560000abcd12345678",
        "/dev/disk/by-id/wwn-0x500a0b8012345678",
        "eui.0017380012345678",
    ]);
    let kept = keep(&a, &[("group-a", group)]);
    let names = [
        "eui.0017380012345678",
        "mpath-20017380012345678",
        "mpath-3500a0b8012345678",
        "mpath-3600a0b80001234560000abcd12345678",
        "naa.500a0b8012345678",
        "naa.600a0b80001234560000abcd12345678",
    ];
    assert_eq!(kept, names);
}

/// A link whose name is not the disk's own leads to it.
#[test]
fn a_disk_behind_a_link_is_asked() {
    let (a, _) = pair(&Setup::new(1, 1));
    let names = ["/dev/disk/by-id/wwn-sda", "/dev/disk/by-id/nvme-3D_NAND_1"];
    let kept = keep(&a, &[("group-a", disks(&names))]);
    assert_eq!(kept, ["mpath-36001405sda", "naa.6001405sda"]);
    a.san.borrow_mut().shows(0, "sda", "device/wwid", "t10.ATA     A/B");
    assert_eq!(keep(&a, &[("group-a", disks(&names))]), [""; 0]);
    a.san.borrow_mut().shows(0, "sda", "device/wwid", "t10.ATA     A_B");
    let kept = keep(&a, &[("group-a", disks(&names))]);
    assert_eq!(kept, ["mpath-t10.ATA     A_B", "t10.ATA     A_B"]);
}

#[test]
fn what_is_no_groups_any_more_is_forgotten() {
    let (a, _) = pair(&Setup::new(1, 1));
    let [one, two] = ["eui.0000000000000001", "eui.0000000000000002"];
    let both = [("group-a", disks(&[one])), ("group-b", disks(&[two]))];
    assert_eq!(keep(&a, &both).len(), 4);
    // Nobody can tell what a group has whose parameters are wrong.
    let broken = [("group-a", None), ("group-b", disks(&[]))];
    assert_eq!(keep(&a, &broken), [one, "mpath-20000000000000001"]);
    // The disk has gone to another group.
    assert_eq!(keep(&a, &[("group-b", disks(&[one]))]).len(), 2);
    let file = Path::new(paths::CONTENT).join(one);
    assert_eq!(a.kernel.load(&file).unwrap(), "group-b\n");
    assert_eq!(keep(&a, &[]), [""; 0]);
}
