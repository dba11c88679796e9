//! What a node or a fabric lacks: named by `check`, or before the first step of a start.

use std::path::Path;

use understudy_core::action::failure::Kind;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::verbs::check::{self, Finding, Verdict};
use understudy_core::verbs::{Health, Level};

use crate::common::{Node, Setup, pair};
use crate::{BASE, PORT, VPORTS, setup};

const MODE: &str = "/sys/module/qla2xxx/parameters/qlini_mode";

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
    let found = doubts();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[1].contains("kernel 6.1.0-56-amd64"), "{found:?}");
    // While it is served as well, and while it is kept.
    a.start().unwrap();
    assert_eq!(doubts().len(), 4);
    a.stop().unwrap();
    assert_eq!(doubts().len(), 4);
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
