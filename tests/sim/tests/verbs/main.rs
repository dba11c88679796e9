//! The verbs on the simulated kernel: what they do and what they refuse.

mod common;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{INITIATORS, Node, Setup, key_of};
use understudy_core::action::failure::Kind;
use understudy_core::action::step::Step;
use understudy_core::disks::ownership::{give_up, read};
use understudy_core::fc;
use understudy_core::kernel::{Cause, Kernel, Op};
use understudy_core::lio::numbers;
use understudy_core::run_files::registry;
use understudy_core::run_files::watch;
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::check::{self, Finding, Verdict};
use understudy_core::verbs::plan;
use understudy_core::verbs::status::{Owner, Service};
use understudy_core::verbs::{Health, Level, check_node, health, status, takeover};
use understudy_sim::{Deed, Fault, Nft, SimKernel};

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
fn status_says_what_is_served_and_what_is_wrong() {
    let (a, _) = pair();
    let look = |node: &Node| status(&node.kernel, node.name, node.budget()).unwrap();
    assert!(look(&a).is_healthy() && look(&a).groups.is_empty());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let now = look(&a);
    assert!(now.is_healthy(), "{now:?}");
    assert_eq!(now.physical_ports[0].port.vports_in_use, 2);
    let group = &now.groups[0];
    assert_eq!((group.ports.len(), group.luns.len()), (2, 3));
    assert_eq!(group.role, registry::Role::Native);
    let online = group.ports.iter().flat_map(|port| &port.sessions);
    assert_eq!(
        online.filter(|session| session.state.is(&fc::PortState::Online)).count(),
        4
    );
    let phases: Vec<_> = group.took.iter().map(|took| took.phase.as_str()).collect();
    assert_eq!(phases, ["look", "own", "export", "login"]);
    assert!(group.luns.iter().all(|lun| lun.owner == Owner::ThisNode));

    let lun = &group.luns[0];
    let backstore = understudy_core::lio::backstore_path(group.wwnn, lun.lun);
    let quiesce = understudy_core::lio::set_alua(&backstore, "15");
    let key = key_of(a.name);
    let disown = Op::Unregister { disk: group.luns[1].node.clone(), key };
    let soon = a.kernel.now() + Duration::from_secs(5);
    a.kernel.run(&[vec![quiesce], vec![disown]], soon);
    let now = look(&a);
    let [quiesced, disowned, sound] = now.groups[0].luns.as_slice() else { panic!() };
    assert_eq!((quiesced.service, quiesced.owner), (Service::Quiesced, Owner::ThisNode));
    assert_eq!((disowned.service, disowned.owner), (Service::Serving, Owner::Nobody));
    assert_eq!((sound.service, sound.owner), (Service::Serving, Owner::ThisNode));
    assert_eq!(now.groups[0].faults.len(), 2, "{now:?}");
    assert!(!now.is_healthy());
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
    let (a, b) = common::pair(&Setup::new(2, 2).keeping());
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
    let (a, b) = common::pair(&Setup::new(1, 1).keeping());
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
    let (a, _) = common::pair(&Setup::new(1, 1).keeping());
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

#[test]
fn keys_are_given_up_by_who_owns_no_disks_by_now() {
    let (a, _) = pair();
    a.start().unwrap();
    a.stop_with(&[("ownership", "none")]).unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn numbers_that_some_initiators_do_not_see_are_doubtful() {
    let (a, _) = pair();
    let doubts = |disks: &str| {
        let scope = a.scope_with(&[("disks", disks)]);
        let all = check::check(&a.kernel, a.name, &scope, a.budget()).into_iter();
        let all = all.filter(|finding| finding.what == "LUN numbers");
        all.map(|finding| (finding.verdict, finding.found)).collect::<Vec<_>>()
    };
    let doubt = |found: &str| (Verdict::Doubtful, found.to_owned());
    let [zero, high] =
        ["0=naa.6001405sda 255=naa.6001405sdb", "0=naa.6001405sda 256=naa.6001405sdb"];
    assert_eq!(doubts(zero), []);
    assert_eq!(doubts(high), [doubt("LUN 256 is above 255")]);
    let both = [doubt("LUN 16383 is above 255"), doubt("there is no LUN 0")];
    assert_eq!(doubts("16383=naa.6001405sda"), both);
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
fn a_fabric_without_npiv_is_named_and_undone() {
    let (a, _) = pair();
    a.san.borrow_mut().npiv = false;
    let failure = a.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node);
    assert!(failure.to_string().contains("Turn NPIV on"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
}

/// The link of a node that has just booted comes up while its partner's group is to start
/// there.
#[test]
fn a_port_on_its_way_is_waited_for() {
    for state in ["Linkdown", "Offline"] {
        let (a, _) = pair();
        let (host, other) = ("/sys/class/fc_host/host2", SimKernel::enter(&a.san, 0));
        let set = |state: &str| other.set(&format!("{host}/port_state"), state);
        set(state);
        let begun = a.kernel.now();
        let pause = |time: Duration| {
            let to = a.kernel.now() + time;
            if to > begun + Duration::from_secs(6) {
                set("Online");
            }
            a.san.borrow_mut().advance(to);
        };
        let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
        let scope = a.scope_with(&[]);
        takeover(&kernel, a.name, &scope, a.budget(), &mut a.phases()).unwrap();
        assert_eq!(a.health(Level::Disk), Health::Running);
        set(state);
        a.stop().unwrap();
        // A port that does not come costs no more than half of the time.
        let begun = a.kernel.now();
        let refused = a.start().unwrap_err();
        assert_eq!(refused.step, fc::CHOOSE);
        assert!(a.kernel.now() - begun < Duration::from_secs(10));
    }
}

/// Nodes behind two edge switches know one fabric by two names.
#[test]
fn a_fabric_may_have_either_of_two_names() {
    const EDGE: &str = "20:01:00:25:b5:00:00:0a@10:00:00:05:aa:00:00:02";
    let (a, _) = common::pair(&Setup::new(2, 1));
    let refused = a.start_with(&[("ports", EDGE)]).unwrap_err().to_string();
    assert!(refused.contains("WWPN@NAME|NAME"), "{refused}");
    let either = format!("{EDGE}|10:00:00:00:00:00:00:01");
    a.start_with(&[("ports", &either)]).unwrap();
    a.stop_with(&[("ports", &either)]).unwrap();
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

/// LUNs cost grace periods, 18 ms each.
#[test]
fn grace_periods_are_expedited_unless_the_group_says_no() {
    let took = |expedite: &str| {
        let (a, _) = common::pair(&Setup::new(8, 1));
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

/// Has initiators let go of all LUNs, before a reload takes some away; see
/// [`Setup::changed`].
fn let_go(node: &Node) {
    let luns = node.setup.disks.iter().map(|(lun, _)| *lun);
    let (luns, names) = (luns.collect(), common::initiators().into_iter().collect());
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
        let now = status(&node.kernel, node.name, node.budget()).unwrap();
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

#[test]
fn a_group_that_is_not_served_is_not_changed() {
    let (mut a, _) = pair();
    let failure = a.reload(&a.setup.changed()).unwrap_err().to_string();
    assert!(failure.contains("is not served here"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
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
        let flows = common::initiators().into_iter().zip(&a.setup.disks);
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
    takeover(&kernel, a.name, &a.scope_with(&[]), a.budget(), &mut a.phases()).unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// A failed stop leaves every LUN in transition, so the first LUN shows it at level 0. A
/// single LUN in transition shows at level 10.
#[test]
fn a_lun_that_turns_commands_away_is_not_healthy() {
    for (lun, cheap, deep) in [(0, false, false), (1, true, false)] {
        let (a, _) = pair();
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        let wwnn = a.setup.wwnn.parse().unwrap();
        let backstore = understudy_core::lio::backstore_path(wwnn, a.setup.disks[lun].0);
        let quiesce = vec![understudy_core::lio::set_alua(&backstore, "15")];
        a.kernel.run(&[quiesce], a.kernel.now() + Duration::from_secs(5));
        assert_eq!(a.health(Level::Port) == Health::Running, cheap, "LUN {lun}");
        assert_eq!(a.health(Level::Owner) == Health::Running, deep, "LUN {lun}");
    }
}

/// Sets the state of the first virtual port, and of the physical port below it.
fn set_link(kernel: &SimKernel, state: &str, physical: &str) {
    let mut ports = kernel.below("/sys/class/fc_vports").into_iter();
    if let Some(file) = ports.find(|path| path.ends_with("vport_state")) {
        kernel.set(&file.to_string_lossy(), state);
    }
    kernel.set("/sys/class/fc_host/host2/port_state", physical);
}

#[test]
fn a_lost_link_is_what_the_configuration_says() {
    let (a, _) = pair();
    a.start().unwrap();
    set_link(&a.kernel, "Linkdown", "Linkdown");
    let look = |link_loss| {
        let scope = a.scope_with(&[("link_loss", link_loss)]);
        let begun = a.kernel.now();
        let health = health(&a.kernel, a.name, &scope, Level::Port, a.budget());
        (health, (a.kernel.now() - begun).as_secs())
    };
    let (degraded, took) = look("degraded");
    assert!(matches!(degraded, Health::Degraded(lost) if lost.len() == 1));
    assert_eq!(took, 0);
    let (failed, took) = look("fail");
    assert!(matches!(failed, Health::Failed(faults) if faults.len() == 1));
    assert!((4..=6).contains(&took), "{took} s");
    // A port that has its link and is not logged in has not failed for want of a link.
    set_link(&a.kernel, "Disabled", "Online");
    assert!(matches!(look("degraded").0, Health::Failed(_)));
}

/// A port in this node's fabric, and one in a fabric that it has lost.
const TWO_FABRICS: &str =
    "2001002500000001@1000000000000001 2002002500000001@1000000000000002";

#[test]
fn a_lost_fabric_holds_up_no_takeover_in_the_other() {
    let (a, _) = pair();
    let two = |link_loss| [("ports", TWO_FABRICS), ("link_loss", link_loss)];
    let refused = a.start_with(&two("fail")).unwrap_err().to_string();
    assert!(refused.contains("in fabric 10:00:00:00:00:00:00:02"), "{refused}");
    assert_eq!(a.leavings(), [""; 0]);

    let verdicts = || -> Vec<_> {
        let scope = a.scope_with(&two("degraded"));
        let all = check::check(&a.kernel, a.name, &scope, a.budget()).into_iter();
        all.filter(|finding| finding.what == "port").map(|f| f.verdict).collect()
    };
    assert_eq!(verdicts(), [Verdict::Good, Verdict::Doubtful]);
    a.start_with(&two("degraded")).unwrap();
    a.start_with(&two("degraded")).unwrap();
    let look = || {
        let scope = a.scope_with(&two("degraded"));
        health(&a.kernel, a.name, &scope, Level::Owner, a.budget())
    };
    let lost = "port 20:02:00:25:00:00:00:01 is not here: its fabric is lost";
    assert_eq!(look(), Health::Degraded(vec![lost.into()]));
    // The fabric is back. To have its port too, the group must be started again.
    a.kernel.set("/sys/class/fc_host/host9/port_state", "Online");
    a.kernel.set("/sys/class/fc_host/host9/fabric_name", "0x1000000000000002");
    a.kernel.set("/sys/class/fc_host/host9/port_name", "0x2000525400000009");
    a.kernel.set("/sys/class/fc_host/host9/vport_create", "");
    let missed = "port 20:02:00:25:00:00:00:01 is not here";
    assert_eq!(look(), Health::Failed(vec![missed.into()]));
    a.stop_with(&two("degraded")).unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

/// Adds a port with more room than the first one, as the kernel shows a port that no
/// switch answers.
fn with_a_port_in_no_fabric(a: &Node, port_type: &str, fabric_name: &str) {
    for (attribute, text) in [
        ("port_name", "0x2000525400000003"),
        ("node_name", "0x1000525400000003"),
        ("port_state", "Online"),
        ("port_type", port_type),
        ("fabric_name", fabric_name),
        ("max_npiv_vports", "65535"),
        ("npiv_vports_inuse", "0"),
        ("vport_create", ""),
    ] {
        a.kernel.set(&format!("/sys/class/fc_host/host9/{attribute}"), text);
    }
    a.kernel.set("/sys/class/scsi_host/host9/proc_name", "fcoe");
}

#[test]
fn a_port_in_no_fabric_is_neither_chosen_nor_counted() {
    let names = ["0x1000000000000001", "0xffffffffffffffff", "0x0"];
    for (port_type, fabric_name) in [
        ("LPort (private loop)", names[1]),
        ("LPort (private loop)", names[0]),
        ("NLPort (fabric via loop)", names[0]),
        ("Point-To-Point (direct nport connection)", names[2]),
        ("Point-To-Point (direct nport connection)", names[0]),
        ("NPort (fabric via point-to-point)", names[1]),
        ("Unknown", names[2]),
    ] {
        let (a, _) = pair();
        with_a_port_in_no_fabric(&a, port_type, fabric_name);
        let told = watch::begin(&a.kernel, "fcport").unwrap();
        assert_eq!(told.steady.into_values().collect::<Vec<_>>(), [1], "{port_type}");
        a.start().unwrap();
        assert_eq!(a.health(Level::Disk), Health::Running, "{port_type}");
        a.stop().unwrap();
        a.kernel.set("/sys/class/fc_host/host2/port_state", "Linkdown");
        let refused = a.start().unwrap_err();
        let cause = "host9 is in no fabric with virtual ports";
        assert!(refused.to_string().contains(cause), "{port_type}: {refused}");
        watch::end(&a.kernel, "fcport").unwrap();
        let none = watch::begin(&a.kernel, "fcport").unwrap();
        assert_eq!(none.steady.values().sum::<u32>(), 0, "{port_type}");
    }
}

#[test]
fn where_every_fabric_is_lost_nothing_is_served() {
    let (a, _) = pair();
    let two = [("ports", TWO_FABRICS), ("link_loss", "degraded")];
    set_link(&a.kernel, "", "Linkdown");
    let failure = a.start_with(&two).unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    assert_eq!(a.leavings(), [""; 0]);

    set_link(&a.kernel, "", "Online");
    a.start_with(&two).unwrap();
    let path = "/sys/class/fc_host/host2/vport_delete".into();
    let delete = Op::Write { path, text: "2001002500000001:20000025b500000a".into() };
    assert!(a.kernel.run(&[vec![delete]], a.budget().end)[0].failed.is_none());
    set_link(&a.kernel, "", "Linkdown");
    let seen = health(&a.kernel, a.name, &a.scope_with(&two), Level::Port, a.budget());
    assert!(matches!(seen, Health::Failed(faults) if faults.len() == 2));
}

#[test]
fn a_flap_of_the_link_is_no_failure() {
    let (a, _) = pair();
    a.start().unwrap();
    set_link(&a.kernel, "Linkdown", "Linkdown");
    let back = a.kernel.now() + Duration::from_secs(1);
    let pause = |time: Duration| {
        let to = a.kernel.now() + time;
        a.san.borrow_mut().advance(to);
        if to >= back {
            set_link(&a.kernel, "Active", "Online");
        }
    };
    let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
    let scope = a.scope_with(&[]);
    let seen = health(&kernel, a.name, &scope, Level::Port, a.budget());
    assert_eq!(seen, Health::Running);
    assert!(a.kernel.now() >= back);
}

/// An unregistration that hangs fails the stop, done or not: carried out late it would
/// end a later ownership. It takes all the time there is, so no disk can be asked
/// afterwards.
#[test]
fn a_stop_whose_unregistration_hangs_fails() {
    let is_unregister = |deed: &Deed| matches!(deed, Deed::Op(Op::Unregister { .. }));
    let served = || common::served(&Setup::new(1, 1));
    let a = served();
    a.stop().unwrap();
    let at = a.kernel.deeds().iter().position(is_unregister).unwrap();
    for fault in [Fault::Hangs, Fault::HangsDone] {
        let a = served();
        a.kernel.plan(Some((at, fault)));
        a.stop().unwrap_err();
    }
}

/// A plan of a start, carried out, is a start; a plan of a stop is a stop.
#[test]
fn a_plan_has_every_operation_and_does_none() {
    let (a, _) = pair();
    let scope = a.scope_with(&[]);
    let carry_out = |steps: Vec<Step>| {
        for step in steps {
            step.apply(&a.kernel, a.budget()).unwrap();
            // For the drain, which is none of the kernel's operations.
            a.kernel.sleep(Duration::from_secs(2));
        }
    };
    let steps = plan::takeover_steps(&a.kernel, a.name, &scope, a.budget()).unwrap();
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert!(!a.owns_all());
    carry_out(steps);
    assert_eq!(a.health(Level::Disk), Health::Running);

    let steps = plan::release_steps(&a.kernel, a.name, &scope, a.budget()).unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    carry_out(steps);
    assert_eq!(a.leavings(), [""; 0]);
    let rest = plan::release_steps(&a.kernel, a.name, &scope, a.budget()).unwrap();
    assert_eq!(rest, []);
}

/// Every node's REPORT LUNS lists the LUNs in one order: that in which they were mapped.
#[test]
fn an_initiator_gets_its_luns_one_after_another() {
    let (a, _) = pair();
    let steps =
        plan::takeover_steps(&a.kernel, a.name, &a.scope_with(&[]), a.budget()).unwrap();
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

#[test]
fn a_check_says_all_that_is_in_the_way() {
    let (a, b) = pair();
    a.start().unwrap();
    let look = |node: &Node, changes: &[(&str, &str)]| {
        let scope = node.scope_with(changes);
        check::check(&node.kernel, node.name, &scope, node.budget())
    };
    let bad = |findings: &[Finding]| {
        let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad);
        bad.map(|finding| finding.what).collect::<Vec<_>>()
    };
    for (node, whose) in [(&a, "3 this node's"), (&b, "3 another's")] {
        let findings = look(node, &[]);
        assert_eq!(bad(&findings), [""; 0], "{findings:?}");
        assert!(findings.iter().any(|f| f.found == whose), "{findings:?}");
    }
    b.kernel.set("/sys/class/fc_host/host2/port_state", "Linkdown");
    let missing = "0=/dev/disk/by-id/none 1=/dev/disk/by-id/nothing";
    // Both ports, both disks.
    let findings = look(&b, &[("disks", missing)]);
    assert_eq!(bad(&findings), ["port", "port", "disks", "disks"], "{findings:?}");
    assert_eq!(bad(&look(&b, &[("wwnn", "nonsense")])), ["parameters"]);
}

/// The driver bnx2fc hangs from a network interface, as software FCoE does, and sets no
/// `proc_name`.
#[test]
fn a_port_of_bnx2fc_is_known_by_its_symbolic_name() {
    let (a, _) = pair();
    let driver = || fc::host_driver(&a.kernel, "host2").unwrap();
    assert_eq!(driver(), "fcoe");
    a.kernel.set("/sys/class/scsi_host/host2/proc_name", "(null)\n");
    let name = "/sys/class/fc_host/host2/symbolic_name";
    a.kernel.set(name, "bnx2fc (QLogic BCM57810) v2.12.13 over eth1\n");
    assert_eq!(driver(), "bnx2fc");
    a.start().unwrap();
    a.kernel.set(name, "\n");
    assert_eq!(driver(), "");
}

/// Only software FCoE has a bar, which only a stop needs.
#[test]
fn a_check_says_what_a_missing_nft_costs() {
    let found = |setup: &Setup, nft| {
        let (a, _) = common::pair(setup);
        a.san.borrow_mut().nft = nft;
        let scope = a.scope_with(&[]);
        let findings = check::check(&a.kernel, a.name, &scope, a.budget()).into_iter();
        findings.filter(|finding| finding.what == "bar").collect::<Vec<_>>()
    };
    let fcoe = Setup::new(1, 2);
    let missing = found(&fcoe, Nft::Missing);
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].verdict, Verdict::Doubtful);
    assert!(missing[0].found.contains("No such file"), "{}", missing[0].found);
    assert!(missing[0].advice.contains("nftables"), "{}", missing[0].advice);
    assert_eq!(found(&fcoe, Nft::Works), []);
    assert_eq!(found(&fcoe.on_qla2xxx(), Nft::Missing), []);
}

#[test]
fn the_watch_counts_ports_and_remembers_fabrics() {
    let (a, _) = pair();
    let elsewhere = Cell::new(true);
    let counts = |found: watch::Online| found.into_values().collect::<Vec<_>>();
    let look = |resource| {
        let time = Duration::from_secs(10);
        let seen = watch::look(&a.kernel, resource, time, &|_| elsewhere.get()).unwrap();
        seen.map(|seen| (counts(seen.online), counts(seen.steady)))
    };
    let after = |seconds| a.kernel.sleep(Duration::from_secs(seconds));
    assert_eq!(look("fcport"), None);
    assert_eq!(counts(watch::begin(&a.kernel, "fcport").unwrap().steady), [1]);
    let refused = watch::begin(&a.kernel, "another").unwrap_err();
    assert_eq!(refused.kind, Kind::Configuration);
    assert_eq!(look("another"), None);

    // A link that flaps, whenever it is looked at.
    for state in ["Linkdown", "Online", "Linkdown"] {
        a.kernel.set("/sys/class/fc_host/host2/port_state", state);
        assert_eq!(look("fcport").unwrap().1, [1]);
        after(9);
    }
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    a.kernel.set("/sys/class/fc_host/host2/fabric_name", "0x0");
    after(1);
    assert_eq!(counts(watch::begin(&a.kernel, "fcport").unwrap().steady), [1]);
    // The fabric is lost to every node, then to all but one: this node may be the next to
    // find it again.
    elsewhere.set(false);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    after(60);
    elsewhere.set(true);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    after(9);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    after(1);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![0]));
    // Another fabric is news at once.
    a.kernel.set("/sys/class/fc_host/host2/port_state", "Online");
    a.kernel.set("/sys/class/fc_host/host2/fabric_name", "0x1000000000000007");
    assert_eq!(look("fcport").unwrap(), (vec![0, 1], vec![0, 1]));

    assert_eq!(watch::end(&a.kernel, "another").unwrap(), None);
    assert_eq!(watch::end(&a.kernel, "fcport").unwrap().unwrap().fabrics.len(), 2);
    assert_eq!(look("fcport"), None);
}

#[test]
fn a_look_at_the_groups_is_due_once_a_minute() {
    let (a, _) = pair();
    let due = |seconds| {
        a.kernel.sleep(Duration::from_secs(seconds));
        watch::note_look_if_due(&a.kernel, "fcport", Duration::from_secs(60)).unwrap()
    };
    assert!(!due(0), "no watch is kept");
    watch::begin(&a.kernel, "fcport").unwrap();
    assert_eq!(
        [due(0), due(0), due(59), due(1), due(0)],
        [true, false, false, true, false]
    );
}

#[test]
fn a_group_that_could_not_be_served_waits_anew() {
    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);
    let (a, _) = pair();
    let steady = |seconds, could: &[(&str, Option<bool>)]| {
        a.kernel.sleep(Duration::from_secs(seconds));
        let could = could.iter().map(|(name, could)| ((*name).to_owned(), *could));
        let found = watch::could_serve_for(&a.kernel, "fcport", could.collect()).unwrap();
        found.into_values().collect::<Vec<_>>()
    };
    assert_eq!(steady(0, &[("one", YES)]), []);
    watch::begin(&a.kernel, "fcport").unwrap();
    assert_eq!(steady(0, &[("one", YES), ("two", NO)]), [Some(0), None]);
    assert_eq!(steady(5, &[("one", YES), ("two", YES)]), [Some(5), Some(0)]);
    assert_eq!(steady(5, &[("one", NO), ("two", YES)]), [None, Some(5)]);
    // Looking at the ports or starting the agent again forgets nothing.
    watch::look(&a.kernel, "fcport", Duration::ZERO, &|_| true).unwrap();
    watch::begin(&a.kernel, "fcport").unwrap();
    assert_eq!(steady(5, &[("one", YES), ("two", YES)]), [Some(0), Some(10)]);
    assert_eq!(steady(5, &[("two", YES)]), [Some(15)]);
    // While an action is under way nobody can tell.
    assert_eq!(steady(5, &[("two", None)]), [Some(20)]);
    assert_eq!(steady(5, &[("two", NO)]), [None]);
    assert_eq!(steady(5, &[("two", None), ("new", None)]), [Some(0), None]);
    assert_eq!(steady(5, &[("two", YES)]), [Some(0)]);
    let told = watch::end(&a.kernel, "fcport").unwrap().unwrap();
    assert_eq!(told.groups.into_iter().collect::<Vec<_>>(), ["two"]);
}

/// A stop gives up soon on such a port: initiators wait for the fence that follows.
#[test]
fn a_wedged_port_without_a_link_is_given_up_soon() {
    for (state, least, most) in [("Linkdown", 4, 6), ("Active", 18, 21)] {
        let served = || {
            let (a, _) = common::pair(&Setup::new(2, 1));
            a.start().unwrap();
            a.kernel.sleep(Duration::from_secs(1));
            let ports = a.kernel.below("/sys/class/fc_vports");
            let file = ports.iter().find(|path| path.ends_with("vport_state")).unwrap();
            a.kernel.set(file.to_str().unwrap(), state);
            // Without an account a stop asks for echoes.
            a.flush(&a.setup.ports[0]);
            a.kernel.plan(None);
            a
        };
        let a = served();
        a.stop().unwrap();
        let is_logout = |deed: &Deed| matches!(deed, Deed::Op(Op::Write { path, .. }) if path.ends_with("vport_delete"));
        let logout = a.kernel.deeds().iter().position(is_logout).unwrap();
        // Where there is no link, nobody is asked for an echo.
        let is_echo = |deed: &Deed| matches!(deed, Deed::Op(Op::Echo(_)));
        assert_eq!(a.kernel.deeds().iter().any(is_echo), state == "Active");

        let a = served();
        a.kernel.plan(Some((logout, Fault::Hangs)));
        let begun = a.kernel.now();
        let failure = a.stop().unwrap_err().to_string();
        let took = (a.kernel.now() - begun).as_secs();
        assert!((least..=most).contains(&took), "{state}: {took} s");
        let said = failure.contains("had lost its link");
        assert_eq!(said, state == "Linkdown", "{failure}");
    }
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

#[test]
fn a_disk_that_is_still_to_be_made_is_in_nobodys_way() {
    let (a, _) = pair();
    let disks = [("ownership", "none"), ("disks", "0=/dev/zvol/tank/v1")];
    let scope = a.scope_with(&disks);
    let failure = check_node(&a.kernel, &scope, a.budget()).unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    let scope = Scope { maker: Some("pool".into()), ..scope };
    assert_eq!(check_node(&a.kernel, &scope, a.budget()), Ok(()));
    let findings = check::check(&a.kernel, a.name, &scope, a.budget());
    let disks = findings.iter().find(|finding| finding.what == "disks").unwrap();
    assert_eq!(disks.verdict, Verdict::Doubtful);
    assert!(disks.found.contains("made by pool, which does not run here"), "{disks:?}");
    // A start fails without the disk.
    assert!(
        plan::planner("start").unwrap()(&a.kernel, a.name, &scope, a.budget()).is_err()
    );
}

/// The disk may be a DRBD device whose other half is promoted elsewhere.
#[test]
fn a_disk_that_does_not_answer_yet_is_in_nobodys_way() {
    let (a, _) = pair();
    let verdict = |maker: Option<&str>| {
        let scope = a.scope_with(&[("ownership", "none")]);
        let scope = Scope { maker: maker.map(String::from), ..scope };
        let findings = check::check(&a.kernel, a.name, &scope, a.budget());
        findings.iter().find(|finding| finding.what == "reads").unwrap().verdict
    };
    a.kernel.plan(None);
    assert_eq!(verdict(None), Verdict::Good);
    let is_read = |deed: &Deed| matches!(deed, Deed::Op(Op::ReadDisk(_)));
    let at = a.kernel.deeds().iter().position(is_read).unwrap();
    let wrong_medium = Cause::Errno(nix::errno::Errno::EMEDIUMTYPE as i32);
    for (maker, wanted) in [(None, Verdict::Bad), (Some("drbd"), Verdict::Doubtful)] {
        a.kernel.plan(Some((at, Fault::Fails(wrong_medium.clone()))));
        assert_eq!(verdict(maker), wanted, "{maker:?}");
    }
}
