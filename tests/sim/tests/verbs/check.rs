//! Check: what a takeover needs of this node.

use crate::common::{Node, Setup};
use crate::pair;
use understudy_core::action::failure::Kind;
use understudy_core::kernel::{Cause, Op};
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::check::{self, Finding, Verdict};
use understudy_core::verbs::check_node;
use understudy_core::verbs::plan;
use understudy_sim::{Deed, Fault, Nft};

#[test]
fn numbers_that_some_initiators_do_not_see_are_doubtful() {
    let (a, _) = pair();
    let doubts = |disks: &str| {
        let scope = a.scope_with(&[("disks", disks)]);
        let all = check::check(&a.action(), &scope).into_iter();
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

#[test]
fn a_check_says_all_that_is_in_the_way() {
    let (a, b) = pair();
    a.start().unwrap();
    let look = |node: &Node, changes: &[(&str, &str)]| {
        let scope = node.scope_with(changes);
        check::check(&node.action(), &scope)
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

/// Only software FCoE has a bar, which only a stop needs.
#[test]
fn a_check_says_what_a_missing_nft_costs() {
    let found = |setup: &Setup, nft| {
        let (a, _) = crate::common::pair(setup);
        a.san.borrow_mut().nft = nft;
        let scope = a.scope_with(&[]);
        let findings = check::check(&a.action(), &scope).into_iter();
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
fn a_disk_that_is_still_to_be_made_is_in_nobodys_way() {
    let (a, _) = pair();
    let disks = [("ownership", "none"), ("disks", "0=/dev/zvol/tank/v1")];
    let scope = a.scope_with(&disks);
    let failure = check_node(&a.kernel, &scope, a.budget()).unwrap_err();
    assert_eq!(failure.kind, Kind::Node, "{failure}");
    let scope = Scope { maker: Some("pool".into()), ..scope };
    assert_eq!(check_node(&a.kernel, &scope, a.budget()), Ok(()));
    let findings = check::check(&a.action(), &scope);
    let disks = findings.iter().find(|finding| finding.what == "disks").unwrap();
    assert_eq!(disks.verdict, Verdict::Doubtful);
    assert!(disks.found.contains("made by pool, which does not run here"), "{disks:?}");
    // A start fails without the disk.
    assert!(plan::planner("start").unwrap()(&a.action(), &scope).is_err());
}

/// The disk may be a DRBD device whose other half is promoted elsewhere.
#[test]
fn a_disk_that_does_not_answer_yet_is_in_nobodys_way() {
    let (a, _) = pair();
    let verdict = |maker: Option<&str>| {
        let scope = a.scope_with(&[("ownership", "none")]);
        let scope = Scope { maker: maker.map(String::from), ..scope };
        let findings = check::check(&a.action(), &scope);
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
