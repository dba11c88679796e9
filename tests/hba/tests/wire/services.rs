//! ELS and CT: requests, answers, and what the wire answers by itself.

use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::ct::{self, Request};
use understudy_fabric::els::{
    R_A_TOV_MS, Reject, StateChangeRegistration, command, timeouts,
};
use understudy_fabric::frame::FcHeader;
use understudy_hba::els::PRLI;
use understudy_hba::wire::{Cause, Event, LogoutBy, RscnPage, Vp, WireError};

use crate::remote::{REMOTE, Remote, request};
use crate::rig::{BASE, FCP, Rig, names, plogi};

const ECHO: u8 = 0x10;
const REC: u8 = 0x13;

#[test]
fn a_login_goes_to_firmware_and_its_answer_comes_back() {
    let mut rig = Rig::new(2);
    let (a, _) = (rig.login(0, BASE), rig.login(1, BASE));
    let els = plogi(0, 2112);
    let (ours, theirs) = rig.ask(0, 1, &els);
    let accept = [&[command::LS_ACC], &els[1..]].concat();
    rig.wires[1].answer_els(theirs, &accept).unwrap();
    assert_eq!(rig.one(0), Event::ElsAnswer { exchange: ours, payload: accept });
    assert_eq!(rig.wires[1].answer_els(theirs, &[]), Err(WireError::Unknown));
    assert!(!rig.wires[0].is_open(ours));

    let (ours, theirs) = rig.ask(0, 1, &[PRLI, 16, 0, 20]);
    rig.wires[1].reject_els(theirs, Reject::LOGIN_FIRST).unwrap();
    let payload = Reject::LOGIN_FIRST.encode();
    assert_eq!(rig.one(0), Event::ElsAnswer { exchange: ours, payload });
    assert_eq!(rig.wires[1].port_at(a), None);
}

#[test]
fn an_els_without_an_answer_times_out_and_is_aborted() {
    let mut rig = Rig::new(2);
    rig.login(0, BASE);
    rig.login(1, BASE);
    let (ours, theirs) = rig.ask(0, 1, &plogi(0, 2112));
    // The fabric's R_A_TOV is 4 s.
    rig.pass(Duration::from_millis(7999));
    assert_eq!((rig.take(0), rig.take(1)), (vec![], vec![]));
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.one(0), Event::Ended { exchange: ours, cause: Cause::Timeout });
    assert_eq!(rig.one(1), Event::Ended { exchange: theirs, cause: Cause::Aborted });
    assert_eq!(rig.wires[1].answer_els(theirs, &[]), Err(WireError::Unknown));
    // The number rests for R_A_TOV, and RRQ frees it.
    assert_eq!(rig.wires[0].exchanges_in_use(), 1);
    rig.seconds(4);
    assert_eq!((rig.take(0), rig.take(1)), (vec![], vec![]));
    assert_eq!(rig.wires[0].exchanges_in_use(), 0);
}

#[test]
fn an_els_that_firmware_never_answers_is_forgotten() {
    let mut remote = Remote::logged_in(|_| {});
    remote.send(request(0x22, 1, 7), &[PRLI, 0, 0, 0]);
    let Event::ElsReceived { exchange, .. } = remote.event() else { panic!() };
    let mut events = Vec::new();
    for _ in 0..12 {
        events.extend(remote.pass(Duration::from_millis(9999)));
        remote.advertise(false);
    }
    assert_eq!(events, []);
    let forgotten = Event::Ended { exchange, cause: Cause::Timeout };
    assert_eq!(remote.pass(Duration::from_millis(12)), [forgotten]);
}

#[test]
fn a_long_els_is_cut_and_put_together_again() {
    let mut rig = Rig::new(2);
    let ids = [rig.login(0, BASE), rig.login(1, BASE)];
    rig.wires[0].set_receive_size(BASE, ids[1], 256);
    rig.wires[1].set_receive_size(BASE, ids[0], 300);
    let data: Vec<u8> = (0..5001_u32).map(|n| n.to_le_bytes()[0]).collect();
    let echo = [&[ECHO, 0, 0, 0], &data[..]].concat();
    let answer = rig.els(0, ids[1], &echo);
    assert_eq!(answer, [&[command::LS_ACC, 0, 0, 0], &data[..]].concat());
    // 20 frames of 256 bytes, and 17 of 300.
    assert_eq!(rig.wires[1].counters().sent, rig.wires[0].counters().sent - 3);
}

