//! The name server and the fabric controller.

use understudy_fabric::addr::Fcid;
use understudy_fabric::control::What;
use understudy_fabric::ct::{self, Reject, Request};
use understudy_fabric::els::{self, Logout, StateChangeRegistration, command};
use understudy_fabric::wwn::Wwn;

use crate::login::{A, B, V};
use crate::node::{FCP, Node};
use crate::program::Program;

fn entry(flags: u32, fcid: Fcid, wwpn: Wwn) -> Vec<u8> {
    let mut out = (flags << 24 | fcid.0).to_be_bytes().to_vec();
    out.extend([0; 4]);
    out.extend(wwpn.0.to_be_bytes());
    out
}

#[test]
fn the_directory_lists_who_registered() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.join(A);
    let mut other = program.node("b");
    let silent = other.flogi(B);
    let list = Request::GpnFt { fc4: FCP };
    assert_eq!(node.ct(fcid, &list), Ok(entry(0x80, fcid, A)));

    other.register(silent, B, 3);
    let both = [entry(0, fcid, A), entry(0x80, silent, B)].concat();
    assert_eq!(node.ct(fcid, &list), Ok(both));
    assert_eq!(node.ct(fcid, &Request::GpnFt { fc4: 9 }), Err(Reject::NO_TYPE));
}

#[test]
fn questions_about_one_port() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.join(A);
    let name = A.0.to_be_bytes().to_vec();
    let node_name = (A.0 | 1 << 60).to_be_bytes().to_vec();
    let address = (0x80 << 24 | fcid.0).to_be_bytes().to_vec();
    let mut features = vec![0; 128];
    features[7] = 0x02;
    for (request, answer) in [
        (Request::GpnId { fcid }, name),
        (Request::GnnId { fcid }, node_name),
        (Request::GftId { fcid }, ct::one_type(FCP).to_vec()),
        (Request::GspnId { fcid }, b"\x0fa scripted port".to_vec()),
        (Request::GffId { fcid }, features),
        (Request::GidPn { wwpn: A }, address.clone()),
        (Request::GidNn { wwnn: Wwn(A.0 | 1 << 60) }, address.clone()),
        (Request::GidFt { fc4: FCP }, address),
    ] {
        assert_eq!(node.ct(fcid, &request), Ok(answer), "{request:?}");
    }
}

#[test]
fn questions_about_nobody_are_rejected() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.join(A);
    let gone = Fcid(fcid.0 + 1);
    for (request, reject) in [
        (Request::GpnId { fcid: gone }, Reject::NO_PORT),
        (Request::GidPn { wwpn: V }, Reject::NO_PORT_NAME),
        (Request::GidNn { wwnn: V }, Reject::NO_NODE_NAME),
        (Request::RnnId { fcid: gone, wwnn: V }, Reject::NO_PORT),
        (Request::RsnnNn { wwnn: V, name: Vec::new() }, Reject::NO_NODE_NAME),
    ] {
        assert_eq!(node.ct(fcid, &request), Err(reject), "{request:?}");
    }
}

#[test]
fn a_port_registers_for_itself_only() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let mine = a.join(A);
    let theirs = b.flogi(B);
    let request = Request::RftId { fcid: theirs, types: ct::one_type(FCP) };
    assert_eq!(a.ct(mine, &request), Err(Reject::NO_PORT));
}

#[test]
fn a_long_list_comes_in_several_frames() {
    let program = Program::start();
    let mut node = program.node("a");
    let host = node.join(A);
    // 2112 bytes hold the CT header and 131 entries.
    let names: Vec<Wwn> = (0..140).map(|n| Wwn(V.0 + (n << 32))).collect();
    let mut expected = entry(0, host, A);
    for wwpn in &names {
        let fcid = node.fdisc(*wwpn);
        let request = Request::RftId { fcid, types: ct::one_type(FCP) };
        assert_eq!(node.ct(fcid, &request), Ok(Vec::new()));
        expected.extend(entry(0, fcid, *wwpn));
    }
    let last = expected.len() - 16;
    expected[last] = 0x80;
    let (answer, frames) = node.ct_frames(host, &Request::GpnFt { fc4: FCP });
    assert_eq!((answer, frames), (Ok(expected), 2));
}

