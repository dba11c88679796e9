//! The verbs on simulated nodes whose ports are on a qla2xxx HBA. `crash_points` tries
//! every point at which a verb may be cut short.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Node, Setup, initiators, pair};
use understudy_core::action::failure::Kind;
use understudy_core::action::step::Step;
use understudy_core::fc;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::run_files::registry::{self, Entry};
use understudy_core::verbs::check::{self, Finding, Verdict};
use understudy_core::verbs::{Health, Level, health, keep_out, plan};
use understudy_core::wwn::Wwn;
use understudy_sim::{Deed, Fault, SimKernel};

const PORT: &str = "/sys/kernel/config/target/qla2xxx/20:01:00:25:b5:00:00:0a";
const BASE: &str = "/sys/kernel/config/target/qla2xxx/20:00:52:54:00:00:00:00";
const VPORTS: &str = "/sys/class/fc_vports";
const PROC_NAME: &str = "/sys/class/scsi_host/host2/proc_name";
const MODE: &str = "/sys/module/qla2xxx/parameters/qlini_mode";

fn setup() -> Setup {
    Setup::new(2, 1).on_qla2xxx()
}

fn wwpn(setup: &Setup) -> Wwn {
    setup.ports[0].parse().unwrap()
}

fn is_create(op: &Op) -> bool {
    matches!(op, Op::Write { path, .. } if path.ends_with("vport_create"))
}

/// Whether an operation makes the group's target.
fn is_bind(op: &Op) -> bool {
    matches!(op, Op::MakeDir(path) if path == Path::new(PORT))
}

/// Returns the place of the first operation of a kind among an action's operations.
fn place(deeds: &[Deed], is: impl Fn(&Op) -> bool) -> Option<usize> {
    deeds.iter().position(|deed| matches!(deed, Deed::Op(op) if is(op)))
}

fn writes(op: &Op, attribute: &str, value: &str) -> bool {
    matches!(op, Op::Write { path, text } if path.ends_with(attribute) && text == value)
}

fn deeds(node: &Node, act: impl FnOnce(&Node)) -> Vec<Deed> {
    node.kernel.plan(None);
    act(node);
    node.kernel.deeds()
}

/// Returns the state of the only virtual port.
fn state(node: &Node) -> String {
    let vport = node.kernel.list(Path::new(VPORTS)).unwrap().remove(0);
    node.kernel.read(&Path::new(VPORTS).join(vport).join("vport_state")).unwrap()
}

/// The driver qla2xxx sets no `proc_name`. A driver from elsewhere is known by its
/// module: its PCI driver may have the name of the one in the kernel.
#[test]
fn the_port_is_known_by_the_module_of_its_driver() {
    let (a, _) = pair(&setup());
    assert_eq!(fc::host_driver(&a.kernel, "host2").unwrap(), "qla2xxx");
    assert_eq!(a.kernel.read(Path::new(PROC_NAME)).unwrap(), "(null)\n");
}

#[test]
fn the_port_comes_first_and_its_target_serves_last() {
    let (a, _) = pair(&setup());
    let deeds = deeds(&a, |a| a.start().unwrap());
    let is_mapping = |deed: &Deed| {
        let acls = Path::new(PORT).join("tpgt_1/acls");
        matches!(deed, Deed::Op(Op::Link { at, .. }) if at.starts_with(&acls))
    };
    let (create, bind) = (place(&deeds, is_create), place(&deeds, is_bind));
    let closed = place(&deeds, |op| writes(op, "attrib/generate_node_acls", "0"));
    let mapped = deeds.iter().rposition(is_mapping);
    let serve = place(&deeds, |op| writes(op, "tpgt_1/enable", "1"));
    let order = [create, bind, closed, mapped, serve];
    assert!(order.is_sorted() && !order.contains(&None), "{order:?}");
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert!(a.owns_all());
}

/// A stop logs the port out of the fabric. The next start lets it in again as soon as its
/// target has its LUNs.
#[test]
fn a_stop_keeps_the_port_and_its_empty_target() {
    let (a, _) = pair(&setup());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    assert_eq!(state(&a), "Disabled\n");
    assert!(a.san.borrow().logged_in_at(wwpn(&a.setup)).is_empty());
    let again = deeds(&a, |a| a.stop().unwrap());
    assert_eq!(place(&again, |op| matches!(op, Op::Write { .. })), None);

    let deeds = deeds(&a, |a| a.start().unwrap());
    assert_eq!(place(&deeds, |op| writes(op, "tpgt_1/enable", "1")), None);
    let mapped = place(&deeds, |op| matches!(op, Op::Link { .. }));
    assert!(mapped < place(&deeds, |op| writes(op, "vport_disable", "0")));
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert_eq!(a.kernel.list(Path::new(VPORTS)).unwrap().len(), 1);
}

