//! The verbs on simulated nodes whose ports are on a qla2xxx HBA. `crash_points` tries
//! every point at which a verb may be cut short.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod checks;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod light;
mod states;

use std::path::Path;
use std::time::Duration;

use common::{Node, Setup, initiators, pair};
use understudy_core::action::step::Step;
use understudy_core::fc;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::verbs::{Health, Level, plan};
use understudy_core::wwn::Wwn;
use understudy_sim::{Deed, Fault};

const PORT: &str = "/sys/kernel/config/target/qla2xxx/20:01:00:25:b5:00:00:0a";
const BASE: &str = "/sys/kernel/config/target/qla2xxx/20:00:52:54:00:00:00:00";
const VPORTS: &str = "/sys/class/fc_vports";
const PROC_NAME: &str = "/sys/class/scsi_host/host2/proc_name";

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

/// In the driver's mode `dual` a port would log in to its initiators while they log in to
/// it. The mode of a port that serves already is left alone: the simulation ends a test
/// that sets it.
#[test]
fn a_port_is_a_target_only() {
    for mode in ["dual\n", "disabled\n"] {
        let (a, _) = pair(&setup());
        a.kernel.set("/sys/module/qla2xxx/parameters/qlini_mode", mode);
        for _ in 0..2 {
            a.start().unwrap();
            a.kernel.sleep(Duration::from_secs(1));
            a.start().unwrap();
            let shown = a.kernel.read(Path::new("/sys/class/scsi_host/host3/qlini_mode"));
            assert_eq!(shown.ok(), (mode == "dual\n").then(|| "disabled\n".into()));
            let remote = a.kernel.list(Path::new("/sys/class/fc_remote_ports")).unwrap();
            assert_eq!(remote, [""; 0]);
            assert_eq!(a.health(Level::Disk), Health::Running);
            a.stop().unwrap();
        }
    }
}

/// The simulation has what a port in the mode `dual` does to its initiators.
#[test]
fn logins_that_cross_hold_a_port() {
    let (a, _) = pair(&setup());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    a.stop().unwrap();
    a.kernel.set("/sys/class/scsi_host/host3/qlini_mode", "dual\n");
    a.start().unwrap();
    let met = || a.kernel.list(Path::new("/sys/class/fc_remote_ports")).unwrap().len();
    a.kernel.sleep(Duration::from_secs(20));
    let before = met();
    a.kernel.sleep(Duration::from_secs(4));
    assert_eq!(met(), before + 1);
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
