//! A group on NVMe namespaces, with the reservations of Linux's own NVMe target.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Node, Setup, initiators, key_of, pair};
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::kernel::reservation::{Holder, Key, Reservation};
use understudy_core::kernel::{Done, Kernel, KernelError, Op};
use understudy_core::verbs::check::{Verdict, check};
use understudy_core::verbs::{Health, Level, status};

const FIRST: &str = "nvme0n1";
const SECOND: &str = "nvme1n1";
/// Another program's key.
const STRANGE: Key = Key(0xdead_beef_0000_0001);
/// A host that is no node.
const HOST: usize = 7;

/// Returns two nodes with two namespaces.
fn nodes() -> (Node, Node) {
    pair(&Setup::new(2, 1).on_nvme())
}

/// Has initiators write to each LUN from now on: a conflict or a lost write ends the test.
fn write(node: &Node) {
    for (initiator, (lun, disk)) in
        initiators().into_iter().cycle().zip(&node.setup.disks)
    {
        let port = node.setup.ports[0].parse().unwrap();
        node.san.borrow_mut().write_from(initiator, port, *lun, disk);
    }
}

/// Lets commands flow, and looks that all is well at every level.
fn is_well(node: &Node) {
    let written = || node.san.borrow().acknowledged().min();
    let before = written();
    node.kernel.sleep(Duration::from_secs(4));
    assert!(before.is_none() || written() > before, "nothing is written");
    for level in [Level::Port, Level::Owner, Level::Disk] {
        assert_eq!(node.health(level), Health::Running, "{level:?}");
    }
    assert!(node.owns_all());
}

fn on(node: &Node, disk: &str) -> Reservation {
    node.san.borrow().disks.reservation(disk)
}

/// Registers a host that is no node, and has it hold with a type, if one is given.
fn other(node: &Node, disk: &str, key: Key, kind: Option<u8>) {
    node.san.borrow_mut().disks.other_type(disk, HOST, key, kind);
}

fn refused(node: &Node, words: &[&str]) -> Failure {
    let failure = node.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    for words in words {
        assert!(failure.to_string().contains(words), "{failure}");
    }
    assert_eq!(node.leavings(), [""; 0]);
    failure
}

#[test]
fn a_group_is_served_and_given_up() {
    let (a, b) = pair(&Setup::new(3, 2).on_nvme().keeping());
    write(&a);
    for node in [&a, &b, &a] {
        node.start().unwrap();
        is_well(node);
        let held = Some(Holder { key: key_of(node.name), kind: 5 });
        assert_eq!(on(node, FIRST).holder, held);
        node.start().unwrap();
        is_well(node);
        node.stop().unwrap();
        assert_eq!(node.leavings(), [""; 0]);
        assert_eq!(on(node, FIRST), Reservation::default());
    }
}

#[test]
fn the_partner_takes_over_from_a_node_that_is_dead() {
    let (a, b) = nodes();
    write(&a);
    a.start().unwrap();
    is_well(&a);
    a.san.borrow_mut().crash(0);
    b.start().unwrap();
    is_well(&b);
    a.san.borrow_mut().boot(0);
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert!(!a.san.borrow().disks.accepts(FIRST, 0));
    b.stop().unwrap();
    a.start().unwrap();
    is_well(&a);
}

#[test]
fn a_group_changes_while_it_is_served() {
    let setup = Setup::new(2, 1).on_nvme();
    let mut more = setup.clone();
    more.disks.push((60, "sdx".into()));
    let (mut a, _) = pair(&setup);
    a.start().unwrap();
    // A SCSI disk beside them.
    a.reload(&more).unwrap();
    is_well(&a);
    let luns = more.disks.iter().map(|(lun, _)| *lun).collect();
    a.san.borrow_mut().unused.0 = luns;
    a.kernel.sleep(Duration::from_secs(1));
    let mut fewer = more.clone();
    fewer.disks.remove(0);
    a.reload(&fewer).unwrap();
    is_well(&a);
}