/// The survivor of two nodes gives a group back while it serves its own on the same HBA,
/// and takes it over again.
#[test]
fn groups_come_and_go_side_by_side_while_both_are_written() {
    let (a, b) = pair(&setup().with_another());
    let own = a.another().unwrap();
    own.start().unwrap();
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    for setup in [&a.setup, &own.setup] {
        for (initiator, (lun, disk)) in initiators().iter().zip(&setup.disks) {
            a.san.borrow_mut().write_from(*initiator, wwpn(setup), *lun, disk);
        }
    }
    let written = || a.san.borrow().acknowledged().collect::<Vec<_>>();
    let mut before = written();
    for (from, to) in [(&a, &b), (&b, &a), (&a, &b), (&b, &a)] {
        from.stop().unwrap();
        assert_eq!(from.leavings(), [""; 0]);
        to.start().unwrap();
        to.kernel.sleep(Duration::from_secs(3));
        assert_eq!(to.health(Level::Disk), Health::Running);
        assert_eq!(own.health(Level::Disk), Health::Running);
        let now = written();
        assert!(now.iter().zip(&before).all(|(now, then)| now > then), "{now:?}");
        before = now;
    }
}

#[test]
fn what_the_hba_lacks_is_named_before_the_first_step() {
    for (path, text, want) in [
        (MODE, "enabled\n", "qlini_mode=enabled. Load it with qlini_mode=dual"),
        (MODE, "exclusive\n", "renew the initramfs"),
        (&format!("{BASE}/tpgt_1/enable"), "0\n", "Enable it at boot"),
        ("/sys/class/fc_host/host2/max_npiv_vports", "0\n", "all the vports that it can"),
    ] {
        let (a, _) = pair(&setup());
        a.kernel.set(path, text);
        let failure = a.start().unwrap_err();
        assert_eq!(failure.kind, Kind::Node, "{failure}");
        assert!(failure.to_string().contains(want), "{failure}");
        assert!(!a.owns_all() && a.leavings().is_empty());
    }
    let (a, _) = pair(&setup());
    for (driver, want) in [("tcm_fc", "tcm_fc is not loaded"), ("qla2xxx", "")] {
        let said = a.start_with(&[("driver", driver)]);
        let said = said.map_or_else(|failure| failure.to_string(), |()| String::new());
        assert!(said.contains(want), "{said}");
    }
}

#[test]
fn the_ports_of_a_group_have_one_driver() {
    let (a, _) = pair(&Setup::new(1, 2).on_qla2xxx());
    let other = "/sys/kernel/config/target/fc/20:02:00:25:b5:00:00:0a/tpgt_1";
    a.kernel.set_dir(Path::new(other));
    let failure = a.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    assert!(failure.to_string().contains("two drivers, tcm_fc and qla2xxx"), "{failure}");
}

