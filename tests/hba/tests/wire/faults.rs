//! Frames that are lost or late because a test wants it so.

use std::time::Duration;

use understudy_fabric::els::command;
use understudy_hba::wire::fcp::Response;
use understudy_hba::wire::{
    AbortAnswer, Cause, DataFault, Direction, Event, ExchangeId, Fate, Fault, FrameKind,
};

use crate::commands::{cmnd, collect};
use crate::rig::{BASE, Rig, plogi};

const LENGTH: u32 = 64 << 10;

/// Returns two wires that are logged in.
fn rig() -> Rig {
    let mut rig = Rig::new(2);
    rig.login(0, BASE);
    rig.login(1, BASE);
    rig
}

/// Sends a command, and returns its exchange at both ends.
fn command(rig: &mut Rig, direction: u8) -> (ExchangeId, ExchangeId) {
    let target = rig.wires[1].id(BASE).unwrap();
    let cmnd = cmnd(direction, LENGTH as usize);
    let ours = rig.wires[0].send_command(BASE, target, &cmnd).unwrap();
    match rig.one(1) {
        Event::Command { exchange, .. } => (ours, exchange),
        other => panic!("{other:?}"),
    }
}

/// Has the target ask for all data of a write.
fn ask(rig: &mut Rig, theirs: ExchangeId) {
    let deadline = rig.now + Duration::from_secs(30);
    rig.wires[1].ask_data(theirs, 0, LENGTH, deadline).unwrap();
}

/// Has the data of a write held for five seconds at one end, and returns the write's
/// exchange at both ends.
fn held_write(
    rig: &mut Rig,
    wire: usize,
    direction: Direction,
) -> (ExchangeId, ExchangeId) {
    let fate = Fate::Held(Duration::from_secs(5));
    rig.wires[wire].strike(Fault { direction, frame: FrameKind::Data, fate });
    let (ours, theirs) = command(rig, 1);
    ask(rig, theirs);
    rig.take(0);
    rig.wires[0].send_data(ours, 0, &[7; LENGTH as usize]).unwrap();
    (ours, theirs)
}

/// Has the initiator abort a command, and the target agree.
fn abort(rig: &mut Rig, ours: ExchangeId) -> Event {
    rig.wires[0].abort(ours, rig.now).unwrap();
    for event in rig.take(1) {
        if let Event::Abort { abort, .. } = event {
            rig.wires[1].answer_abort(abort, Ok(())).unwrap();
        }
    }
    rig.one(0)
}

#[test]
fn a_lost_transfer_ready_stops_one_write_until_its_abort() {
    let mut rig = rig();
    let (direction, fate) = (Direction::Out, Fate::Lost);
    rig.wires[1].strike(Fault { direction, frame: FrameKind::TransferReady, fate });
    let (ours, theirs) = command(&mut rig, 1);
    ask(&mut rig, theirs);
    rig.seconds(30);
    assert_eq!(rig.take(0), []);
    let overdue = Event::DataDone { exchange: theirs, result: Err(DataFault::Timeout) };
    assert_eq!(rig.take(1), [overdue]);
    let answer = AbortAnswer::Accepted;
    assert_eq!(abort(&mut rig, ours), Event::AbortDone { exchange: ours, answer });

    let (ours, theirs) = command(&mut rig, 1);
    ask(&mut rig, theirs);
    let wanted = Event::DataWanted { exchange: ours, offset: 0, length: LENGTH };
    assert_eq!(rig.one(0), wanted);
}

#[test]
fn held_data_comes_late_and_whole() {
    for (wire, direction) in [(1, Direction::In), (0, Direction::Out)] {
        let mut rig = rig();
        let (_, theirs) = held_write(&mut rig, wire, direction);
        rig.pass(Duration::from_millis(4999));
        assert_eq!(rig.take(1), []);
        // Meanwhile another exchange is served.
        let (ours, others) = command(&mut rig, 2);
        rig.wires[1].send_response(others, &Response::default().encode()).unwrap();
        let response = rig.one(0);
        assert!(matches!(response, Event::Response { exchange, .. } if exchange == ours));
        rig.pass(Duration::from_millis(1));
        let (bytes, others) = collect(rig.take(1), 0);
        assert!(bytes == [7; LENGTH as usize]);
        assert_eq!(others, [Event::DataDone { exchange: theirs, result: Ok(()) }]);
    }
}