#[test]
fn a_namespace_that_refuses_leaves_none_owned() {
    let (a, _) = nodes();
    a.san.borrow_mut().disks.deaf(SECOND);
    let failure = a.start().unwrap_err();
    assert!(failure.to_string().contains("LUN 1"), "{failure}");
    assert!(!failure.to_string().contains("LUN 0"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn a_namespace_without_reservations_is_refused_with_advice() {
    let (a, _) = nodes();
    a.san.borrow_mut().disks.without_reservations(SECOND);
    refused(&a, &["LUN 1", "does not support persistent reservations", "ownership=none"]);
    a.stop().unwrap();
    a.start_with(&[("ownership", "none")]).unwrap();
}

#[test]
fn a_host_that_only_stands_there_is_removed_at_a_start() {
    let (a, b) = nodes();
    a.start().unwrap();
    other(&a, SECOND, STRANGE, None);
    a.san.borrow_mut().crash(0);
    // The holder is taken last: its own word would remove nobody any more.
    b.start().unwrap();
    is_well(&b);
}

#[test]
fn a_host_that_holds_is_left_alone() {
    for kind in [1, 3, 5, 6] {
        let (a, _) = nodes();
        other(&a, SECOND, STRANGE, Some(kind));
        let before = on(&a, SECOND);
        refused(&a, &["LUN 1", "another program's"]);
        assert_eq!(on(&a, SECOND), before);
    }
}

/// All of a type are holders, and a takeover removes them at once.
#[test]
fn a_partner_is_removed_whatever_type_it_holds_with() {
    for kind in [1, 3, 5, 6, 7, 8] {
        let (a, _) = nodes();
        other(&a, SECOND, key_of("b"), Some(kind));
        a.start().unwrap();
        is_well(&a);
    }
}

/// As after a start of the partner that was cut short, and then a crash of this node. The
/// namespace removes nobody at its holder's word, so this node leaves first.
#[test]
fn a_holder_that_starts_again_gets_rid_of_others() {
    for key in [key_of("b"), STRANGE] {
        let (a, _) = nodes();
        a.start().unwrap();
        a.san.borrow_mut().crash(0);
        other(&a, SECOND, key, None);
        a.san.borrow_mut().boot(0);
        a.start().unwrap();
        is_well(&a);
    }
}

#[test]
fn what_is_ours_in_another_type_is_taken_anew() {
    let (a, _) = nodes();
    let key = a.keys().now;
    a.san.borrow_mut().disks.other_type(SECOND, 0, key, Some(1));
    a.start().unwrap();
    is_well(&a);
}

/// Another host may write beside the owner as soon as it is registered. The namespace keeps
/// it, whatever its holder says, so the group has to start again.
#[test]
fn a_host_that_registers_beside_the_owner_fails_the_monitor() {
    let (a, _) = nodes();
    a.start().unwrap();
    other(&a, SECOND, STRANGE, None);
    let Health::Failed(why) = a.health(Level::Owner) else { panic!("not seen") };
    assert!(why[0].contains("another program's"), "{why:?}");
    a.stop().unwrap();
    a.start().unwrap();
    is_well(&a);
}

#[test]
fn the_monitor_fails_where_a_namespace_is_no_longer_owned() {
    let (a, _) = nodes();
    a.start().unwrap();
    let ask = |op: Op| {
        let results = a.kernel.run(&[vec![op]], a.budget().end);
        results.into_iter().next().unwrap().into_last().unwrap()
    };
    ask(Op::Unregister { disk: Path::new("/dev").join(SECOND), key: a.keys().now });
    assert_eq!(a.health(Level::Port), Health::Running);
    for level in [Level::Owner, Level::Disk] {
        let Health::Failed(why) = a.health(level) else { panic!("not seen") };
        assert!(why[0].contains("LUN 1"), "{why:?}");
    }
}

/// As cloned nodes have it. The namespace takes both for one host, and a registration would
/// replace the one of the node that serves.
#[test]
fn nodes_with_one_host_id_are_refused() {
    // By what the first namespace says, and by what a later one does.
    for disk in [FIRST, SECOND] {
        let (a, b) = nodes();
        a.san.borrow_mut().disks.share_host_id();
        a.san.borrow_mut().disks.other_type(disk, 0, key_of("a"), Some(5));
        let before = on(&a, disk);
        refused(
            &b,
            &["another node's, under this node's own Host ID", "/etc/nvme/hostid"],
        );
        assert_eq!(on(&a, disk), before);
        b.stop().unwrap();
        assert_eq!(on(&a, disk), before);
    }
}

#[test]
fn one_host_id_for_both_nodes_is_named_while_one_serves() {
    let (a, b) = nodes();
    a.san.borrow_mut().disks.share_host_id();
    write(&a);
    a.start().unwrap();
    is_well(&a);
    let found = check(&b.action(), &b.scope_with(&[]));
    let bad = found.iter().find(|finding| finding.verdict == Verdict::Bad).unwrap();
    assert!(bad.found.contains("under this node's own Host ID"), "{bad:?}");
    assert!(bad.advice.contains("/etc/nvme/hostid"), "{bad:?}");
    // The partner's start is refused after a crash, too, and takes nothing.
    a.san.borrow_mut().crash(0);
    refused(&b, &["Host ID"]);
    a.san.borrow_mut().boot(0);
    a.start().unwrap();
    is_well(&a);
}

/// As after a change of this node's Host ID: its earlier registration is another host's.
#[test]
fn an_earlier_host_id_of_this_node_hinders_nothing() {
    let (a, b) = nodes();
    other(&a, SECOND, key_of("a"), Some(5));
    a.start().unwrap();
    is_well(&a);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    other(&a, SECOND, key_of("a"), Some(5));
    a.start().unwrap();
    a.san.borrow_mut().crash(0);
    b.start().unwrap();
    is_well(&b);
}

#[test]
fn the_status_says_whose_a_namespace_is() {
    let (a, b) = nodes();
    a.start().unwrap();
    assert!(status(&a.action()).unwrap().is_healthy());
    let found = check(&b.action(), &b.scope_with(&[]));
    assert!(found.iter().any(|finding| finding.found == "2 another's"), "{found:?}");
}

/// A host of a namespace, which gives one command after another.
struct Host<'a>(&'a Node);

impl Host<'_> {
    fn ask(&self, op: Op) -> Result<Done, KernelError> {
        let kernel = &self.0.kernel;
        let results = kernel.run(&[vec![op]], kernel.now() + Duration::from_secs(5));
        results.into_iter().next().unwrap().into_last()
    }

    fn join(&self, key: u64) -> bool {
        self.ask(Op::Join { disk: disk(), key: Key(key) }).is_ok()
    }

    fn register(&self, key: u64) -> bool {
        self.ask(Op::Register { disk: disk(), key: Key(key) }).is_ok()
    }

    fn unregister(&self, key: u64) -> bool {
        self.ask(Op::Unregister { disk: disk(), key: Key(key) }).is_ok()
    }

    fn reserve(&self, key: u64) -> bool {
        self.ask(Op::Reserve { disk: disk(), key: Key(key) }).is_ok()
    }

    fn preempt(&self, key: u64, other: u64) -> bool {
        let (key, other) = (Key(key), Key(other));
        self.ask(Op::PreemptAndAbort { disk: disk(), key, other }).is_ok()
    }

    fn keys(&self) -> Vec<u64> {
        on(self.0, FIRST).keys.iter().map(|key| key.0).collect()
    }

    fn holder(&self) -> Option<(u64, u8)> {
        on(self.0, FIRST).holder.map(|holder| (holder.key.0, holder.kind))
    }
}

fn disk() -> std::path::PathBuf {
    Path::new("/dev").join(FIRST)
}

#[test]
fn a_host_has_one_registration() {
    let (a, b) = nodes();
    let (a, b) = (Host(&a), Host(&b));
    assert!(a.join(1) && a.join(1) && !a.join(2));
    assert!(a.register(2) && b.register(9));
    assert_eq!(a.keys(), [2, 9]);
    assert!(!a.unregister(1) && !a.unregister(9) && a.unregister(2));
    assert!(!a.unregister(2) && !a.reserve(2) && !a.preempt(2, 9));
    assert_eq!(a.keys(), [9]);
    let read = |host: &Host<'_>| match host.ask(Op::ReadReservation(disk())) {
        Ok(Done::Reservation(now)) => now.host_key,
        other => panic!("{other:?}"),
    };
    assert_eq!((read(&a), read(&b)), (Some(Key(0)), Some(Key(9))));
}

