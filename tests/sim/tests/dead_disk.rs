//! A disk that a node cannot reach: a start there fails, and a stop still succeeds. A
//! node is fenced only where it may still serve.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::{Node, Setup, pair};
use understudy_core::action::failure::Kind;
use understudy_core::kernel::Kernel;
use understudy_core::verbs::{Health, Level, health, status, takeover};
use understudy_sim::SimKernel;

fn set_dead(node: &Node, disk: &str, dead: bool) {
    let nexus = node.kernel.node();
    node.san.borrow_mut().disks.set_dead(disk, nexus, dead);
}

/// The last node serves a group of its own and cannot start its partner's. The stop that
/// follows succeeds, and the node's own group is not touched.
#[test]
fn a_start_that_fails_is_followed_by_a_stop_that_does_not() {
    for keeping in [false, true] {
        let setup = Setup::new(3, 2).with_another();
        let setup = if keeping { setup.keeping() } else { setup };
        for disk in setup.all_disks().map(str::to_owned).collect::<Vec<_>>() {
            let (a, b) = pair(&setup);
            let own = b.another().unwrap();
            own.start().unwrap();
            a.start().unwrap();
            a.san.borrow_mut().crash(0);
            set_dead(&b, &disk, true);
            for _ in 0..2 {
                let failure = b.start().unwrap_err();
                assert_eq!(failure.kind, Kind::Node, "{disk}: {failure}");
                b.stop().unwrap();
            }
            assert_eq!(own.health(Level::Disk), Health::Running, "{disk}");
            set_dead(&b, &disk, false);
            b.start().unwrap();
            assert!(b.owns_all(), "{disk}");
        }
    }
}

/// LIO goes on with a device that is gone, and every command to it ends with an error. So
/// a monitor fails; a stop and a start then serve the disk under its new name.
#[test]
fn a_disk_that_comes_back_under_another_name_is_no_health() {
    let (a, _) = pair(&Setup::new(3, 2).keeping());
    for disk in a.setup.all_disks().map(str::to_owned).collect::<Vec<_>>() {
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        assert_eq!(a.health(Level::Disk), Health::Running, "{disk}");
        a.san.borrow_mut().leaves(0, &disk);
        let status = status(&a.action()).unwrap();
        let left = |fault: &String| fault.contains("has left this node");
        assert!(status.groups[0].faults.iter().any(left), "{disk}: {status:?}");
        let again = format!("{disk}q");
        for back in [false, true] {
            if back {
                a.san.borrow_mut().returns(0, &disk, &again);
            }
            for level in [Level::Port, Level::Owner, Level::Disk] {
                let Health::Failed(why) = a.health(level) else { panic!("{level:?}") };
                let left = format!("/dev/{disk}, which has left this node");
                assert!(why.iter().any(|why| why.contains(&left)), "{disk}: {why:?}");
            }
        }
        // The kernel shows this too, where the database has no entry.
        let mut scope = a.scope_with(&[]);
        scope.entries.clear();
        let health = health(&a.action(), &scope, Level::Owner);
        let Health::Failed(why) = health else { panic!("{disk}: {health:?}") };
        let open = format!("is open as /dev/{disk}, and its disk is /dev/{again}");
        assert!(why.iter().any(|why| why.contains(&open)), "{disk}: {why:?}");
        a.stop().unwrap();
        assert_eq!(a.leavings(), [""; 0], "{disk}");
        a.start().unwrap();
        assert_eq!(a.health(Level::Disk), Health::Running, "{disk}");
        a.stop().unwrap();
        a.san.borrow_mut().leaves(0, &again);
        a.san.borrow_mut().returns(0, &disk, &disk);
    }
}

/// A disk leaves while a start is under way, and another disk has its name when LIO opens it.
/// Wherever that is: what a LUN is served from is its disk, or nothing is served.
#[test]
fn a_disk_that_has_anothers_name_by_now_is_not_served() {
    let mut served = [0; 2];
    for disk in ["sda", "sdb", "sdz"] {
        for at in 0..300 {
            let (a, _) = pair(&Setup::new(2, 1).keeping());
            let left = Cell::new(at);
            let pause = |time: Duration| {
                let mut san = a.san.borrow_mut();
                let now = san.now();
                if left.get() == 0 && !san.exports(0, disk) {
                    san.leaves(0, "sdx");
                    san.leaves(0, disk);
                    if san.clings(0, disk) {
                        san.returns(0, "sdx", "sdx");
                    } else {
                        san.returns(0, "sdx", disk);
                        san.returns(0, disk, "sdx");
                    }
                }
                left.set(left.get() - 1);
                san.advance(now + time);
            };
            let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
            let scope = a.scope_with(&[]);
            let start = takeover(&mut a.action_on(&kernel), &scope);
            assert!(!a.san.borrow().exports(0, "sdx"), "{disk} at {at}: {start:?}");
            served[usize::from(start.is_ok())] += 1;
            a.stop().unwrap();
        }
    }
    let [failed, done] = served;
    assert!(failed > 3 && done > 3, "{served:?}");
}

/// After a power cut of a whole site, nodes are up before their array.
#[test]
fn a_start_after_a_boot_waits_for_its_disks() {
    for (disks, seconds) in [(vec!["sda"], 3), (vec!["sdb"], 3), (vec!["sda", "sdb"], 7)]
    {
        let (a, _) = pair(&Setup::new(2, 1));
        disks.iter().for_each(|disk| a.san.borrow_mut().leaves(0, disk));
        let comes = a.kernel.now() + Duration::from_secs(seconds);
        let pause = |time: Duration| {
            let mut san = a.san.borrow_mut();
            let to = san.now() + time;
            if san.now() < comes && comes <= to {
                disks.iter().for_each(|disk| san.returns(0, disk, disk));
            }
            san.advance(to);
        };
        let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
        let scope = a.scope_with(&[]);
        takeover(&mut a.action_on(&kernel), &scope).unwrap();
        assert!(a.owns_all(), "{disks:?}");
    }
    // A disk that is missing beside others, or long after the boot, is missing: another
    // node may have it.
    for (since, most) in [(0, 6), (700, 1)] {
        let (a, _) = pair(&Setup::new(2, 1));
        a.kernel.sleep(Duration::from_secs(since));
        a.san.borrow_mut().leaves(0, "sdb");
        let before = a.kernel.now();
        assert_eq!(a.start().unwrap_err().kind, Kind::Node);
        assert!(a.kernel.now() - before < Duration::from_secs(most), "{since}");
    }
}

/// After the stop the disk is served nowhere, though this node's key is left on it. The
/// next owner removes that key.
#[test]
fn a_disk_that_dies_while_it_is_served_keeps_no_stop_from_its_end() {
    let (a, b) = pair(&Setup::new(3, 2).keeping());
    for disk in a.setup.all_disks().map(str::to_owned).collect::<Vec<_>>() {
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        set_dead(&a, &disk, true);
        assert!(matches!(a.health(Level::Owner), Health::Failed(_)), "{disk}");
        a.stop().unwrap();
        assert_eq!(a.leavings(), [format!("a key on {disk}")]);
        assert_eq!(a.health(Level::Disk), Health::NotRunning);
        b.start().unwrap();
        assert!(b.owns_all(), "{disk}");
        b.kernel.sleep(Duration::from_secs(1));
        b.stop().unwrap();
        set_dead(&a, &disk, false);
    }
}
