//! Discovery, logins, logouts, duplicates and ageing.

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::control::{LoginKind, What, contests, overlaps};
use understudy_fabric::els::Reject;
use understudy_fabric::fip::{Fip, LinkService, VnPort};
use understudy_fabric::wwn::Wwn;

use crate::program::Program;

pub const A: Wwn = Wwn(0x2000_0000_0000_000a);
pub const B: Wwn = Wwn(0x2000_0000_0000_000b);
/// The name that moves from node to node.
pub const V: Wwn = Wwn(0x2001_0000_0000_00ff);

pub fn vn_port(fcid: Fcid, wwpn: Wwn) -> VnPort {
    VnPort { mac: Mac::fabric_provided(fcid), fcid, wwpn }
}

#[test]
fn a_node_discovers_the_fabric() {
    let program =
        Program::with(&["--fabric-name", "0x1000deadbeef0001", "--fka-ms", "1234"]);
    let fabric = Wwn(0x1000_dead_beef_0001);
    let advertisement = Fip::Advertisement {
        solicited: true,
        fcf: Mac::FCF,
        switch: fabric,
        fabric,
        fka_ms: 1234,
        no_keep_alive: false,
    };
    let mut node = program.node("a");
    assert_eq!(node.solicit(), advertisement);
    let (_, accept) = node.try_login(LinkService::Flogi, A).unwrap();
    assert_eq!(accept.wwnn, fabric);
    assert_eq!((accept.features, accept.receive_size), (0x3000, 2112));
}

#[test]
fn physical_and_virtual_ports_log_in_and_out() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.join(A);
    let vport = node.join_virtual(V);
    assert_ne!(fcid, vport);
    assert_eq!(node.rscn(), [vport]);

    let ports = program.client().ports().unwrap();
    let brief: Vec<_> =
        ports.iter().map(|p| (p.wwpn, p.fcid, p.kind, &*p.link)).collect();
    assert_eq!(
        brief,
        [(A, fcid, LoginKind::Flogi, "a"), (V, vport, LoginKind::Fdisc, "a")]
    );
    assert_eq!(ports[1].symbolic_name, "a scripted port");
    assert_eq!((ports[1].fc4[0].fc4, ports[1].fc4[0].features), (8, Some(3)));

    node.logo(vport, V);
    assert_eq!(node.rscn(), [vport]);
    // Linux, deleting a virtual port that it disabled before.
    node.logo(Fcid::NONE, V);
    assert_eq!(program.client().ports().unwrap().len(), 1);
    node.assert_quiet();
    let history = [What::Login, What::Registered, What::Rscn, What::Logout, What::Rscn];
    assert_eq!(program.history(V), history);
}

#[test]
fn a_logout_without_an_address_goes_by_the_name() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    a.flogi(A);
    b.flogi(B);
    a.fdisc(V);
    b.logo(Fcid::NONE, V);
    assert_eq!(program.history(V), [What::Login], "only its own node logs a port out");
    a.logo(Fcid::NONE, V);
    assert_eq!(program.history(V), [What::Login, What::Logout]);
}

#[test]
fn every_login_gets_a_new_address() {
    let program = Program::start();
    let mut node = program.node("a");
    node.flogi(A);
    let first = node.fdisc(V);
    let again = node.fdisc(V);
    assert_ne!(first, again);
    node.logo(again, V);
    let third = node.fdisc(V);
    assert!(third != first && third != again);
    assert_eq!(overlaps(&program.log()), []);
    assert_eq!(contests(&program.log()), []);
}

#[test]
fn a_physical_login_ends_what_its_node_had() {
    let program = Program::start();
    let mut node = program.node("a");
    node.flogi(A);
    node.fdisc(V);
    node.flogi(A);
    let ports = program.client().ports().unwrap();
    assert_eq!(ports.iter().map(|p| p.wwpn).collect::<Vec<_>>(), [A]);
    assert_eq!(program.history(V), [What::Login, What::Logout]);
}

