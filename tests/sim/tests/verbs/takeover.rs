//! Takeover: what a start builds, takes and refuses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use understudy_core::action::failure::Kind;
use understudy_core::disks::ownership::{give_up, read};
use understudy_core::kernel::{Cause, Kernel, Op};
use understudy_core::run_files::registry;
use understudy_core::verbs::plan;
use understudy_core::verbs::{Health, Level, takeover};
use understudy_sim::{Deed, Fault, SimKernel};

use crate::common::{INITIATORS, Node, Setup, key_of};
use crate::pair;

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

/// What initiators had registered is there on the partner. A node that comes back has
/// nothing of the group, though LIO's files there still lead where its keeper was.
#[test]
fn reservations_outlive_the_node_that_served_them() {
    let (a, b) = crate::common::pair(&Setup::new(2, 2).keeping());
    let [first, second] = INITIATORS.map(|name| name.parse().unwrap());
    let port = a.setup.ports[1].parse().unwrap();
    let lun = a.setup.disks[1].0;
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert!(a.san.borrow_mut().register(first, port, lun, 0xabcd, Some(8)));
    assert!(a.san.borrow_mut().register(second, port, lun, 0x1234, None));
    let registered = |node: &Node| node.san.borrow().registered(port, first, lun);
    let before = registered(&a);
    assert_eq!(before.len(), 2);

    a.san.borrow_mut().crash(0);
    b.start().unwrap();
    assert_eq!(registered(&b), before);
    assert_eq!(b.health(Level::Disk), Health::Running);
    a.san.borrow_mut().boot(0);
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);

    b.stop().unwrap();
    a.start().unwrap();
    assert_eq!(registered(&a), before);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let (a, b) = crate::common::pair(&Setup::new(1, 1).keeping());
    let (first, port) =
        (INITIATORS[0].parse().unwrap(), a.setup.ports[0].parse().unwrap());
    for (preserve, kept) in [("none", 0), ("aptpl", 0), ("all", 1)] {
        let change = [("preserve_reservations", preserve)];
        a.start_with(&change).unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        assert!(a.san.borrow_mut().register(first, port, 0, 7, None));
        a.stop_with(&change).unwrap();
        assert_eq!(a.leavings(), [""; 0]);
        b.start_with(&change).unwrap();
        let found = b.san.borrow().registered(port, first, 0);
        assert_eq!(found.len(), kept, "{preserve}");
        b.stop_with(&change).unwrap();
    }
}