#[test]
fn data_of_an_aborted_write_that_comes_late_is_nobodys() {
    let mut rig = rig();
    let (ours, _) = held_write(&mut rig, 1, Direction::In);
    let answer = AbortAnswer::Accepted;
    assert_eq!(abort(&mut rig, ours), Event::AbortDone { exchange: ours, answer });
    let discarded = rig.wires[1].counters().discarded;
    rig.seconds(60);
    assert_eq!(rig.take(1), []);
    // 32 frames of 2112 bytes.
    assert_eq!(rig.wires[1].counters().discarded, discarded + 32);
}

#[test]
fn a_lost_response_leaves_the_initiator_waiting() {
    let mut rig = rig();
    let (direction, fate) = (Direction::Out, Fate::Lost);
    rig.wires[1].strike(Fault { direction, frame: FrameKind::Response, fate });
    let (ours, theirs) = command(&mut rig, 2);
    rig.wires[1].send_response(theirs, &Response::default().encode()).unwrap();
    rig.seconds(20);
    assert_eq!(rig.take(0), []);
    // The target has ended the exchange and says so.
    let answer = AbortAnswer::Rejected { reason: 3, explanation: 3 };
    assert_eq!(abort(&mut rig, ours), Event::AbortDone { exchange: ours, answer });
}

#[test]
fn a_link_service_is_picked_by_its_command() {
    let mut rig = rig();
    let (direction, frame) = (Direction::In, FrameKind::Els(command::PLOGI));
    rig.wires[1].strike(Fault { direction, frame, fate: Fate::Lost });
    let peer = rig.wires[1].id(BASE).unwrap();
    assert_eq!(rig.els(0, peer, &[command::RTV, 0, 0, 0])[0], command::LS_ACC);
    let exchange = rig.wires[0].send_els(BASE, peer, &plogi(0, 2112), rig.now).unwrap();
    rig.seconds(10);
    assert_eq!(rig.one(0), Event::Ended { exchange, cause: Cause::Timeout });
    assert_eq!(rig.take(1), []);
    rig.ask(0, 1, &plogi(0, 2112));
}

#[test]
fn held_frames_are_lost_with_the_link() {
    let mut rig = rig();
    let (direction, fate) = (Direction::In, Fate::Held(Duration::from_secs(5)));
    let frame = FrameKind::Command;
    rig.wires[1].strike(Fault { direction, frame, fate });
    let target = rig.wires[1].id(BASE).unwrap();
    rig.wires[0].send_command(BASE, target, &cmnd(2, 512)).unwrap();
    rig.take(0);
    rig.disconnect(1);
    rig.connect(1);
    rig.seconds(60);
    let events = rig.take(1);
    assert!(!events.iter().any(|event| matches!(event, Event::Command { .. })));
}

#[test]
fn a_fault_has_a_direction() {
    let mut rig = rig();
    let (direction, frame) = (Direction::Out, FrameKind::Data);
    rig.wires[0].strike(Fault { direction, frame, fate: Fate::Lost });
    let (_, theirs) = command(&mut rig, 2);
    rig.wires[1].send_data(theirs, 0, &[7; LENGTH as usize]).unwrap();
    assert!(collect(rig.take(0), 0).0 == [7; LENGTH as usize]);
}

#[test]
fn a_hold_that_has_ended_holds_nothing_more() {
    let mut rig = rig();
    let (ours, theirs) = held_write(&mut rig, 1, Direction::In);
    rig.seconds(5);
    rig.take(1);
    ask(&mut rig, theirs);
    rig.take(0);
    rig.wires[0].send_data(ours, 0, &[8; LENGTH as usize]).unwrap();
    assert!(collect(rig.take(1), 0).0 == [8; LENGTH as usize]);
}
