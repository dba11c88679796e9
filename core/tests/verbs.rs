//! The verbs on the simulated kernel: what they do and what they refuse.

mod common;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use common::{Node, Setup};
use understudy_core::failure::Kind;
use understudy_core::kernel::sim::SimKernel;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::ownership::key_of;
use understudy_core::registry;
use understudy_core::verbs::{Health, Level, health, release};

fn pair() -> (Node, Node) {
    common::pair(&Setup::new(3, 2))
}

#[test]
fn a_group_comes_up_wholly_and_leaves_nothing() {
    let (a, _) = pair();
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert!(a.owns_all());
    let entries = registry::of_group(&a.kernel, "group-a");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].role, registry::Role::Native);

    a.stop().unwrap();
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn doing_it_again_changes_nothing() {
    let (a, _) = pair();
    a.start().unwrap();
    // Until every initiator has found it.
    a.kernel.sleep(Duration::from_secs(1));
    let tree = a.kernel.below("/sys");
    a.start().unwrap();
    assert_eq!(a.kernel.below("/sys"), tree);
    a.stop().unwrap();
    a.stop().unwrap();
}

#[test]
fn after_a_crash_the_partner_takes_every_disk() {
    let (a, b) = pair();
    a.start().unwrap();
    // No stop: the node lost its power. What it had registered stays.
    a.san.borrow_mut().crash(0);
    b.start().unwrap();
    assert!(b.owns_all());
    assert_eq!(b.health(Level::Disk), Health::Running);
    let entries = registry::of_group(&b.kernel, "group-a");
    assert_eq!(entries[0].role, registry::Role::Guest);
}

#[test]
fn both_nodes_present_the_same_identity() {
    let (a, b) = pair();
    let serials = |node: &Node| {
        let paths = node.kernel.below("/sys/kernel/config/target/core");
        let serials = paths.iter().filter(|p| p.ends_with("vpd_unit_serial"));
        serials.map(|p| (p.clone(), node.kernel.read(p).unwrap())).collect::<Vec<_>>()
    };
    a.start().unwrap();
    let before = serials(&a);
    assert_eq!(before.len(), 3);
    a.stop().unwrap();
    b.start().unwrap();
    assert_eq!(serials(&b), before);
}

#[test]
fn a_node_that_lost_its_disks_says_so() {
    let (a, b) = pair();
    a.start().unwrap();
    let disk = "/dev/sdb".into();
    let (key, other) = (key_of("b"), key_of("a"));
    let register = Op::Register { disk, key };
    let preempt = Op::PreemptAndAbort { disk: "/dev/sdb".into(), key, other };
    let until = b.budget().end;
    assert_eq!(b.kernel.run(&[vec![register, preempt]], until)[0].failed, None);
    let Health::Failed(faults) = a.health(Level::Owner) else { panic!("it is well") };
    assert!(faults[0].starts_with("LUN 1") && faults.len() == 1, "{faults:?}");
}

/// Registering would let this node write again, beside the owner.
#[test]
fn a_start_does_not_take_back_a_disk_that_it_still_exports() {
    let (a, b) = pair();
    a.start().unwrap();
    let (disk, key, other) = ("/dev/sdb".into(), key_of("b"), key_of("a"));
    let preempt = Op::PreemptAndAbort { disk, key, other };
    let register = Op::Register { disk: "/dev/sdb".into(), key };
    let until = b.budget().end;
    assert_eq!(b.kernel.run(&[vec![register, preempt]], until)[0].failed, None);
    let failure = a.start().unwrap_err().to_string();
    assert!(failure.contains("LUN 1") && failure.contains("Stop"), "{failure}");
    let now = a.san.borrow().disks.reservation("sdb");
    assert!(now.owned_by(key), "{now:?}");
    a.stop().unwrap();
    a.start().unwrap();
}

#[test]
fn all_disks_or_none() {
    let (a, _) = pair();
    a.san.borrow_mut().disks.without_reservations("sdb");
    let failure = a.start().unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("LUN 1") && text.contains("ownership=none"), "{text}");
    assert!(!a.owns_all());
    assert_eq!(a.leavings(), [""; 0]);
    // A stop of what cannot be here has nothing to fail at.
    a.stop().unwrap();
    a.start_with(&[("ownership", "none")]).unwrap();
}