/// FC_VPORT_FAILED passes for a count of bytes; the rest must not be sent after it.
#[test]
fn a_create_that_takes_nine_bytes_has_failed_and_is_undone() {
    let (a, _) = pair(&setup());
    a.san.borrow_mut().quietly_fails = true;
    let failure = a.start().unwrap_err().to_string();
    let want = "host2/vport_create (20010025b500000a:20000025b500000a): the kernel took \
                only 9 bytes of it";
    assert!(failure.contains(want), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
    assert_eq!(a.kernel.below(VPORTS).len(), 0);
    a.san.borrow_mut().quietly_fails = false;
    a.start().unwrap();
}

/// The driver says that it was done, whatever came of it.
#[test]
fn a_logout_that_fails_quietly_fails_the_stop() {
    let (a, _) = pair(&setup());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    a.san.borrow_mut().quietly_fails = true;
    for _ in 0..2 {
        let failure = a.stop().unwrap_err().to_string();
        assert!(failure.contains("still there: vport-2:0-0 (VPort Failed)"), "{failure}");
        assert!(a.owns_all());
        assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    }
    a.san.borrow_mut().quietly_fails = false;
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

/// A link event shows a port that is logged in as failed for a moment: no reason to take
/// it for one that was logged out, even where nothing is built on it yet.
#[test]
fn only_disabled_is_out() {
    let (a, _) = pair(&setup());
    let bind = place(&deeds(&a, |a| a.start().unwrap()), is_bind).unwrap();
    let (a, _) = pair(&setup());
    a.kernel.plan(Some((bind + 1, Fault::Dies)));
    assert!(common::unless_killed(|| a.start()).is_none());
    a.san.borrow_mut().light_goes(0);
    assert_eq!(state(&a), "VPort Failed\n");
    a.stop().unwrap();
    assert_eq!(state(&a), "Disabled\n");
}

#[test]
fn a_target_that_is_off_is_a_fault() {
    let serves = |op: &Op| writes(op, "tpgt_1/enable", "1");
    let (a, _) = pair(&setup());
    let serve = place(&deeds(&a, |a| a.start().unwrap()), serves).unwrap();
    let (a, _) = pair(&setup());
    a.kernel.plan(Some((serve, Fault::Dies)));
    assert!(common::unless_killed(|| a.start()).is_none());
    let Health::Failed(faults) = a.health(Level::Port) else { panic!("it is well") };
    assert_eq!(faults, ["port 20:01:00:25:b5:00:00:0a has a target that is off"]);
}

#[test]
fn a_flap_of_the_link_is_no_failure() {
    let a = common::served(&setup());
    let flap = || {
        a.san.borrow_mut().light_goes(0);
        let back = a.kernel.now() + Duration::from_secs(1);
        let is_back = std::cell::Cell::new(false);
        let pause = |time: Duration| {
            let to = a.kernel.now() + time;
            a.san.borrow_mut().advance(to);
            if to >= back && !is_back.replace(true) {
                a.san.borrow_mut().light_comes(0);
            }
        };
        let kernel = SimKernel::enter(&a.san, 0);
        let kernel = kernel.paused_by(&pause);
        health(&a.action_on(&kernel), &a.scope_with(&[]), Level::Port)
    };
    assert_eq!(flap(), Health::Running);
    assert_eq!(state(&a), "Active\n");
    a.stop().unwrap();
    // A parked port shows the event for good.
    assert_eq!(flap(), Health::NotRunning);
    a.san.borrow_mut().light_comes(0);
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(state(&a), "VPort Failed\n");
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// A port that was to log in while there was no light is not logged in when the light
/// comes back: a monitor finds it, and a stop and a start mend it.
#[test]
fn a_port_that_has_missed_the_light_stays_out() {
    let a = common::served(&setup());
    a.san.borrow_mut().light_goes(0);
    a.san.borrow_mut().reset_chip(0);
    a.san.borrow_mut().light_comes(0);
    a.kernel.sleep(Duration::from_secs(60));
    assert_eq!(state(&a), "Linkdown\n");
    let Health::Failed(faults) = a.health(Level::Port) else { panic!("it is well") };
    assert!(faults.iter().any(|fault| fault.contains("Linkdown")), "{faults:?}");
    a.stop().unwrap();
    assert_eq!(state(&a), "Disabled\n");
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// The driver does not show that the fabric has refused a port. A parked port that a reset
/// has let in is logged out without that, and the port that serves its name stays.
#[test]
fn a_port_that_the_fabric_refuses_stays_initializing() {
    let (a, b) = pair(&setup());
    a.start().unwrap();
    a.stop().unwrap();
    b.start().unwrap();
    {
        let mut san = a.san.borrow_mut();
        san.refuses = true;
        san.reset_chip(0);
    }
    a.kernel.sleep(Duration::from_secs(60));
    assert_eq!(state(&a), "Initializing\n");
    assert_eq!(a.san.borrow().logged_in_at(wwpn(&a.setup)), [1]);
    assert_eq!(keep_out(&a.kernel, a.budget()).unwrap(), [wwpn(&a.setup)]);
    assert_eq!(state(&a), "Disabled\n");
    assert_eq!(b.health(Level::Disk), Health::Running);
}

#[test]
fn a_switch_without_npiv_takes_no_port() {
    let (a, _) = pair(&setup());
    a.san.borrow_mut().npiv = false;
    let failure = a.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    assert!(failure.to_string().contains("Turn NPIV on"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
    assert_eq!(a.kernel.below(VPORTS).len(), 0);
}

/// A reset of the chip lets every port log in again, kept ports too. A probe reports such
/// a port, and a stop logs it out.
#[test]
fn a_kept_port_that_a_reset_has_let_in_is_not_hidden() {
    let (a, _) = pair(&setup());
    a.start().unwrap();
    a.stop().unwrap();
    a.san.borrow_mut().reset_chip(0);
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    a.kernel.sleep(Duration::from_secs(1));
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    a.san.borrow_mut().reset_chip(0);
    a.kernel.sleep(Duration::from_secs(1));
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// The name of a kept port may be logged in on another node when a reset lets the port
/// in.
#[test]
fn a_kept_port_that_a_reset_has_let_in_is_put_out_again() {
    let (a, _) = pair(&setup().with_another());
    let (own, name) = (a.another().unwrap(), wwpn(&a.setup));
    let put_out = || keep_out(&a.kernel, a.budget()).unwrap();
    assert_eq!(put_out(), []);
    own.start().unwrap();
    a.start().unwrap();
    // Ports that are served stay in, and so do those that are about to be.
    assert_eq!(put_out(), []);
    a.stop().unwrap();
    assert_eq!(put_out(), []);
    a.san.borrow_mut().reset_chip(0);
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.san.borrow().logged_in_at(name), [0]);
    let entry = registry::of_group(&a.kernel, "group-b").remove(0);
    let entry = Entry { wwpn: name, ..entry };
    registry::record(&a.kernel, &entry).unwrap();
    assert_eq!(put_out(), []);
    registry::forget(&a.kernel, "group-b", name).unwrap();
    assert_eq!(put_out(), [name]);
    assert!(a.san.borrow().logged_in_at(name).is_empty());
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert_eq!(own.health(Level::Disk), Health::Running);
}

/// The target is bound to the port that is gone, and its name is taken.
#[test]
fn a_target_without_its_port_is_named() {
    let (a, _) = pair(&setup());
    a.start().unwrap();
    a.stop().unwrap();
    let text = "20010025b500000a:20000025b500000a".into();
    let delete = Op::Write { path: "/sys/class/fc_host/host2/vport_delete".into(), text };
    a.kernel.run(&[vec![delete]], a.budget().end);
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    let failure = a.start().unwrap_err();
    assert_eq!((failure.kind, failure.path.clone()), (Kind::Node, Some(PORT.into())));
    assert!(failure.to_string().contains("Boot the node"), "{failure}");
    let findings = look(&a);
    assert!(findings.iter().any(|f| f.verdict == Verdict::Bad && f.what == "port"));
    a.stop().unwrap();
}

fn look(node: &Node) -> Vec<Finding> {
    check::check(&node.action(), &node.scope_with(&[]))
}

#[test]
fn a_check_doubts_what_was_not_run_on_hardware() {
    let (a, _) = pair(&setup());
    let doubts = || {
        let findings = look(&a).into_iter();
        let doubts = findings.filter(|finding| finding.verdict == Verdict::Doubtful);
        doubts.map(|finding| finding.found).collect::<Vec<_>>()
    };
    let never =
        "qla2xxx runs on the real driver with an emulated HBA, not yet on hardware";
    assert_eq!(doubts(), [never]);
    a.kernel.set("/proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
    a.kernel.set(&format!("{BASE}/tpgt_1/attrib/generate_node_acls"), "1\n");
    a.kernel.set(MODE, "disabled\n");
    let found = doubts();
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found[1].contains("kernel 6.1.0-56-amd64"), "{found:?}");
    // While it is served as well, and while it is kept.
    a.start().unwrap();
    assert_eq!(doubts().len(), 5);
    a.stop().unwrap();
    assert_eq!(doubts().len(), 5);
    a.kernel.set(MODE, "enabled\n");
    let bad = look(&a).into_iter().find(|finding| finding.verdict == Verdict::Bad);
    assert_eq!(bad.map(|finding| finding.what), Some("driver"));
}

/// Ports of qla2xxx let everybody log in, and answer only whom they know. A physical port that
/// sees one scans it for minutes, and meanwhile the HBA lets nobody in.
#[test]
fn a_check_doubts_a_physical_port_that_sees_targets() {
    let (a, _) = pair(&setup());
    let remote = |name: &str, wwpn: &str, roles: &str| {
        let dir = format!("/sys/class/fc_remote_ports/{name}");
        a.kernel.set(&format!("{dir}/port_name"), &format!("{wwpn}\n"));
        a.kernel.set(&format!("{dir}/port_state"), "Online\n");
        a.kernel.set(&format!("{dir}/roles"), &format!("{roles}\n"));
    };
    remote("rport-2:0-0", "0x21000024ff000001", "FCP Initiator");
    remote("rport-9:0-1", "0x20010025b500000c", "FCP Target");
    let scans = || {
        let mut findings = look(&a).into_iter().map(|finding| finding.found);
        findings.find(|found| found.contains("scans the target"))
    };
    assert_eq!(scans(), None);
    remote("rport-2:0-2", "0x20010025b500000b", "FCP Target, FCP Initiator");
    assert!(scans().unwrap().ends_with("20:01:00:25:b5:00:00:0b"));
}

/// A plan that is carried out is a start, and a stop; with a new port and with a kept one.
#[test]
fn a_plan_has_every_operation() {
    let (a, _) = pair(&setup());
    let carry_out = |steps: Vec<Step>| {
        for step in steps {
            step.apply(&a.kernel, a.budget()).unwrap();
            a.kernel.sleep(Duration::from_secs(2));
        }
    };
    for _ in 0..2 {
        let scope = a.scope_with(&[]);
        carry_out(plan::takeover_steps(&a.action(), &scope).unwrap());
        assert_eq!(a.health(Level::Disk), Health::Running);
        carry_out(plan::release_steps(&a.action(), &scope).unwrap());
        assert_eq!(a.leavings(), [""; 0]);
        let rest = plan::release_steps(&a.action(), &scope).unwrap();
        assert_eq!(rest, []);
    }
}

/// What another group of the HBA has to do is no reason to wait: only the commands that come
/// for the group's own LUNs are counted.
#[test]
fn a_stop_is_as_quick_beside_a_busy_group() {
    let a = common::served(&setup().with_another());
    let another = a.another().unwrap();
    another.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let port = wwpn(&another.setup);
    // Each sends two commands a second, so the first does it again after the last.
    for initiator in initiators() {
        for (lun, disk) in &another.setup.disks {
            a.san.borrow_mut().write_from(initiator, port, *lun, disk);
            a.kernel.sleep(Duration::from_millis(125));
        }
    }
    let since = a.kernel.now();
    a.stop().unwrap();
    let took = a.kernel.now() - since;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// A chip that is reset under load loses commands, and the driver waits for them for good:
/// the port says Active, and nobody can log in. No logout is tried, because it would hang.
#[test]
fn a_driver_that_waits_for_a_lost_command_is_found() {
    let a = common::served(&setup());
    let (lun, disk) = &a.setup.disks[0];
    let (port, initiator) = (wwpn(&a.setup), initiators()[0]);
    a.san.borrow_mut().write_from(initiator, port, *lun, disk);
    let inflight = format!("/sys/class/block/{disk}/inflight");
    while a.kernel.read(Path::new(&inflight)).unwrap().trim_end().ends_with(" 0") {
        a.kernel.sleep(Duration::from_millis(1));
    }
    a.san.borrow_mut().reset_chip(0);
    a.kernel.sleep(Duration::from_secs(1));
    let Health::Failed(faults) = a.health(Level::Port) else { panic!("it runs") };
    assert!(faults.iter().any(|fault| fault.contains("has lost")), "{faults:?}");
    let failure = a.stop().unwrap_err().to_string();
    assert!(failure.contains("has lost") && failure.contains("fencing"), "{failure}");
}

/// Sessions end now and then, and the driver waits for their last commands.
#[test]
fn a_driver_that_waits_for_a_moment_does_not_hang() {
    let a = common::served(&setup());
    let (comm, wchan) = ("/proc/77/comm", "/proc/77/wchan");
    a.kernel.set(comm, "kworker/u4:1+qla2xxx_wq\n");
    a.kernel.set(wchan, "target_wait_for_sess_cmds");
    let ends = a.kernel.now() + Duration::from_secs(2);
    let pause = |time: Duration| {
        let to = a.kernel.now() + time;
        a.san.borrow_mut().advance(to);
        if to >= ends {
            a.kernel.set(wchan, "0");
        }
    };
    let kernel = SimKernel::enter(&a.san, 0);
    let kernel = kernel.paused_by(&pause);
    let health = health(&a.action_on(&kernel), &a.scope_with(&[]), Level::Port);
    assert_eq!(health, Health::Running);
    // What it waits for is with a slow disk, perhaps one of another group.
    a.kernel.set(wchan, "target_wait_for_cmds");
    a.kernel.keep_busy(Duration::from_secs(20));
    assert_eq!(a.health(Level::Port), Health::Running);
    a.kernel.sleep(Duration::from_secs(20));
    // A worker that has done its work has the queue's name, too.
    a.kernel.set(comm, "kworker/u4:1-qla2xxx_wq\n");
    a.kernel.set(wchan, "target_wait_for_cmds");
    assert_eq!(a.health(Level::Port), Health::Running);
    a.stop().unwrap();
}