#[test]
fn others_hear_of_a_port_when_it_is_complete_and_when_it_is_gone() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    a.join(A);
    let fcid = b.flogi(B);
    a.assert_quiet();
    let types = Request::RftId { fcid, types: ct::one_type(FCP) };
    assert_eq!(b.ct(fcid, &types), Ok(Vec::new()));
    a.assert_quiet();
    let features = Request::RffId { fcid, features: 2, fc4: FCP };
    assert_eq!(b.ct(fcid, &features), Ok(Vec::new()));
    assert_eq!(a.rscn(), [fcid]);
    // The same again is no news; other features are.
    assert_eq!(b.ct(fcid, &features), Ok(Vec::new()));
    a.assert_quiet();
    assert_eq!(
        b.ct(fcid, &Request::RffId { fcid, features: 3, fc4: FCP }),
        Ok(Vec::new())
    );
    assert_eq!(a.rscn(), [fcid]);
    b.logo(fcid, B);
    assert_eq!(a.rscn(), [fcid]);
    a.assert_quiet();
}

#[test]
fn a_port_without_features_is_announced_by_its_scr() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    a.join(A);
    let fcid = b.flogi(B);
    let types = Request::RftId { fcid, types: ct::one_type(FCP) };
    assert_eq!(b.ct(fcid, &types), Ok(Vec::new()));
    scr(&mut b, fcid, StateChangeRegistration::FULL);
    assert_eq!(a.rscn(), [fcid]);
}

#[test]
fn a_port_that_nobody_heard_of_leaves_unnoticed() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    a.join(A);
    let fcid = b.flogi(B);
    b.logo(fcid, B);
    a.assert_quiet();
}

#[test]
fn who_does_not_ask_is_not_told() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let fcid = a.join(A);
    scr(&mut a, fcid, StateChangeRegistration::CLEAR);
    b.join(B);
    a.assert_quiet();
    b.assert_quiet();
}

fn scr(node: &mut Node, fcid: Fcid, function: u8) {
    let scr = StateChangeRegistration { function }.encode();
    assert_eq!(node.els(fcid, Fcid::CONTROLLER, &scr), els::accept());
}

#[test]
fn other_link_services() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.flogi(A);
    let rtv = node.els(fcid, Fcid::F_PORT, &[command::RTV, 0, 0, 0]);
    assert_eq!(rtv, els::timeouts(els::R_A_TOV_MS));
    for (d_id, command) in [
        (Fcid::DIRECTORY, command::RLS),
        (Fcid::MANAGEMENT, command::PLOGI),
        (Fcid::DIRECTORY, command::SCR),
        (Fcid::CONTROLLER, 0xee),
    ] {
        let answer = node.els(fcid, d_id, &[command, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(els::Reject::decode(&answer), Some(els::Reject::UNSUPPORTED));
    }
    let short = node.els(fcid, Fcid::DIRECTORY, &[command::PLOGI, 0, 0, 0]);
    assert_eq!(els::Reject::decode(&short), Some(els::Reject::BAD_LENGTH));
}

#[test]
fn a_server_forgives_what_ends_an_exchange_or_a_login() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.flogi(A);
    let logo = Logout { fcid, wwpn: A }.encode();
    assert_eq!(node.els(fcid, Fcid::DIRECTORY, &logo), els::accept());
    let rrq = [command::RRQ, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(node.els(fcid, Fcid::DIRECTORY, &rrq), els::accept());
    let accept = node.abort(fcid, Fcid::DIRECTORY, 0x0123);
    assert_eq!(accept, [0, 0, 0, 0, 0x01, 0x23, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    assert_eq!(program.client().ports().unwrap().len(), 1);
}

#[test]
fn a_fabric_logout_may_come_over_fcoe() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.flogi(A);
    let logo = Logout { fcid, wwpn: A }.encode();
    assert_eq!(node.els(fcid, Fcid::F_PORT, &logo), els::accept());
    assert_eq!(program.history(A), [What::Login, What::Logout]);
}

#[test]
fn an_unknown_name_server_request_is_rejected() {
    let program = Program::start();
    let mut node = program.node("a");
    let fcid = node.flogi(A);
    assert_eq!(node.ct_raw(fcid, 0x0777), Err(Reject::UNSUPPORTED));
    assert_eq!(node.ct_raw(fcid, 0x0112), Err(Reject::BAD_SIZE));
}