#[test]
fn what_this_node_lacks_is_named() {
    for (change, want) in [
        (("disks", "0=/dev/disk/by-id/wwn-nix"), "LUN 0: /dev/disk/by-id/wwn-nix"),
        (("disks", "0=naa.600140500"), "no disk with this WWID"),
        (("disks", "0=/dev/disk/by-id/wwn-sda 1=naa.6001405sda"), "the same disk"),
        (("ports", "2001002500000001@1000000000000002"), "is in fabric 10:00"),
    ] {
        let (a, _) = pair();
        let failure = a.start_with(&[change]).unwrap_err();
        assert_eq!(failure.kind, Kind::Node, "{failure}");
        assert!(failure.to_string().contains(want), "{failure}");
        assert_eq!(a.leavings(), [""; 0]);
    }
}

#[test]
fn a_fabric_without_npiv_is_named_and_undone() {
    let (a, _) = pair();
    a.san.borrow_mut().npiv = false;
    let failure = a.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node);
    assert!(failure.to_string().contains("Turn NPIV on"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn a_port_that_is_logged_in_elsewhere_is_refused() {
    let (a, _) = pair();
    let remote = "/sys/class/fc_remote_ports/rport-2:0-1";
    a.kernel.set(&format!("{remote}/port_name"), "0x20010025b500000a\n");
    a.kernel.set(&format!("{remote}/port_state"), "Online\n");
    let failure = a.start().unwrap_err();
    assert!(failure.to_string().contains("logged in elsewhere"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
    a.kernel.set(&format!("{remote}/port_state"), "Blocked\n");
    a.start().unwrap();
}

#[test]
fn a_stop_waits_for_what_is_in_flight() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.keep_busy(Duration::from_secs(3));
    let before = a.kernel.now();
    a.stop().unwrap();
    assert!(a.kernel.now() - before >= Duration::from_secs(3));
}

/// What was accepted before the LUNs turned away may reach a disk at any moment.
#[test]
fn a_stop_waits_for_what_comes_between_two_looks() {
    for when in 0..40 {
        let (a, _) = pair();
        a.start().unwrap();
        let backstore = understudy_core::lio::backstore_path(
            a.setup.wwnn.parse().unwrap(),
            a.setup.disks[0].0,
        );
        let state = backstore.join("alua/default_tg_pt_gp/alua_access_state");
        let (other, looks) = (SimKernel::enter(&a.san, 0), Cell::new(0));
        let pause = |time: Duration| {
            if time.is_zero() && other.read(&state).is_ok_and(|s| s.trim() == "15") {
                looks.set(looks.get() + 1);
                if looks.get() == when {
                    other.keep_busy(Duration::from_millis(40));
                }
            }
            let mut san = a.san.borrow_mut();
            let to = san.now() + time;
            san.advance(to);
        };
        let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
        release(&kernel, a.name, &a.scope_with(&[]), a.budget()).unwrap();
        assert!(looks.get() > 40, "{}", looks.get());
    }
}

#[test]
fn a_stop_that_cannot_drain_fails_and_keeps_the_port() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.keep_busy(Duration::from_secs(100));
    let failure = a.stop().unwrap_err().to_string();
    assert!(failure.contains("drain") && failure.contains("sda"), "{failure}");
    assert!(a.owns_all());
    assert_eq!(a.kernel.list(Path::new("/sys/class/fc_vports")).unwrap().len(), 2);
    // It is in transition now, and a monitor must not call that running.
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
}

#[test]
fn a_broken_configuration_hides_no_port() {
    let (a, _) = pair();
    let broken = [("wwnn", "nonsense"), ("ports", ""), ("disks", "?")];
    let look = |node: &Node| {
        let scope = node.scope_with(&broken);
        health(&node.kernel, node.name, &scope, Level::Port, node.budget())
    };
    assert_eq!(look(&a), Health::NotRunning);
    a.stop_with(&broken).unwrap();
    a.start().unwrap();
    assert!(matches!(look(&a), Health::Failed(_)));
    a.stop_with(&broken).unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn a_damaged_database_entry_is_set_aside() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.set("/run/understudy/ports/20010025b500000a.json", "{ half");
    a.stop().unwrap();
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert!(a.kernel.exists(Path::new("/run/understudy/ports/20010025b500000a.damaged")));
}
