//! Groups with ports in one fabric or two, and physical ports in none.

use std::time::Duration;

use understudy_core::action::failure::Kind;
use understudy_core::fc;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::run_files::watch;
use understudy_core::verbs::check::{self, Verdict};
use understudy_core::verbs::{Health, Level, health, takeover};
use understudy_sim::SimKernel;

use crate::common::{Node, Setup};
use crate::{pair, set_link};

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
        takeover(&mut a.action_on(&kernel), &scope).unwrap();
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
    let (a, _) = crate::common::pair(&Setup::new(2, 1));
    let refused = a.start_with(&[("ports", EDGE)]).unwrap_err().to_string();
    assert!(refused.contains("WWPN@NAME|NAME"), "{refused}");
    let either = format!("{EDGE}|10:00:00:00:00:00:00:01");
    a.start_with(&[("ports", &either)]).unwrap();
    a.stop_with(&[("ports", &either)]).unwrap();
    assert_eq!(a.leavings(), [""; 0]);
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
        let all = check::check(&a.action(), &scope).into_iter();
        all.filter(|finding| finding.what == "port").map(|f| f.verdict).collect()
    };
    assert_eq!(verdicts(), [Verdict::Good, Verdict::Doubtful]);
    a.start_with(&two("degraded")).unwrap();
    a.start_with(&two("degraded")).unwrap();
    let look = || {
        let scope = a.scope_with(&two("degraded"));
        health(&a.action(), &scope, Level::Owner)
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
    let seen = health(&a.action(), &a.scope_with(&two), Level::Port);
    assert!(matches!(seen, Health::Failed(faults) if faults.len() == 2));
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
