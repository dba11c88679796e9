//! What targetcli's service may do on a node, and what it would do to a group there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Node, Setup, pair};
use understudy_core::situation::neighbours::{Saved, in_use, unguarded};
use understudy_core::verbs::check::{self, Finding, Verdict};

const SAVED: &str = "/etc/rtslib-fb-target/saveconfig.json";
const UNIT: &str = "rtslib-fb-targetctl.service";

#[test]
fn nothing_may_be_cleared_while_a_group_is_here() {
    let (a, b) = pair(&Setup::new(1, 1));
    assert_eq!(in_use(&a.kernel), [""; 0]);
    a.start().unwrap();
    assert_eq!(in_use(&a.kernel), ["group-a is served here"]);
    assert_eq!(in_use(&b.kernel), [""; 0]);
    a.stop().unwrap();
    assert_eq!(in_use(&a.kernel), [""; 0]);
}

/// On qla2xxx targets may not be cleared even after a group has gone: its port's target
/// stays, and the physical port's own target is not made again before a boot.
#[test]
fn nor_what_stays_with_a_port() {
    let (a, _) = pair(&Setup::new(1, 1).on_qla2xxx());
    let physical = in_use(&a.kernel);
    assert_eq!(physical.len(), 1, "{physical:?}");
    a.start().unwrap();
    a.stop().unwrap();
    let left = in_use(&a.kernel);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&format!("target {} belongs to a port", a.setup.ports[0])));
}

/// Returns a saved configuration: a group, an iSCSI target on `device`, and a backstore
/// on a file.
fn saved(node: &Node, device: &str) -> String {
    let port = node.setup.ports.first().unwrap().replace(':', "");
    format!(
        r#"{{"fabric_modules": [], "storage_objects": [
        {{"plugin": "block", "name": "lun_0", "dev": "/dev/sda",
          "wwn": "0123456789abcdef0123456789abcdef"}},
        {{"plugin": "block", "name": "mine", "dev": "{device}",
          "wwn": "01234567-89ab-cdef-0123-456789abcdef"}},
        {{"plugin": "fileio", "name": "lun_0", "dev": "/srv/file",
          "wwn": "11234567-89ab-cdef-0123-456789abcdef"}}],
        "targets": [
        {{"fabric": "tcm_fc", "wwn": "naa.{port}", "tpgs": [{{"tag": 1, "luns": [
          {{"alias": "backstore", "index": 0,
            "storage_object": "/backstores/block/lun_0"}}]}}]}},
        {{"fabric": "iscsi", "wwn": "iqn.2003-01.org.example:x", "tpgs": [{{"tag": 1,
          "luns": [{{"alias": "0a1b2c3d4e", "index": 0,
            "storage_object": "/backstores/block/mine"}}]}}]}}]}}"#
    )
}

#[test]
fn what_was_saved_is_restored_without_groups() {
    let (a, _) = pair(&Setup::new(1, 1));
    assert_eq!(Saved::read(&a.kernel), None);
    a.kernel.set(SAVED, &saved(&a, "/dev/sdx"));
    let others = Saved::read(&a.kernel).unwrap().without_groups().unwrap();
    let others: serde_json::Value = serde_json::from_str(&others).unwrap();
    let names = |list: &str, field: &str| {
        let all = others[list].as_array().unwrap().iter();
        all.map(|item| item[field].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("storage_objects", "plugin"), ["block", "fileio"]);
    assert_eq!(names("storage_objects", "name"), ["mine", "lun_0"]);
    assert_eq!(names("targets", "fabric"), ["iscsi"]);
    // The file has nothing of ours: targetctl reads its own.
    a.kernel.set(SAVED, &others.to_string());
    assert_eq!(Saved::read(&a.kernel).unwrap().without_groups(), None);
    for broken in ["", "[1, 2]", "{\"targets\": 3, \"storage_objects\": [[], 4, null]}"] {
        a.kernel.set(SAVED, broken);
        assert!(Saved::read(&a.kernel).is_none_or(|s| s.without_groups().is_none()));
    }
}

fn doubts(node: &Node) -> Vec<Finding> {
    let scope = node.scope_with(&[]);
    let all = check::check(&node.action(), &scope).into_iter();
    let doubts: Vec<_> = all.filter(|finding| finding.what == "neighbours").collect();
    assert!(doubts.iter().all(|finding| finding.verdict == Verdict::Doubtful));
    doubts
}

#[test]
fn a_check_says_what_the_service_would_do() {
    let (a, _) = pair(&Setup::new(1, 1));
    assert_eq!(doubts(&a), []);
    let drop_in = |root: &str| format!("{root}/systemd/system/{UNIT}.d/understudy.conf");
    a.kernel.set(&drop_in("/usr/lib"), "");
    a.kernel.set(&format!("/etc/systemd/system/multi-user.target.wants/{UNIT}"), "");
    a.kernel.set(SAVED, &saved(&a, "/dev/sdx"));
    // On, and what the package puts beside it has it leave groups alone.
    assert_eq!(unguarded(&a.kernel), [""; 0]);
    assert_eq!(doubts(&a), []);
    // An iSCSI target takes the disk of LUN 0.
    a.kernel.set(SAVED, &saved(&a, "/dev/sda"));
    let found: Vec<_> = doubts(&a).into_iter().map(|finding| finding.found).collect();
    assert_eq!(found, [format!("{SAVED} has LUN 0 as block/mine")]);
    // The administrator's file of that name replaces the package's.
    a.kernel.set(&drop_in("/etc"), "");
    a.kernel.set(SAVED, &saved(&a, "/dev/sdx"));
    let found: Vec<_> = doubts(&a).into_iter().map(|finding| finding.found).collect();
    let has = format!("{SAVED} has port {}, LUN 0 as block/lun_0", a.setup.ports[0]);
    assert_eq!(found, [format!("{UNIT} would clear this group's LUNs"), has]);
}