#[test]
fn a_reservation_ends_with_its_holder() {
    let (a, b) = nodes();
    let (a, b) = (Host(&a), Host(&b));
    assert!(a.join(1) && b.join(2) && a.reserve(1) && a.reserve(1) && !b.reserve(2));
    assert_eq!(a.holder(), Some((1, 5)));
    assert!(b.unregister(2));
    assert_eq!(a.holder(), Some((1, 5)));
    assert!(b.join(2) && a.unregister(1));
    assert_eq!((a.keys(), a.holder()), (vec![2], None));
}

#[test]
fn a_holder_that_preempts_removes_nobody() {
    let (a, b) = nodes();
    let (a, b) = (Host(&a), Host(&b));
    assert!(a.join(1) && b.join(2) && a.reserve(1));
    assert!(a.preempt(1, 2) && a.preempt(1, 1) && a.preempt(1, 7));
    assert_eq!((a.keys(), a.holder()), (vec![1, 2], Some((1, 5))));
    assert!(b.preempt(2, 1));
    assert_eq!((a.keys(), a.holder()), (vec![2], Some((2, 5))));
}

#[test]
fn a_key_that_nobody_has_cannot_be_preempted() {
    let (a, b) = nodes();
    let (a, b) = (Host(&a), Host(&b));
    assert!(a.join(1) && b.join(2));
    assert!(!a.preempt(1, 7) && !a.preempt(1, 0));
    // Without a reservation, its own key removes a host itself.
    assert!(a.preempt(1, 1));
    assert_eq!((a.keys(), a.holder()), (vec![2], None));
    assert!(a.join(1) && b.reserve(2) && !a.preempt(1, 7) && !a.preempt(1, 0));
    assert_eq!(a.keys(), [1, 2]);
}

