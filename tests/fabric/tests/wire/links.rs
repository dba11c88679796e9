//! Links that go down, are cut, and come back.

use std::io::Write;

use understudy_fabric::control::{LinkState, What, overlaps};
use understudy_fabric::wwn::Wwn;

use crate::login::{A, B, V, vn_port};
use crate::program::Program;

#[test]
fn a_crash_deregisters_every_port_and_the_others_hear_of_it() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    b.join(B);
    let fcid = a.join(A);
    let vport = a.join_virtual(V);
    assert_eq!((b.rscn(), b.rscn()), (vec![fcid], vec![vport]));
    drop(a);
    assert_eq!(b.rscn(), [vport, fcid], "one notification for both");
    b.assert_quiet();
    let down = program.event(What::LinkDown);
    assert_eq!(
        (down.link.as_deref(), down.reason.as_deref()),
        (Some("a"), Some("disconnected"))
    );

    // The virtual port may come up elsewhere at once, and the node may come back.
    assert_ne!(b.join_virtual(V), vport);
    let mut a = program.node("a");
    assert_ne!(a.join(A), fcid);
    assert_eq!(overlaps(&program.log()), []);
    assert_eq!(program.client().ports().unwrap().len(), 3);
}

#[test]
fn a_cable_has_one_end() {
    let program = Program::start();
    let mut first = program.node("a");
    let mut second = program.node("a");
    first.flogi(A);
    drop(first);
    // The second node is served once the first is gone.
    second.flogi(A);
    assert_eq!(program.history(A), [What::Login, What::Logout, What::Login]);
}

#[test]
fn half_a_frame_dies_with_its_node() {
    let program = Program::start();
    let mut first = program.node("a");
    first.flogi(A);
    first.socket.write_all(&[0, 0, 0, 100, 1, 2, 3]).unwrap();
    drop(first);
    program.node("a").flogi(A);
}

#[test]
fn a_cut_link_carries_nothing_until_it_is_restored() {
    let program = Program::start();
    let mut client = program.client();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let b_id = b.join(B);
    let fcid = a.join(A);
    assert_eq!(b.rscn(), [fcid]);

    client.cut("a").unwrap();
    assert_eq!(b.rscn(), [fcid]);
    let link = &client.links().unwrap()[0];
    assert_eq!((link.state, link.ports), (LinkState::Cut, 0));
    b.data(b_id, fcid, b"lost");
    a.data(fcid, b_id, b"lost");
    b.assert_quiet();

    client.restore("a").unwrap();
    assert_eq!(a.cleared(), [], "the node is told that all its logins are gone");
    a.assert_quiet();
    let again = a.join(A);
    assert_eq!(b.rscn(), [again]);
    assert_eq!(overlaps(&program.log()), []);
}

#[test]
fn a_cut_lasts_while_its_node_comes_and_goes() {
    let program = Program::start();
    let mut client = program.client();
    client.cut("a").unwrap();
    let mut a = program.node("a");
    client.restore("a").unwrap();
    a.solicit();
    let events: Vec<_> = program.log().into_iter().map(|event| event.event).collect();
    assert_eq!(events, [What::LinkUp]);
}

#[test]
fn a_dropped_port_is_cleared_and_logs_in_again() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    b.join(B);
    a.join(A);
    b.rscn();
    let vport = a.join_virtual(V);
    b.rscn();
    program.client().drop(V).unwrap();
    assert_eq!(a.cleared(), [vn_port(vport, V)]);
    assert_eq!(b.rscn(), [vport]);
    assert_ne!(a.fdisc(V), vport);
    let history = [What::Registered, What::Rscn, What::Dropped, What::Rscn, What::Login];
    assert_eq!(program.history(V)[1..], history);
}

#[test]
fn a_peer_that_is_no_emulator_is_hung_up_on() {
    let program = Program::start();
    let mut node = program.node("a");
    node.flogi(Wwn(7));
    node.socket.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    node.assert_hung_up();
    assert_eq!(program.event(What::LinkDown).link.as_deref(), Some("a"));
}