#[test]
fn a_second_login_of_a_name_is_refused() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    a.flogi(A);
    b.flogi(B);
    let held = a.fdisc(V);
    assert_eq!(b.try_login(LinkService::Fdisc, V), Err(Reject::NAME_IN_USE));
    let refused = program.event(What::Refused);
    assert_eq!((refused.wwpn, refused.fcid), (Some(V), Some(held)));
    assert_eq!(refused.link.as_deref(), Some("b"));
    assert_eq!(contests(&program.log()).len(), 1);

    a.logo(held, V);
    b.fdisc(V);
    assert_eq!(overlaps(&program.log()), []);
}

#[test]
fn a_second_login_of_a_name_takes_over_where_that_is_the_policy() {
    let program = Program::with(&["--duplicate-wwpn", "takeover"]);
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    a.join(A);
    b.join(B);
    a.rscn();
    let old = a.join_virtual(V);
    assert_eq!((a.rscn(), b.rscn()), (vec![old], vec![old]));

    let new = b.fdisc(V);
    assert_eq!(a.cleared(), [vn_port(old, V)]);
    assert_eq!((a.rscn(), b.rscn()), (vec![old], vec![old]));
    // The new port is no news before it has registered.
    a.assert_quiet();
    b.register(new, V, 3);
    assert_eq!((a.rscn(), b.rscn()), (vec![new], vec![new]));
    assert_eq!(contests(&program.log())[0].event, What::Replaced);
    assert_eq!(overlaps(&program.log()), []);
}

#[test]
fn no_policy_lets_a_node_take_a_name_over_from_itself() {
    for policy in ["refuse", "takeover"] {
        let program = Program::with(&["--duplicate-wwpn", policy]);
        let mut node = program.node("a");
        node.flogi(A);
        assert_eq!(node.try_login(LinkService::Fdisc, A), Err(Reject::NAME_IN_USE));
        assert_eq!(program.history(A), [What::Login, What::Refused]);
    }
}

#[test]
fn a_virtual_port_needs_its_physical_port() {
    let program = Program::start();
    let mut node = program.node("a");
    assert_eq!(node.try_login(LinkService::Fdisc, V), Err(Reject::LOGIN_FIRST));
    assert_eq!(program.event(What::Refused).fcid, None);
}

#[test]
fn without_npiv_there_are_no_virtual_ports() {
    let program = Program::with(&["--no-npiv"]);
    let mut node = program.node("a");
    assert!(!node.try_login(LinkService::Flogi, A).unwrap().1.grants_npiv());
    assert_eq!(node.try_login(LinkService::Fdisc, V), Err(Reject::NO_RESOURCES));

    // It can be changed, from the next FLOGI on.
    program.client().set_npiv(Some("a"), true).unwrap();
    assert_eq!(node.try_login(LinkService::Fdisc, V), Err(Reject::NO_RESOURCES));
    assert!(node.try_login(LinkService::Flogi, A).unwrap().1.grants_npiv());
    node.fdisc(V);
}

#[test]
fn a_silent_node_ages_out() {
    let program = Program::with(&["--fka-ms", "20"]);
    let mut node = program.node("a");
    let fcid = node.flogi(A);
    assert_eq!(node.cleared(), [vn_port(fcid, A)]);
    assert_eq!(program.history(A), [What::Login, What::AgedOut]);
}

#[test]
fn a_keep_alive_without_a_login_is_cleared() {
    let program = Program::start();
    let mut node = program.node("a");
    node.keep_alive(None);
    assert_eq!(node.cleared(), []);
    let fcid = node.flogi(A);
    node.keep_alive(None);
    node.assert_quiet();
    let stale = vn_port(Fcid(fcid.0 + 1), V);
    node.keep_alive(Some(stale));
    assert_eq!(node.cleared(), [stale]);
}