#[test]
fn a_name_servers_answer_of_many_frames_is_whole() {
    let mut rig = Rig::new(2);
    rig.register(1);
    for index in 1..=40 {
        let fcid = rig.login(1, Vp(index));
        let types = ct::one_type(FCP);
        rig.ct(1, Vp(index), &Request::RftId { fcid, types }).unwrap();
    }
    rig.login(0, BASE);
    rig.els(0, Fcid::DIRECTORY, &plogi(0, 256));
    let list = rig.ct(0, BASE, &Request::GpnFt { fc4: FCP }).unwrap();
    assert_eq!(list.len(), 41 * 16);
    assert!(list.ends_with(&names(1, Vp(40)).wwpn.0.to_be_bytes()));
}

#[test]
fn an_answer_with_a_gap_is_no_answer() {
    let mut rig = Rig::new(2);
    let ids = [rig.login(0, BASE), rig.login(1, BASE)];
    rig.wires[1].set_receive_size(BASE, ids[0], 256);
    let mut count = 0;
    rig.mangle = Some(Box::new(move |to, frame| {
        count += usize::from(to == 0);
        if to == 0 && count == 2 { vec![] } else { vec![frame.to_vec()] }
    }));
    let echo = vec![ECHO; 1000];
    let exchange = rig.wires[0].send_els(BASE, ids[1], &echo, rig.now).unwrap();
    assert_eq!(rig.one(0), Event::Ended { exchange, cause: Cause::Damaged });
}

#[test]
fn an_els_is_not_answered_by_a_ct_answer() {
    let mut remote = Remote::logged_in(|_| {});
    let exchange = remote.wire.send_els(BASE, REMOTE, &[PRLI], remote.now).unwrap();
    let (asked, _) = remote.one();
    remote.send(FcHeader { fc_type: ct::TYPE, ..asked.reply(ct::R_CTL_REPLY) }, &[2; 16]);
    assert_eq!(remote.wire.take_events(), []);
    remote.send(asked.reply(0x23), &[2; 16]);
    let payload = vec![2; 16];
    assert_eq!(remote.event(), Event::ElsAnswer { exchange, payload });
}

#[test]
fn a_change_is_told_and_answered() {
    let mut rig = Rig::new(2);
    rig.login(0, BASE);
    let scr = StateChangeRegistration { function: StateChangeRegistration::FULL };
    assert_eq!(rig.els(0, Fcid::CONTROLLER, &scr.encode())[0], command::LS_ACC);
    let id = rig.register(1);
    let pages = vec![RscnPage { format: 0, id }];
    // One for the type, one for the features.
    assert!(rig.take(0).contains(&Event::Rscn { vp: BASE, pages }));
}

#[test]
fn pages_of_any_format_are_told() {
    let mut remote = Remote::logged_in(|_| {});
    let rscn = [0x61, 4, 0, 12, 0x02, 1, 0, 0, 0x03, 0, 0, 0];
    remote.send(request(0x22, 1, 7), &rscn);
    let page = |format, id| RscnPage { format, id: Fcid(id) };
    let pages = vec![page(2, 0x01_0000), page(3, 0)];
    assert_eq!(remote.event(), Event::Rscn { vp: BASE, pages });
    assert_eq!(remote.one().1, [command::LS_ACC, 0, 0, 0]);
    remote.send(request(0x22, 1, 8), &rscn[..10]);
    assert_eq!(remote.one().1, Reject::BAD_LENGTH.encode());
    assert_eq!(remote.wire.take_events(), []);
}