/// A group whose reservations cannot be read is not served: initiators that they keep out
/// would be let in. A group that has lost its keeper fails its monitor.
#[test]
fn no_port_without_its_reservations() {
    let (a, _) = crate::common::pair(&Setup::new(1, 1).keeping());
    let load = |deed: &Deed| matches!(deed, Deed::Op(Op::LoadState(_)));
    a.kernel.plan(None);
    a.start().unwrap();
    let at = a.kernel.deeds().iter().position(load).unwrap();
    let keeper = PathBuf::from("/run/understudy/kept/20000025b500000a");
    let end = vec![Op::EndKeeper(keeper)];
    a.kernel.run(&[end], a.budget().end);
    let Health::Failed(faults) = a.health(Level::Port) else { panic!("it is well") };
    assert!(faults[0].contains("no keeper"), "{faults:?}");
    a.stop().unwrap();

    a.kernel.plan(Some((at, Fault::Fails(Cause::Errno(nix::errno::Errno::EIO as i32)))));
    let failure = a.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    assert!(failure.to_string().contains("would be let in"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn both_nodes_present_the_same_identity() {
    let (a, b) = pair();
    let shown = |node: &Node| {
        let mut paths = node.kernel.below("/sys/kernel/config/target/core");
        paths.extend(node.kernel.below("/sys/kernel/config/target/fc"));
        let text = |path: PathBuf| Some((node.kernel.read(&path).ok()?, path));
        paths.into_iter().filter_map(text).collect::<Vec<_>>()
    };
    let of = |shown: &[(String, PathBuf)], name: &str| {
        let its = shown.iter().filter(|(_, path)| path.ends_with(name));
        its.map(|(text, _)| text.trim_end().to_owned()).collect::<Vec<_>>()
    };
    a.start().unwrap();
    let before = shown(&a);
    assert_eq!(of(&before, "vpd_unit_serial").len(), 3);
    assert_eq!(of(&before, "vendor_id"), ["LIO-ORG"; 3]);
    assert_eq!(of(&before, "is_nonrot"), ["1"; 3]);
    assert_eq!(of(&before, "rtpi"), ["1", "2"]);
    a.stop().unwrap();
    b.start().unwrap();
    assert_eq!(shown(&b), before);
}

/// If the start registered again, this node could write beside the owner.
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
    assert!(b.keys().own(&now), "{now:?}");
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
    // A stop of a group that cannot be here has nothing to fail at.
    a.stop().unwrap();
    a.start_with(&[("ownership", "none")]).unwrap();
}

/// A command may fail on a disk that is ours already, as after a crash. What the disk
/// itself reports counts, and LIO opens it.
#[test]
fn what_a_disk_says_outweighs_what_a_command_answered() {
    let (a, _) = pair();
    let key = key_of("a");
    let own = |(_, name): &(u16, String)| {
        let disk = PathBuf::from(format!("/dev/{name}"));
        vec![Op::Register { disk: disk.clone(), key }, Op::Reserve { disk, key }]
    };
    let chains: Vec<_> = a.setup.disks.iter().map(own).collect();
    a.kernel.run(&chains, a.budget().end);
    let is_register = |deed: &Deed| matches!(deed, Deed::Op(Op::Register { .. }));
    a.kernel.plan(None);
    a.start().unwrap();
    let at = a.kernel.deeds().iter().position(is_register).unwrap();
    a.stop().unwrap();
    a.kernel.run(&chains, a.budget().end);
    a.kernel.plan(Some((at, Fault::Fails(Cause::Errno(5)))));
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// A disk is not owned because it answers every command with success: its reservation is
/// read back.
#[test]
fn a_disk_that_only_says_yes_is_not_owned() {
    let (a, _) = pair();
    let lies = a.setup.disks[1].1.clone();
    a.san.borrow_mut().disks.deaf(&lies);
    let refused = a.start().unwrap_err().to_string();
    assert!(refused.contains("read back, it is not ours"), "{refused}");
    assert_eq!(a.leavings(), [""; 0]);
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

/// LUNs cost grace periods, 18 ms each.
#[test]
fn grace_periods_are_expedited_unless_the_group_says_no() {
    let took = |expedite: &str| {
        let (a, _) = crate::common::pair(&Setup::new(8, 1));
        let begun = a.kernel.now();
        a.start_with(&[("expedite", expedite)]).unwrap();
        assert!(!a.is_hurried());
        a.stop_with(&[("expedite", expedite)]).unwrap();
        assert!(!a.is_hurried());
        a.kernel.now() - begun
    };
    let (with, without) = (took("yes"), took("no"));
    // The logout, the drain and the login take as long as ever.
    assert!(without - with > Duration::from_millis(18 * 16), "{with:?}, {without:?}");
}

/// A start that should not have been, by hand or of a clone, is not felt by the
/// initiators of the node that serves, even where its reservations are lost.
#[test]
fn a_start_beside_a_living_node_takes_nothing() {
    for lost in [false, true] {
        let (a, b) = pair();
        a.start().unwrap();
        let disks: Vec<_> =
            a.setup.all_disks().map(|name| Path::new("/dev").join(name)).collect();
        if lost {
            let left = give_up(&a.kernel, &disks, &a.keys(), a.budget());
            assert_eq!(left.all(), []);
        }
        let flows = crate::common::initiators().into_iter().zip(&a.setup.disks);
        for (initiator, (lun, disk)) in flows {
            let port = a.setup.ports[0].parse().unwrap();
            a.san.borrow_mut().write_from(initiator, port, *lun, disk);
        }
        a.kernel.sleep(Duration::from_secs(3));
        let written = || a.san.borrow().acknowledged().min();
        let held = || read(&a.kernel, &disks, a.budget());
        let (before, begun) = (held(), written());
        for _ in 0..2 {
            let failure = b.start().unwrap_err();
            assert!(failure.to_string().contains("logged in elsewhere"), "{failure}");
            assert_eq!((held(), b.leavings()), (before.clone(), vec![]));
            b.stop().unwrap();
        }
        assert_eq!(held(), before);
        assert!(written() > begun, "{begun:?}");
    }
}

/// A port whose link was cut stays logged in until the switch misses its keep-alives.
#[test]
fn news_of_a_logout_may_take_its_time() {
    let (a, _) = pair();
    let remote = "/sys/class/fc_remote_ports/rport-2:0-1";
    a.kernel.set(&format!("{remote}/port_name"), "0x20010025b500000a\n");
    a.kernel.set(&format!("{remote}/port_state"), "Online\n");
    let other = SimKernel::enter(&a.san, 0);
    let begun = a.kernel.now();
    let pause = |time: Duration| {
        let to = a.kernel.now() + time;
        if to > begun + Duration::from_secs(12) {
            other.set(&format!("{remote}/port_state"), "Blocked\n");
        }
        a.san.borrow_mut().advance(to);
    };
    let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
    takeover(&mut a.action_on(&kernel), &a.scope_with(&[])).unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// Every node's REPORT LUNS lists the LUNs in one order: that in which they were mapped.
#[test]
fn an_initiator_gets_its_luns_one_after_another() {
    let (a, _) = pair();
    let steps = plan::takeover_steps(&a.action(), &a.scope_with(&[])).unwrap();
    let map = steps.iter().find(|step| step.title == "map the LUNs").unwrap();
    let made = map.chains.iter().map(|chain| {
        let dirs = chain.iter().filter_map(|op| match op {
            Op::MakeDir(dir) => Some(dir.file_name().unwrap().to_str().unwrap()),
            _ => None,
        });
        dirs.collect::<Vec<_>>()
    });
    assert_eq!(made.collect::<Vec<_>>(), [["lun_0", "lun_1", "lun_5"]; 4]);
}
