//! Keys on a group's disks: this node's from before, another cluster's, other programs'.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Node, Setup, key_of, pair};
use nix::errno::Errno;
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::disks::ownership::{Keys, remember_cluster};
use understudy_core::kernel::reservation::{Key, Reservation};
use understudy_core::verbs::check::{Verdict, check};
use understudy_core::verbs::{Health, Level, plan, status};

/// Keys as fence_scsi makes them: four digits of its cluster, four of the node.
const FENCING: [Key; 2] = [Key(0x5e2a_0000), Key(0x5e2a_0001)];
/// Another program's key.
const STRANGE: Key = Key(0xdead_beef_0000_0001);
/// A nexus of no node.
const NEXUS: usize = 7;

fn on(node: &Node, disk: &str) -> Reservation {
    node.san.borrow().disks.reservation(disk)
}

/// Registers another program on a nexus of a disk.
fn program(node: &Node, disk: &str, nexus: usize, key: Key, reserves: bool) {
    node.san.borrow_mut().disks.other_program(disk, nexus, key, reserves);
}

/// Asserts that a start is refused for what is on a disk and leaves it as it is, and that
/// a stop after it succeeds.
fn refused(node: &Node, disk: &str, words: &str) -> Failure {
    let before = on(node, disk);
    let failure = node.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    assert!(failure.to_string().contains(words), "{failure}");
    assert!(!failure.to_string().contains("ownership=none"), "{failure}");
    assert_eq!(node.leavings(), [""; 0]);
    node.stop().unwrap();
    assert_eq!(on(node, disk), before);
    assert_eq!(node.health(Level::Disk), Health::NotRunning);
    failure
}

#[test]
fn a_node_that_learns_its_clusters_word_goes_on_serving() {
    let (a, b) = pair(&Setup::new(2, 1));
    a.start().unwrap();
    remember_cluster(&a.kernel, "00c1").unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert_eq!(on(&a, "sda").keys, [key_of("a")]);
    let served = status(&a.action()).unwrap();
    assert!(served.is_healthy(), "{served:?}");
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    a.start().unwrap();
    assert_eq!(on(&a, "sda").keys, [Keys::new("a", Some(0xc1)).now]);
    // A node that does not know the word yet takes over from one that does, and the other
    // way round.
    a.san.borrow_mut().crash(0);
    b.start().unwrap();
    assert_eq!(on(&b, "sda").keys, [key_of("b")]);
    a.san.borrow_mut().boot(0);
    remember_cluster(&a.kernel, "00c1").unwrap();
    a.san.borrow_mut().crash(1);
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// A stop answers for what serves: it needs no note of the cluster's word, which is only
/// a hint.
#[test]
fn a_stop_does_without_the_clusters_word() {
    let (a, _) = pair(&Setup::new(2, 1));
    remember_cluster(&a.kernel, "00c1").unwrap();
    a.start().unwrap();
    a.kernel.make_unreadable("understudy/cluster", Errno::EIO);
    assert!(matches!(a.health(Level::Owner), Health::Failed(_)));
    a.start().unwrap_err();
    a.stop().unwrap();
    for disk in ["sda", "sdb"] {
        assert_eq!(on(&a, disk).keys, []);
    }
}

#[test]
fn a_disk_of_another_cluster_with_the_same_names_is_refused() {
    let (a, b) = pair(&Setup::new(2, 1));
    // Another cluster's node of the same name, on the same array.
    remember_cluster(&a.kernel, "00c1").unwrap();
    remember_cluster(&b.kernel, "00c2").unwrap();
    let other = Node { name: "a", ..b };
    a.start().unwrap();
    let mut setup = other.setup.clone();
    setup.wwnn = "20:00:00:25:b5:00:00:0e".into();
    setup.ports = vec!["20:01:00:25:b5:00:00:0e".into()];
    let other = Node { setup, ..other };
    refused(&other, "sda", "a node's of another cluster");
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert!(a.owns_all());
}

#[test]
fn a_registrant_that_does_not_belong_there_is_removed_in_place() {
    let (a, _) = pair(&Setup::new(2, 1));
    a.start().unwrap();
    let other_cluster = Keys::new("b", Some(0xc2)).now;
    remember_cluster(&a.kernel, "00c1").unwrap();
    for strange in [STRANGE, other_cluster] {
        program(&a, "sdb", NEXUS, strange, false);
        assert_eq!(a.health(Level::Port), Health::Running);
        assert_eq!(on(&a, "sdb").keys.len(), 2);
        assert_eq!(a.health(Level::Owner), Health::Running);
        assert!(a.owns_all());
    }
    // Another node's key is not removed: the cluster says whose the disk is.
    program(&a, "sdb", NEXUS, key_of("b"), false);
    assert!(matches!(a.health(Level::Owner), Health::Failed(_)));
    assert_eq!(on(&a, "sdb").keys.len(), 2);
}

#[test]
fn a_takeover_removes_what_only_stood_there() {
    let (a, b) = pair(&Setup::new(2, 1));
    a.start().unwrap();
    program(&a, "sdb", NEXUS, STRANGE, false);
    a.san.borrow_mut().crash(0);
    b.start().unwrap();
    assert!(b.owns_all());
}

#[test]
fn keys_that_keep_nodes_apart_are_named_and_left() {
    let (a, _) = pair(&Setup::new(2, 1));
    // Keys of this node's nexus and of the other's, each with and without the
    // reservation.
    for (disk, nexus, reserves) in
        [("sda", 0, false), ("sdb", 0, true), ("sda", 1, true), ("sdb", 1, false)]
    {
        let (a, _) = pair(&Setup::new(2, 1));
        program(&a, disk, nexus, FENCING[nexus], reserves);
        let failure = refused(&a, disk, "as fence_scsi");
        assert!(failure.to_string().contains(&FENCING[nexus].to_string()), "{failure}");
        let plan = plan::takeover_steps(&a.action(), &a.scope_with(&[]));
        assert!(plan.unwrap_err().to_string().contains("as fence_scsi"));
        let found = check(&a.action(), &a.scope_with(&[]));
        let bad = found.iter().find(|finding| finding.verdict == Verdict::Bad).unwrap();
        assert!(bad.found.contains("as fence_scsi"), "{bad:?}");
    }
    a.start().unwrap();
    program(&a, "sdb", NEXUS, FENCING[1], false);
    let Health::Degraded(doubts) = a.health(Level::Disk) else { panic!("not told") };
    assert!(doubts[0].contains("as fence_scsi"), "{doubts:?}");
    assert_eq!(on(&a, "sdb").keys.len(), 2);
}

#[test]
fn a_disk_that_a_stranger_holds_is_refused() {
    let (a, _) = pair(&Setup::new(2, 1));
    for disk in ["sda", "sdb"] {
        let (a, _) = pair(&Setup::new(2, 1));
        program(&a, disk, NEXUS, STRANGE, true);
        refused(&a, disk, "another program's");
    }
    a.san.borrow_mut().disks.reserve_the_old_way("sdb", NEXUS);
    refused(&a, "sdb", "SPC-2");
}
