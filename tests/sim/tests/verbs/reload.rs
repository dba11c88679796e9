//! Reload: LUNs and initiators that come and go under a live port.

use std::time::Duration;

use understudy_core::kernel::Kernel;
use understudy_core::lio::numbers;
use understudy_core::run_files::registry;
use understudy_core::verbs::{Health, Level, status};

use crate::common::{Node, Setup};
use crate::pair;

/// Has initiators let go of all LUNs, before a reload takes some away; see
/// [`Setup::changed`].
fn let_go(node: &Node) {
    let luns = node.setup.disks.iter().map(|(lun, _)| *lun);
    let (luns, names) =
        (luns.collect(), crate::common::initiators().into_iter().collect());
    node.san.borrow_mut().unused = (luns, names);
}

#[test]
fn luns_and_initiators_change_under_a_live_port() {
    let (mut a, _) = pair();
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let (before, since) = (a.setup.clone(), registry::of_group(&a.kernel, "group-a"));
    let ports = a.kernel.below("/sys/class/fc_vports");
    let_go(&a);
    let after = before.changed();
    a.reload(&after).unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert!(a.owns_all());
    assert_eq!(a.kernel.below("/sys/class/fc_vports"), ports);
    let below = |name: &str| {
        let paths = a.kernel.below("/sys/kernel/config/target");
        paths.iter().any(|path| path.to_string_lossy().contains(name))
    };
    assert!(below("lun_60") && !below("lun_0"));
    assert!(below("21:00:00:24:ff:00:00:03") && !below("21:00:00:24:ff:00:00:01"));
    let entries = registry::of_group(&a.kernel, "group-a");
    assert_eq!(entries[0].since, since[0].since);
    let luns: Vec<_> =
        entries[0].disks.iter().filter_map(|disk| disk.spec.slot.lun()).collect();
    assert_eq!(luns, after.disks.iter().map(|(lun, _)| *lun).collect::<Vec<_>>());
    // With nothing to change in the kernel, nothing changes there.
    let tree = a.kernel.below("/sys");
    a.san.borrow_mut().unused = Default::default();
    a.reload(&Setup { home: "b".into(), ..after }).unwrap();
    assert_eq!(a.kernel.below("/sys"), tree);
    let entries = registry::of_group(&a.kernel, "group-a");
    assert_eq!(entries[0].role, registry::Role::Guest);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn a_reload_that_lacks_a_disk_changes_nothing() {
    for spoil in ["missing", "without reservations"] {
        let (mut a, _) = pair();
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        let tree = a.kernel.below("/sys");
        let mut after = a.setup.changed();
        match spoil {
            "missing" => after.disks[0].1 = "sdz".into(),
            _ => a.san.borrow_mut().disks.without_reservations("sdy"),
        }
        let before = a.setup.clone();
        a.reload(&after).unwrap_err();
        a.setup = before;
        assert_eq!(a.kernel.below("/sys"), tree, "{spoil}");
        assert!(a.owns_all(), "{spoil}");
    }
}

/// A command that an initiator sends again to a LUN number is meant for the disk behind
/// it before.
#[test]
fn a_number_keeps_its_disk_through_a_reload() {
    let (mut a, b) = pair();
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let_go(&a);
    let before = a.setup.clone();
    let tree = a.kernel.below("/sys");
    let with = |change: &dyn Fn(&mut Setup)| {
        let mut setup = before.clone();
        change(&mut setup);
        setup
    };
    let swapped = with(&|s| s.disks = vec![(0, "sdb".into()), (1, "sda".into())]);
    let closed = with(&|s| s.disks = vec![(0, "sda".into()), (1, "sdc".into())]);
    let exchanged = with(&|s| {
        s.disks[1].1 = "sdx".into();
        s.disks.push((9, "sdy".into()));
        s.initiators.push("21:00:00:24:ff:00:00:03".into());
    });
    for wrong in [swapped, closed, exchanged] {
        let failure = a.reload(&wrong).unwrap_err();
        assert_eq!(failure.step, numbers::KEEP);
        assert!(failure.to_string().contains("in a second change"), "{failure}");
        assert_eq!(a.kernel.below("/sys"), tree);
        for level in [Level::Port, Level::Owner, Level::Disk] {
            let Health::Degraded(why) = a.health(level) else {
                panic!("{:?}", a.health(level))
            };
            assert!(why[0].contains("and configured as"), "{why:?}");
        }
        assert_eq!(b.health(Level::Disk), Health::NotRunning);
    }
    // Out, then in.
    let mut change = before.clone();
    let (number, _) = change.disks.remove(1);
    a.reload(&change).unwrap();
    change.disks.push((number, "sdx".into()));
    a.reload(&change).unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert!(a.owns_all());
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

/// Each node remembers a size of its own: the node that serves, and the next one.
#[test]
fn a_disk_that_has_grown_is_noticed() {
    let (mut a, b) = pair();
    a.start().unwrap();
    let sizes = |node: &Node| {
        let now = status(&node.action()).unwrap();
        now.groups[0].luns.iter().map(|lun| lun.bytes).collect::<Vec<_>>()
    };
    let grow = |mebibytes: u64| {
        a.san.borrow_mut().disks.resize(&a.setup.disks[1].1, mebibytes * 2048);
    };
    grow(64);
    assert_eq!(sizes(&a), [None; 3]);
    assert_eq!(a.health(Level::Port), Health::Running);
    assert_eq!(sizes(&a), [None; 3]);
    assert_eq!(a.health(Level::Owner), Health::Running);
    assert_eq!(sizes(&a), [None, Some(64 << 20), None]);
    grow(96);
    let setup = a.setup.clone();
    a.reload(&setup).unwrap();
    assert_eq!(sizes(&a), [None, Some(96 << 20), None]);
    a.kernel.sleep(Duration::from_secs(1));
    a.stop().unwrap();
    b.start().unwrap();
    assert_eq!(sizes(&b), [None, Some(96 << 20), None]);
}

#[test]
fn a_lun_that_does_not_drain_is_kept() {
    let (mut a, _) = pair();
    a.start().unwrap();
    let_go(&a);
    a.kernel.keep_busy(Duration::from_secs(100));
    let before = a.setup.clone();
    let failure = a.reload(&before.changed()).unwrap_err().to_string();
    assert!(failure.contains("The LUNs were kept"), "{failure}");
    a.setup = before;
    assert_eq!(a.health(Level::Owner), Health::Running);
}

/// A LUN whose disk has come back under another name would be made again, and be gone meanwhile.
#[test]
fn a_reload_takes_no_lun_away_that_stays() {
    let (mut a, _) = pair();
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let (before, disk) = (a.setup.clone(), a.setup.disks[0].1.clone());
    a.san.borrow_mut().leaves(0, &disk);
    assert_ne!(a.san.borrow_mut().comes_back_as(0, &disk), Some(disk.clone()));
    a.san.borrow_mut().is_named(0, &disk);
    let tree = a.kernel.below("/sys/kernel/config");
    let mut more = before.clone();
    more.disks.push((9, "sdx".into()));
    let failure = a.reload(&more).unwrap_err().to_string();
    assert!(failure.contains("restart the group"), "{failure}");
    assert_eq!(a.kernel.below("/sys/kernel/config"), tree);
    // What leaves the group may go.
    let_go(&a);
    let mut less = before;
    less.disks.remove(0);
    a.reload(&less).unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

/// A reload that recorded the new name of a state disk would hide from monitors that the keeper
/// has the device open that has left.
#[test]
fn a_reload_does_not_hide_that_a_state_disk_has_left() {
    let (mut a, _) = crate::common::pair(&Setup::new(2, 1).keeping());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    a.san.borrow_mut().leaves(0, "sdz");
    assert_ne!(a.san.borrow_mut().comes_back_as(0, "sdz"), Some("sdz".into()));
    a.san.borrow_mut().is_named(0, "sdz");
    let mut more = a.setup.clone();
    more.disks.push((9, "sdx".into()));
    let failure = a.reload(&more).unwrap_err().to_string();
    assert!(failure.contains("reservations are kept on /dev/sdz here"), "{failure}");
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    a.stop().unwrap();
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
}

#[test]
fn a_group_that_is_not_served_is_not_changed() {
    let (mut a, _) = pair();
    let failure = a.reload(&a.setup.changed()).unwrap_err().to_string();
    assert!(failure.contains("is not served here"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
}