#[test]
fn where_all_are_holders_key_zero_preempts_them() {
    for kind in [7, 8] {
        let (a, b) = nodes();
        other(&a, FIRST, Key(3), Some(kind));
        let (a, b) = (Host(&a), Host(&b));
        assert!(a.join(1) && b.join(2) && !a.reserve(1));
        assert_eq!(a.holder(), Some((0, kind)));
        assert!(a.preempt(1, 2));
        assert_eq!((a.keys(), a.holder()), (vec![1, 3], Some((0, kind))));
        assert!(a.preempt(1, 0));
        assert_eq!((a.keys(), a.holder()), (vec![1], Some((1, 5))));
    }
}

/// The kernel's own way to unregister was seen to leave such a registrant (Linux 7.3.4).
#[test]
fn a_host_with_the_key_zero_is_named_before_anything_is_taken() {
    for kind in [None, Some(5)] {
        let (a, b) = nodes();
        other(&b, FIRST, Key(0), kind);
        refused(&a, &["has a host with the key 0", "--rrega=1 --crkey=0"]);
        assert_eq!(Host(&a).keys(), [0]);
    }
}

/// The target aborts nothing: it answers when all that it had taken in is done.
#[test]
fn what_a_namespace_has_taken_in_is_done_before_its_owner_changes() {
    for seed in 0..200 {
        let (a, b) = nodes();
        a.san.borrow_mut().vary(seed);
        write(&a);
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(20));
        a.san.borrow_mut().crash(0);
        let before = a.san.borrow().acknowledged().min();
        b.start().unwrap();
        b.kernel.sleep(Duration::from_secs(60));
        assert!(a.san.borrow().acknowledged().min() > before, "{seed}");
        assert_eq!(b.health(Level::Disk), Health::Running, "{seed}");
    }
}

/// The kernel's own multipath shows each path of a namespace beside it, hidden and with its
/// WWID.
#[test]
fn the_kernels_own_paths_are_no_second_ones() {
    let (a, _) = nodes();
    for (number, disk) in [FIRST, SECOND].iter().enumerate() {
        let path = format!("nvme{number}c0n1");
        let wwid = a.kernel.read(&Path::new("/sys/class/block").join(disk).join("wwid"));
        let mut san = a.san.borrow_mut();
        san.shows(0, &path, "wwid", wwid.unwrap().trim());
        san.shows(0, &path, "hidden", "1");
    }
    a.start().unwrap();
    is_well(&a);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}
