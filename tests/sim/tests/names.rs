//! Disks under the names that people, the kernel and its tools have for them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Node, Setup, pair};
use understudy_core::action::failure::Kind;
use understudy_core::config::group::{DiskSpec, Slot};
use understudy_core::disks::disk;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::run_files::registry::EntryDisk;
use understudy_core::verbs::check::{Verdict, check};
use understudy_sim::Deed;

/// Returns the kernel's name of the disk that is found under a name, or why none is.
fn found(node: &Node, name: &str) -> Result<String, String> {
    let spec = DiskSpec { slot: Slot::Lun(0), device: name.parse().unwrap() };
    let found = disk::find_all(&node.kernel, &[spec], &[]);
    found.map(|mut disks| disks.remove(0).name).map_err(|failure| failure.to_string())
}

/// Returns the serial number under which initiators know a disk as a LUN.
fn serial(node: &Node, name: &str) -> String {
    let spec = DiskSpec { slot: Slot::Lun(0), device: name.parse().unwrap() };
    let found = disk::find_all(&node.kernel, &[spec], &[]).unwrap();
    found[0].unit_serial(node.setup.wwnn.parse().unwrap())
}

/// A disk that SCSI names by an EUI-64: udev and multipath have another spelling for it.
#[test]
fn a_disk_named_by_its_eui_is_found_and_presents_one_identity() {
    let (a, b) = pair(&Setup::new(2, 1));
    let mut san = a.san.borrow_mut();
    for disk in ["sda", "sdb"] {
        san.shows(0, disk, "device/wwid", "eui.0017380012345678");
        san.is_held(0, disk, "dm-0");
    }
    san.shows(0, "dm-0", "dm/uuid", "mpath-20017380012345678");
    san.shows(0, "dm-0", "inflight", "");
    // The partner sees it by one path.
    san.shows(1, "sda", "device/wwid", "eui.0017380012345678");
    drop(san);
    let by_link = "/dev/disk/by-id/wwn-sda";
    for name in ["eui.0017380012345678", "20017380012345678", by_link] {
        assert_eq!(found(&a, name).as_deref(), Ok("dm-0"), "{name}");
        assert_eq!(found(&b, name).as_deref(), Ok("sda"), "{name}");
        assert_eq!(serial(&a, name), serial(&b, name), "{name}");
    }
}

#[test]
fn a_path_that_nvme_hides_is_no_disk() {
    let (a, _) = pair(&Setup::new(2, 1));
    let mut san = a.san.borrow_mut();
    san.shows(0, "nvme0n1", "wwid", "eui.0025385b71b00001");
    for twin in ["nvme0c0n1", "nvme0c1n1"] {
        san.shows(0, twin, "wwid", "eui.0025385b71b00001");
        san.shows(0, twin, "hidden", "1");
    }
    drop(san);
    assert_eq!(found(&a, "eui.0025385b71b00001").as_deref(), Ok("nvme0n1"));
}

/// As arrays print them, in capitals, and as people copy them from anywhere.
#[test]
fn a_name_is_taken_as_it_stands_on_paper() {
    let (a, _) = pair(&Setup::new(2, 1));
    a.san.borrow_mut().shows(
        0,
        "sda",
        "device/wwid",
        "naa.600a0b80001234560000abcd12345678",
    );
    let hex = "600A0B80001234560000ABCD12345678";
    for prefix in ["naa.", "NAA.", "0x", "wwn-0x", "scsi-3", "3", ""] {
        let name = format!("{prefix}{hex}");
        assert_eq!(found(&a, &name).as_deref(), Ok("sda"), "{name}");
    }
}

/// Without its map, two paths are no disk: nobody may pick one.
#[test]
fn two_paths_without_a_map_are_refused() {
    let (a, _) = pair(&Setup::new(2, 1));
    a.san.borrow_mut().shows(0, "sdb", "device/wwid", "naa.6001405sda");
    let why = found(&a, "naa.6001405sda").unwrap_err();
    assert!(why.contains("2 paths and no multipath device"), "{why}");
}

#[test]
fn a_name_that_each_node_deals_out_is_a_doubt() {
    let (a, _) = pair(&Setup::new(2, 1));
    for name in ["/dev/disk/by-path/pci-0000:09:00.0-lun-0", "/dev/mapper/mpatha"] {
        let scope = a.scope_with(&[("disks", &format!("0={name}"))]);
        let all = check(&a.action(), &scope);
        let doubt = all.into_iter().find(|found| found.what == "names").unwrap();
        assert_eq!(doubt.verdict, Verdict::Doubtful, "{name}");
    }
    let scope = a.scope_with(&[]);
    let all = check(&a.action(), &scope);
    assert!(all.iter().all(|found| found.what != "names"));
}

