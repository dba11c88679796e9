//! Disks with two paths from each node: any may be dead, come or come back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::{Node, Setup, initiators, pair, pair_by_paths};
use understudy_core::kernel::Kernel;
use understudy_core::verbs::check::check;
use understudy_core::verbs::{Health, Level, takeover};
use understudy_sim::{Nexus, SimKernel};

/// Has a path of a node to a disk fail from now on, or work again.
fn set_dead(at: &Node, disk: &str, path: usize, dead: bool) {
    let nexus = Nexus { node: at.kernel.node(), path };
    at.san.borrow_mut().disks.set_dead(disk, nexus, dead);
}

fn keys_on(node: &Node, disk: &str) -> usize {
    node.san.borrow().disks.reservation(disk).keys.len()
}

fn disks(node: &Node) -> Vec<String> {
    node.setup.all_disks().map(str::to_owned).collect()
}

/// Returns two nodes with two paths to each disk, and initiators that write to each LUN: a
/// conflict ends the test.
fn nodes(setup: &Setup) -> (Node, Node) {
    let (a, b) = pair_by_paths(setup, 2);
    for (initiator, (lun, disk)) in initiators().into_iter().cycle().zip(&setup.disks) {
        let port = setup.ports[0].parse().unwrap();
        a.san.borrow_mut().write_from(initiator, port, *lun, disk);
    }
    (a, b)
}

/// Lets commands flow, and looks that all is well.
fn is_well(node: &Node, why: &str) {
    let written = || node.san.borrow().acknowledged().min();
    let before = written();
    node.kernel.sleep(Duration::from_secs(4));
    assert!(written() > before, "{why}: nothing is written");
    assert_eq!(node.health(Level::Disk), Health::Running, "{why}");
    assert!(node.owns_all(), "{why}");
}

/// A path may leave at any read or operation of a start: the other one works.
#[test]
fn a_path_may_leave_at_any_moment_of_a_start() {
    for moment in 0.. {
        let (a, _) = nodes(&Setup::new(2, 1));
        let passed = Cell::new(0);
        let pause = |time| {
            let mut san = a.san.borrow_mut();
            let to = san.now() + time;
            san.advance(to);
            if passed.replace(passed.get() + 1) == moment {
                san.path_leaves(0, "sda", 0).unwrap();
            }
        };
        let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
        let started = takeover(&mut a.action_on(&kernel), &a.scope_with(&[]));
        assert_eq!(started, Ok(()), "it left at moment {moment}");
        if passed.get() <= moment {
            assert!(moment > 100, "a start of {moment} moments");
            break;
        }
    }
}

#[test]
fn each_path_is_registered_and_given_up() {
    let (a, b) = nodes(&Setup::new(3, 2).keeping());
    a.start().unwrap();
    is_well(&a, "both");
    assert!(disks(&a).iter().all(|disk| keys_on(&a, disk) == 2));
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    b.start().unwrap();
    is_well(&b, "the partner");
    assert!(disks(&b).iter().all(|disk| keys_on(&b, disk) == 2));
}

/// With any path of any disk dead from before: start, monitor, stop, and the partner's
/// takeover after a crash.
#[test]
fn a_path_that_is_dead_before_is_left_out() {
    for path in [0, 1] {
        let (a, b) = nodes(&Setup::new(2, 1).keeping());
        for disk in disks(&a) {
            set_dead(&a, &disk, path, true);
            set_dead(&b, &disk, path, true);
            a.start().unwrap();
            is_well(&a, &disk);
            assert_eq!(keys_on(&a, &disk), 1, "{disk}");
            a.stop().unwrap();
            assert_eq!(a.leavings(), [""; 0], "{disk}");
            a.start().unwrap();
            a.san.borrow_mut().crash(0);
            b.start().unwrap();
            is_well(&b, &disk);
            b.stop().unwrap();
            a.san.borrow_mut().boot(0);
            set_dead(&a, &disk, path, false);
            set_dead(&b, &disk, path, false);
        }
    }
}

/// A key stays on a path that died while the group was served: a path that is up takes it
/// away.
#[test]
fn a_path_that_dies_while_served_hinders_no_stop() {
    for path in [0, 1] {
        let (a, b) = nodes(&Setup::new(2, 1).keeping());
        for disk in disks(&a) {
            a.start().unwrap();
            set_dead(&a, &disk, path, true);
            is_well(&a, &disk);
            a.stop().unwrap();
            assert_eq!(a.leavings(), [""; 0], "{disk}");
            set_dead(&a, &disk, path, false);
            b.start().unwrap();
            is_well(&b, &disk);
            b.stop().unwrap();
        }
    }
}