#[test]
fn simple_services_need_no_firmware() {
    let mut rig = Rig::new(2);
    let ids = [rig.login(0, BASE), rig.login(1, BASE)];
    let rls = rig.els(0, ids[1], &[command::RLS, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(rls, [&[command::LS_ACC][..], &[0; 27]].concat());
    let rtv = rig.els(0, ids[1], &[command::RTV, 0, 0, 0]);
    assert_eq!(rtv, timeouts(R_A_TOV_MS));
    let rrq = rig.els(0, ids[1], &[command::RRQ, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1]);
    assert_eq!(rrq, [command::LS_ACC, 0, 0, 0]);
    assert_eq!(rig.take(1), []);
    assert_eq!(rig.wires[1].exchanges_in_use(), 0);
}

#[test]
fn rec_tells_how_far_a_command_has_come() {
    let mut remote = Remote::logged_in(|_| {});
    let rec = |ox_id: u16| {
        let [a, b] = ox_id.to_be_bytes();
        [REC, 0, 0, 0, 0, 1, 0, 2, a, b, 0xff, 0xff]
    };
    remote.send(request(6, 8, 0x77), &[0; 32]);
    let Event::Command { exchange, .. } = remote.event() else { panic!() };
    remote.wire.send_data(exchange, 0, &[0; 4660]).unwrap();
    remote.sent();
    remote.send(request(0x22, 1, 0x78), &rec(0x77));
    let (_, answer) = remote.one();
    assert_eq!(answer[..4], [command::LS_ACC, 0, 0, 0]);
    assert_eq!(answer[4..6], [0, 0x77]);
    assert_eq!((&answer[9..12], &answer[13..16]), (&[1, 0, 2][..], &[1, 0, 1][..]));
    assert_eq!(answer[16..20], 4660_u32.to_be_bytes());
    // Responder, with the sequence initiative.
    assert_eq!(answer[20..24], [0xc0, 0, 0, 0]);
    remote.send(request(0x22, 1, 0x79), &rec(0x7a));
    assert_eq!(remote.one().1[..7], [command::LS_RJT, 0, 0, 0, 0, 3, 0x17]);
}

#[test]
fn the_f_port_may_log_a_port_out() {
    let mut remote = Remote::logged_in(|_| {});
    let header = FcHeader { s_id: Fcid::F_PORT, ..request(0x22, 1, 7) };
    remote.send(header, &[command::LOGO, 0, 0, 0, 0, 1, 0, 1]);
    let by = LogoutBy::Fabric;
    assert_eq!(remote.event(), Event::LoggedOut { vp: BASE, by });
    assert_eq!(remote.one().1, [command::LS_ACC, 0, 0, 0]);
}

#[test]
fn an_els_that_finds_no_exchange_free_is_told_so() {
    let mut remote = Remote::logged_in(|options| options.exchanges = 1);
    remote.send(request(0x22, 1, 7), &[PRLI, 0, 0, 0]);
    let Event::ElsReceived { exchange, .. } = remote.event() else { panic!() };
    remote.send(request(0x22, 1, 8), &[PRLI, 0, 0, 0]);
    let (header, answer) = remote.one();
    assert_eq!((header.ox_id, answer[0], answer[5]), (8, command::LS_RJT, 5));
    let full = remote.wire.send_els(BASE, REMOTE, &[PRLI], remote.now);
    assert_eq!(full, Err(WireError::NoExchange));
    remote.wire.answer_els(exchange, &[command::LS_ACC]).unwrap();
    assert!(remote.wire.send_els(BASE, REMOTE, &[PRLI], remote.now).is_ok());
}

#[test]
fn an_els_begins_an_exchange_only_as_its_first_frame() {
    let mut remote = Remote::logged_in(|_| {});
    let first = request(0x22, 1, 7);
    remote.send(first, &[PRLI, 0, 0, 0]);
    let responder = FcHeader { f_ctl: first.f_ctl | 0x80_0000, ..first };
    for again in [first, FcHeader { rx_id: 5, ..first }, responder] {
        remote.send(again, &[PRLI, 0, 0, 0]);
    }
    assert!(matches!(remote.event(), Event::ElsReceived { .. }));
    assert_eq!(remote.wire.counters().discarded, 3);
}

#[test]
fn a_lost_login_ends_its_exchanges_first() {
    let mut rig = Rig::new(2);
    rig.login(0, BASE);
    rig.login(1, BASE);
    let (ours, theirs) = rig.ask(0, 1, &plogi(0, 2112));
    rig.disconnect(0);
    let cause = Cause::LoggedOut;
    assert_eq!(rig.take(0), [Event::Ended { exchange: ours, cause }, Event::LinkLost]);
    let peer = rig.fabric.ports(0.0)[0].fcid;
    assert_eq!(rig.wires[1].id(BASE), Some(peer));
    assert!(rig.wires[1].is_open(theirs));
    assert_eq!(rig.take(1), []);
}
