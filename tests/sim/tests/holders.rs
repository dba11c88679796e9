//! A disk that something else on the node has: LIO could not open it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Node, Setup, pair};
use understudy_core::action::failure::Kind;
use understudy_core::verbs::check::{Verdict, check};
use understudy_core::verbs::{Health, Level, check_node};

/// Looks that a node refuses to start, says why, and would say so before.
fn is_refused(node: &Node, words: &str) {
    let scope = node.scope_with(&[]);
    for failure in [
        check_node(&node.kernel, &scope, node.budget()).unwrap_err(),
        node.start().unwrap_err(),
    ] {
        assert_eq!(failure.kind, Kind::Node, "{failure}");
        assert!(failure.to_string().contains(words), "{failure}");
    }
    let all = check(&node.action(), &scope);
    let found = all.into_iter().find(|found| found.what == "holders").unwrap();
    assert_eq!(found.verdict, Verdict::Bad);
    assert!(found.found.contains(words), "{found:?}");
    node.stop().unwrap();
}

/// What initiators wrote is a volume group to this node too.
#[test]
fn a_volume_on_the_disk_is_named() {
    let (a, b) = pair(&Setup::new(2, 1).keeping());
    let mut san = a.san.borrow_mut();
    san.is_held(0, "sdb", "dm-3");
    san.shows(0, "dm-3", "dm/name", "vg-data");
    drop(san);
    is_refused(&a, "LUN 1 (naa.6001405sdb) is in use here: dm-3 (vg-data)");
    assert_eq!(a.leavings(), [""; 0]);
    b.start().unwrap();
}

#[test]
fn an_array_on_a_partition_is_named() {
    let (a, _) = pair(&Setup::new(2, 1));
    let mut san = a.san.borrow_mut();
    san.shows(0, "sda1", "partition", "1");
    san.is_held(0, "sda1", "md127");
    drop(san);
    is_refused(&a, "is in use here: md127");
}

#[test]
fn a_mount_is_named_and_a_keeper_is_none() {
    let (a, _) = pair(&Setup::new(2, 1).keeping());
    a.start().unwrap();
    a.start().unwrap();
    assert_eq!(a.health(Level::Owner), Health::Running);
    a.stop().unwrap();
    a.san.borrow_mut().mounts(0, "/dev/sda /mnt ext4 rw 0 0");
    is_refused(&a, "is in use here: mounted on /mnt");
}