/// multipathd registers a path that comes back before a command can go by it.
#[test]
fn a_path_that_comes_back_meets_no_conflict() {
    for path in [0, 1] {
        let (a, b) = nodes(&Setup::new(2, 1).keeping());
        for disk in disks(&a) {
            set_dead(&a, &disk, path, true);
            a.start().unwrap();
            is_well(&a, &disk);
            set_dead(&a, &disk, path, false);
            is_well(&a, &disk);
            assert_eq!(keys_on(&a, &disk), 2, "{disk}");
            // One that comes back after the stop gets no key.
            set_dead(&a, &disk, path, true);
            a.stop().unwrap();
            b.start().unwrap();
            set_dead(&a, &disk, path, false);
            is_well(&b, &disk);
            b.stop().unwrap();
            assert_eq!(a.leavings(), [""; 0], "{disk}");
        }
    }
}

/// As some arrays do: a second path has no registration of its own to make or to give up.
#[test]
fn an_array_may_keep_one_registration_for_all_paths() {
    let (a, b) = nodes(&Setup::new(2, 1).keeping());
    a.san.borrow_mut().disks.register_by_node();
    for _ in 0..2 {
        a.start().unwrap();
        is_well(&a, "home");
        assert!(disks(&a).iter().all(|disk| keys_on(&a, disk) == 1));
        a.stop().unwrap();
        assert_eq!(a.leavings(), [""; 0]);
    }
    a.start().unwrap();
    a.san.borrow_mut().crash(0);
    b.start().unwrap();
    is_well(&b, "the partner");
}

/// Without multipathd's help, the monitor of level 10 registers a path that came back
/// without a registration.
#[test]
fn a_path_that_comes_back_is_registered() {
    for path in [0, 1] {
        let (a, _) = nodes(&Setup::new(2, 1).keeping());
        a.san.borrow_mut().multipathd = false;
        for disk in disks(&a) {
            set_dead(&a, &disk, path, true);
            a.start().unwrap();
            assert_eq!(keys_on(&a, &disk), 1, "{disk}");
            // Between two requests of the initiators.
            let health = {
                set_dead(&a, &disk, path, false);
                a.health(Level::Owner)
            };
            assert_eq!(health, Health::Running, "{disk}");
            assert_eq!(keys_on(&a, &disk), 2, "{disk}");
            is_well(&a, &disk);
            a.stop().unwrap();
            assert_eq!(a.leavings(), [""; 0], "{disk}");
        }
    }
}

#[test]
fn without_any_path_a_start_fails_and_a_stop_does_not() {
    let (a, b) = nodes(&Setup::new(2, 1));
    for disk in disks(&a) {
        for path in [0, 1] {
            set_dead(&a, &disk, path, true);
        }
        let failure = a.start().unwrap_err();
        assert!(failure.to_string().contains("the path failed"), "{failure}");
        a.stop().unwrap();
        for path in [0, 1] {
            set_dead(&a, &disk, path, false);
        }
    }
    b.start().unwrap();
    is_well(&b, "the partner");
}

/// The path that holds the reservation is dead, and another comes back without multipathd:
/// the monitor registers it by the third.
#[test]
fn a_path_is_registered_though_the_holders_is_dead() {
    let setup = Setup::new(2, 1).keeping();
    let (a, _) = pair_by_paths(&setup, 3);
    for disk in disks(&a) {
        set_dead(&a, &disk, 2, true);
    }
    a.san.borrow_mut().multipathd = false;
    a.start().unwrap();
    for disk in disks(&a) {
        set_dead(&a, &disk, 0, true);
        set_dead(&a, &disk, 2, false);
    }
    assert_eq!(a.health(Level::Owner), Health::Running);
    let all_by = |path: usize| {
        let nexus = Nexus { node: 0, path };
        let san = a.san.borrow();
        disks(&a).iter().all(|disk| san.disks.is_registered(disk, nexus))
    };
    assert!(all_by(1) && all_by(2));
}

