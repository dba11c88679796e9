//! ABTS, both ways.

use std::time::Duration;

use understudy_fabric::els::command;
use understudy_fabric::frame::FcHeader;
use understudy_hba::wire::{AbortAnswer, Cause, Event, ExchangeId, WireError};

use crate::commands::cmnd;
use crate::remote::{REMOTE, Remote, request};
use crate::rig::{BASE, Rig, plogi};

const ABTS: u8 = 0x81;
const BA_ACC: u8 = 0x84;
const BA_RJT: u8 = 0x85;

/// Returns a rig, and both ends of a command.
fn command() -> (Rig, ExchangeId, ExchangeId) {
    let mut rig = Rig::new(2);
    let target = rig.login(1, BASE);
    rig.login(0, BASE);
    rig.take(1);
    let ours = rig.wires[0].send_command(BASE, target, &cmnd(2, 512)).unwrap();
    match rig.one(1) {
        Event::Command { exchange, .. } => (rig, ours, exchange),
        other => panic!("{other:?}"),
    }
}

/// Returns the ABTS of an event, and the exchange that it is about.
fn abort(event: &Event) -> (ExchangeId, Option<ExchangeId>) {
    match event {
        Event::Abort { abort, exchange, .. } => (*abort, *exchange),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_is_aborted_when_firmware_agrees() {
    let (mut rig, ours, theirs) = command();
    let now = rig.now;
    rig.wires[0].abort(ours, now).unwrap();
    let (abts, about) = abort(&rig.one(1));
    assert_eq!(about, Some(theirs));
    assert_ne!(abts, theirs);
    // Nothing more is sent on the exchange, though it is still open.
    assert!(rig.wires[1].is_open(theirs));
    assert_eq!(rig.wires[1].send_data(theirs, 0, &[0; 512]), Err(WireError::Aborted));
    assert_eq!(rig.wires[1].send_response(theirs, &[0; 24]), Err(WireError::Aborted));
    rig.wires[1].answer_abort(abts, Ok(())).unwrap();
    let answer = AbortAnswer::Accepted;
    assert_eq!(rig.one(0), Event::AbortDone { exchange: ours, answer });
    assert!(!rig.wires[1].is_open(theirs) && !rig.wires[0].is_open(ours));
    assert_eq!(rig.wires[1].answer_abort(abts, Ok(())), Err(WireError::Unknown));
    // RRQ follows after R_A_TOV, and is answered without firmware.
    let sent = rig.wires[0].counters().sent;
    rig.pass(Duration::from_secs(4));
    assert_eq!(rig.wires[0].counters().sent, sent + 1);
    assert_eq!((rig.take(0), rig.take(1)), (vec![], vec![]));
    assert_eq!(rig.wires[0].exchanges_in_use(), 0);
}

#[test]
fn an_abort_that_firmware_rejects_ends_only_our_end() {
    let (mut rig, ours, theirs) = command();
    let now = rig.now;
    rig.wires[0].abort(ours, now).unwrap();
    let (abts, _) = abort(&rig.one(1));
    rig.wires[1].answer_abort(abts, Err((9, 5))).unwrap();
    let answer = AbortAnswer::Rejected { reason: 9, explanation: 5 };
    assert_eq!(rig.one(0), Event::AbortDone { exchange: ours, answer });
    assert!(rig.wires[1].is_open(theirs));
    assert_eq!(rig.wires[0].exchanges_in_use(), 0);
}

#[test]
fn a_command_goes_on_after_its_abort_was_rejected() {
    let mut remote = Remote::logged_in(|_| {});
    remote.send(request(6, 8, 7), &cmnd(2, 512));
    let Event::Command { exchange, .. } = remote.event() else { panic!() };
    let header = FcHeader { f_ctl: 0x09_0000, ..request(ABTS, 0, 7) };
    for _ in 0..2 {
        remote.send(header, &[]);
        let (abts, about) = abort(&remote.event());
        assert_eq!(about, Some(exchange));
        remote.wire.answer_abort(abts, Err((9, 5))).unwrap();
    }
    assert_eq!(remote.wire.send_response(exchange, &[0; 24]), Ok(()));
}

#[test]
fn an_abort_without_an_answer_ends_after_twice_r_a_tov() {
    let (mut rig, ours, _) = command();
    let now = rig.now;
    rig.wires[0].abort(ours, now).unwrap();
    assert_eq!(rig.wires[0].abort(ours, now), Err(WireError::WrongState));
    rig.pass(Duration::from_millis(7999));
    assert_eq!(rig.take(0), []);
    rig.pass(Duration::from_millis(1));
    let answer = AbortAnswer::None;
    assert_eq!(rig.one(0), Event::AbortDone { exchange: ours, answer });
}

#[test]
fn an_abort_of_a_command_that_has_ended_is_rejected() {
    let (mut rig, ours, theirs) = command();
    rig.wires[1].drop(theirs);
    let now = rig.now;
    rig.wires[0].abort(ours, now).unwrap();
    let answer = AbortAnswer::Rejected { reason: 3, explanation: 3 };
    assert_eq!(rig.one(0), Event::AbortDone { exchange: ours, answer });
    assert_eq!(rig.take(1), []);
}

#[test]
fn an_abort_of_an_unknown_exchange_may_be_handed_up() {
    let mut remote = Remote::logged_in(|options| options.hand_up_unknown_aborts = true);
    let header = FcHeader { f_ctl: 0x09_0000, ..request(ABTS, 0, 7) };
    remote.send(header, &[]);
    let (abts, about) = abort(&remote.event());
    assert_eq!((about, remote.sent().len()), (None, 0));
    remote.wire.answer_abort(abts, Err((3, 3))).unwrap();
    let (answer, payload) = remote.one();
    assert_eq!((answer.r_ctl, answer.ox_id), (BA_RJT, 7));
    assert_eq!(payload, [0, 3, 3, 0]);
    // Not without end, if firmware never answers.
    for ox_id in 0..2000 {
        remote.send(FcHeader { ox_id, ..header }, &[]);
    }
    assert_eq!(remote.wire.take_events().len(), 256);
}

#[test]
fn a_basic_accept_names_the_exchange() {
    let mut remote = Remote::logged_in(|_| {});
    remote.send(request(6, 8, 0x0102), &cmnd(2, 512));
    remote.wire.take_events();
    let header = FcHeader { f_ctl: 0x09_0000, ..request(ABTS, 0, 0x0102) };
    remote.send(header, &[]);
    let (abts, _) = abort(&remote.event());
    remote.send(header, &[]);
    assert_eq!(remote.wire.take_events(), [], "a second ABTS waits for the first");
    remote.wire.answer_abort(abts, Ok(())).unwrap();
    let (answer, payload) = remote.one();
    assert_eq!((answer.r_ctl, answer.fc_type), (BA_ACC, 0));
    assert_eq!(answer.f_ctl, 0x98_0000);
    let [rx_high, rx_low] = answer.rx_id.to_be_bytes();
    assert_eq!(payload, [0, 0, 0, 0, 1, 2, rx_high, rx_low, 0, 0, 0xff, 0xff]);
}

#[test]
fn an_abort_to_a_port_that_has_left_needs_no_answer() {
    let (mut rig, ours, _) = command();
    let now = rig.now;
    rig.wires[0].abort(ours, now).unwrap();
    let (abts, _) = abort(&rig.one(1));
    rig.wires[1].logout(BASE, now).unwrap();
    let answer = rig.wires[1].answer_abort(abts, Ok(()));
    assert_eq!(answer, Err(WireError::Unknown));
}

#[test]
fn an_abort_ends_the_wait_for_data() {
    let mut remote = Remote::logged_in(|_| {});
    remote.send(request(6, 8, 7), &cmnd(1, 512));
    let Event::Command { exchange, .. } = remote.event() else { panic!() };
    remote.wire.ask_data(exchange, 0, 512, Duration::from_secs(5)).unwrap();
    remote.send(FcHeader { f_ctl: 0x09_0000, ..request(ABTS, 0, 7) }, &[]);
    abort(&remote.event());
    let data = FcHeader { f_ctl: 0x09_0008, ..request(1, 8, 7) };
    remote.send(data, &[1; 512]);
    assert_eq!(remote.pass(Duration::from_secs(10)), []);
}

#[test]
fn a_target_may_want_a_command_of_ours_aborted() {
    let mut remote = Remote::logged_in(|_| {});
    let ours = remote.wire.send_command(BASE, REMOTE, &cmnd(2, 512)).unwrap();
    let (asked, _) = remote.one();
    let answer = |r_ctl, f_ctl| FcHeader { f_ctl, ..asked.reply(r_ctl) };
    remote.send(answer(ABTS, 0x89_0000), &[]);
    let (abts, about) = abort(&remote.event());
    assert_eq!(about, Some(ours));
    remote.send(answer(1, 0x88_0008), &[1; 512]);
    assert_eq!(remote.wire.take_events(), [], "data of an exchange that is aborted");
    remote.wire.answer_abort(abts, Ok(())).unwrap();
    let (accept, _) = remote.one();
    // We began the exchange, so the bit of the responder is not set.
    assert_eq!((accept.r_ctl, accept.f_ctl), (BA_ACC, 0x18_0000));
    assert!(!remote.wire.is_open(ours));
}

#[test]
fn an_els_of_ours_may_be_aborted_too() {
    let mut rig = Rig::new(2);
    rig.login(0, BASE);
    rig.login(1, BASE);
    let (ours, theirs) = rig.ask(0, 1, &plogi(0, 2112));
    let now = rig.now;
    rig.wires[0].abort(ours, now).unwrap();
    assert_eq!(rig.one(1), Event::Ended { exchange: theirs, cause: Cause::Aborted });
    let answer = AbortAnswer::Accepted;
    assert_eq!(rig.one(0), Event::AbortDone { exchange: ours, answer });
    let (_, theirs) = rig.ask(0, 1, &[command::PLOGI; 116]);
    assert_eq!(rig.wires[1].abort(theirs, now), Err(WireError::WrongState));
}