/// The database has the letter that a disk had: another disk may have it by now.
#[test]
fn a_letter_in_the_database_is_a_hint() {
    let (a, _) = pair(&Setup::new(3, 1));
    let entry = |name: &str, node: &str| EntryDisk {
        spec: DiskSpec { slot: Slot::Lun(0), device: name.parse().unwrap() },
        node: node.into(),
        wwid: None,
    };
    let by_wwid = entry("naa.6001405sdb", "/dev/sdb");
    assert_eq!(by_wwid.node_now(&a.kernel), Some("/dev/sdb".into()));
    let moved = entry("naa.6001405sdb", "/dev/sda");
    assert_eq!(moved.node_now(&a.kernel), Some("/dev/sdb".into()));
    let by_link = entry("/dev/disk/by-id/wwn-sdb", "/dev/sda");
    assert_eq!(by_link.node_now(&a.kernel), Some("/dev/sdb".into()));
    a.san.borrow_mut().shows(0, "sdb", "device/wwid", "naa.6001405zzz");
    assert_eq!(by_wwid.node_now(&a.kernel), None);
    // A disk that has left, whose letter another one has by now.
    let mut by_letter = entry("/dev/disk/by-id/wwn-gone", "/dev/sda");
    assert_eq!(by_letter.node_now(&a.kernel), Some("/dev/sda".into()));
    by_letter.wwid = Some("36001405gone".into());
    assert_eq!(by_letter.node_now(&a.kernel), None);
    // One that has left is still asked for by its old name.
    let left = entry("naa.6001405gone", "/dev/sdq");
    assert_eq!(left.node_now(&a.kernel), Some("/dev/sdq".into()));
}

/// An array may put another disk behind a number. What this node then calls by the old name
/// is never owned.
#[test]
fn a_disk_that_is_another_by_now_is_not_owned() {
    let (mut a, _) = pair(&Setup::new(2, 1));
    a.san.borrow_mut().swapped.insert("/dev/sdb".into());
    a.kernel.plan(None);
    let failure = a.start().unwrap_err().to_string();
    assert!(
        failure.contains("look who the disks are: LUN 1 (sdb): it is naa."),
        "{failure}"
    );
    let takes = |deed: &Deed| {
        matches!(
            deed,
            Deed::Op(Op::Register { .. } | Op::Join { .. } | Op::Reserve { .. })
        )
    };
    assert!(!a.kernel.deeds().iter().any(takes));
    assert_eq!(a.leavings(), [""; 0]);

    a.san.borrow_mut().swapped.clear();
    a.start().unwrap();
    a.kernel.sleep(std::time::Duration::from_secs(1));
    let more = a.setup.changed();
    let coming =
        more.all_disks().find(|name| !a.setup.all_disks().any(|its| its == *name));
    a.san.borrow_mut().swapped.insert(format!("/dev/{}", coming.unwrap()).into());
    let failure = a.reload(&more).unwrap_err().to_string();
    assert!(failure.contains("look who the disks are"), "{failure}");
}

/// A reservation is the whole disk's. Of a part it would keep out the users of the rest.
#[test]
fn a_part_of_a_disk_is_not_owned() {
    let parts = [
        ("sda1", "partition", "1"),
        ("nvme0n1p2", "partition", "2"),
        ("dm-3", "dm/uuid", "LVM-5j2cYk9CGZ"),
        ("dm-4", "dm/uuid", "part1-mpath-36001405"),
    ];
    for (name, attribute, text) in parts {
        let (a, _) = pair(&Setup::new(1, 1));
        let mut san = a.san.borrow_mut();
        san.shows(0, name, attribute, text);
        san.shows(0, name, "inflight", "");
        drop(san);
        let node = format!("/dev/{name}");
        a.kernel.set(&node, "");
        a.kernel.set_link(&format!("/dev/disk/by-id/{name}"), &node);
        let disk = format!("0=/dev/disk/by-id/{name}");
        let failure = a.start_with(&[("disks", &disk)]).unwrap_err();
        assert_eq!(failure.kind, Kind::Configuration, "{failure}");
        assert!(failure.to_string().contains(name), "{failure}");
        // Without a reservation of ours it is another's business who has the rest.
        let none = [("disks", disk.as_str()), ("ownership", "none")];
        let free = a.start_with(&none);
        assert!(free.is_ok(), "{free:?}");
    }
}