/// What `check` says of paths: nothing where there is one each, else how they are.
#[test]
fn check_names_a_path_that_is_down() {
    let said = |node: &Node| -> Vec<String> {
        let scope = node.scope_with(&[]);
        let all = check(&node.action(), &scope);
        let its = all.into_iter().filter(|finding| finding.what == "paths");
        its.map(|finding| format!("{:?}: {}", finding.verdict, finding.found)).collect()
    };
    let setup = Setup::new(2, 1).keeping();
    let (one, _) = pair(&setup);
    assert_eq!(said(&one), [""; 0]);
    one.san.borrow_mut().shows(0, "sdq", "device/wwid", "naa.6001405sda");
    assert!(said(&one)[0].contains("one of 2 paths is used, sda"), "{:?}", said(&one));
    let (a, _) = nodes(&setup);
    assert_eq!(said(&a), ["Good: 3 disks, each by several"]);
    a.san.borrow_mut().shows(0, "sdb-1", "device/state", "transport-offline");
    let down = "of 2 paths /dev/sdb-1 is transport-offline";
    assert!(said(&a)[0].contains(down), "{:?}", said(&a));
    a.san.borrow_mut().multipathd = false;
    assert!(said(&a)[1].contains("ask multipathd"), "{:?}", said(&a));
}

/// A path that the kernel has given up is not asked: it could take its time to fail.
#[test]
fn a_path_that_is_down_is_not_asked() {
    let (a, _) = nodes(&Setup::new(2, 1).keeping());
    for disk in disks(&a) {
        let path = format!("{disk}-0");
        set_dead(&a, &disk, 0, true);
        a.san.borrow_mut().shows(0, &path, "device/state", "blocked");
        a.start().unwrap();
        assert_eq!(keys_on(&a, &disk), 1, "{disk}");
        a.stop().unwrap();
        assert_eq!(a.leavings(), [""; 0], "{disk}");
        a.san.borrow_mut().shows(0, &path, "device/state", "running");
        set_dead(&a, &disk, 0, false);
    }
}

/// multipathd can make no device of two paths while one of them is in use. So a path that
/// appears takes down nothing; the next start wants a device of both.
#[test]
fn a_second_path_of_a_served_disk_is_a_doubt() {
    let (a, _) = pair(&Setup::new(2, 1));
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let mut san = a.san.borrow_mut();
    san.shows(0, "sdz", "device/wwid", "naa.6001405sdb");
    san.shows(0, "sdz", "inflight", "");
    drop(san);
    let doubts = match a.health(Level::Disk) {
        Health::Degraded(doubts) => doubts.join("; "),
        other => panic!("{other:?}"),
    };
    assert!(doubts.contains("one of 2 paths is used, sdb"), "{doubts}");
    a.start().unwrap();
    a.stop().unwrap();
    let failure = a.start().unwrap_err().to_string();
    assert!(failure.contains("2 paths and no multipath device"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
}

/// The node of a path goes at once where the path leaves, and its map has it a moment longer.
#[test]
fn a_path_that_has_just_left_hinders_nothing() {
    for path in [0, 1] {
        let (a, b) = pair_by_paths(&Setup::new(2, 1), 2);
        let leaves = |node: usize| {
            let name = a.san.borrow_mut().path_leaves(node, "sda", path).unwrap();
            assert!(!a.san.borrow().disks.is_registered("sda", Nexus { node, path }));
            name
        };
        let name = leaves(0);
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        assert!(!matches!(a.health(Level::Disk), Health::Failed(_)));
        a.san.borrow_mut().path_is_forgotten(0, "sda", &name);
        // Its name is another's by now.
        a.san.borrow_mut().path_leaves(0, "sdb", path).unwrap();
        a.san.borrow_mut().path_is_forgotten(0, "sdb", &format!("sdb-{path}"));
        let back = ["sdb", "sda"]
            .map(|disk| a.san.borrow_mut().path_returns(0, disk, path).unwrap());
        assert_eq!(back, [format!("sda-{path}"), format!("sdb-{path}")]);
        assert_eq!(a.health(Level::Disk), Health::Running);
        assert!(a.owns_all());
        leaves(1);
        a.stop().unwrap();
        assert_eq!(a.leavings(), [""; 0]);
        b.start().unwrap();
        b.stop().unwrap();
        assert_eq!(b.leavings(), [""; 0]);
    }
}
