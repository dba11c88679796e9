//! Commands, both ways, whole and with frames lost.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use understudy_fabric::addr::Fcid;
use understudy_fabric::frame::FcHeader;
use understudy_hba::wire::fcp::{Residual, Response};
use understudy_hba::wire::{DataFault, Event, ExchangeId, WireError};

use crate::remote::{REMOTE, Remote, request};
use crate::rig::{BASE, Mangle, Rig, fc};

/// R_CTL of FCP_DATA.
const DATA: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 1;

/// Returns an FCP_CMND.
pub fn cmnd(direction: u8, length: usize) -> Vec<u8> {
    let mut cmnd = vec![0; 28];
    cmnd[11] = direction;
    cmnd.extend(u32::try_from(length).unwrap().to_be_bytes());
    cmnd
}

/// Returns bytes that differ from their neighbours.
fn pattern(len: usize) -> Vec<u8> {
    let words = (0_u32..).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes());
    words.flatten().take(len).collect()
}

/// An initiator and a target, and the receive sizes that they stated.
struct Pair {
    rig: Rig,
    ids: [Fcid; 2],
}

impl Pair {
    fn new(sizes: [u16; 2]) -> Self {
        let mut rig = Rig::new(2);
        let ids = [rig.login(0, BASE), rig.login(1, BASE)];
        rig.wires[0].set_receive_size(BASE, ids[1], sizes[1]);
        rig.wires[1].set_receive_size(BASE, ids[0], sizes[0]);
        Self { rig, ids }
    }

    /// Sends a command, and returns its exchange at both ends.
    fn command(&mut self, direction: u8, length: usize) -> (ExchangeId, ExchangeId) {
        let cmnd = cmnd(direction, length);
        let ours = self.rig.wires[0].send_command(BASE, self.ids[1], &cmnd).unwrap();
        match self.rig.one(1) {
            Event::Command { exchange, cmnd: got, header, vp: BASE } => {
                assert_eq!((got, header.s_id), (cmnd, self.ids[0]));
                (ours, exchange)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends the response, and returns the initiator's events.
    fn respond(&mut self, exchange: ExchangeId) -> Vec<Event> {
        let response = Response::default().encode();
        self.rig.wires[1].send_response(exchange, &response).unwrap();
        self.rig.take(0)
    }
}

/// Returns the bytes of data events, which must follow each other, and the other events.
pub fn collect(events: Vec<Event>, mut next: u32) -> (Vec<u8>, Vec<Event>) {
    let (mut got, mut others) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Data { offset, bytes, .. } => {
                assert_eq!(offset, next);
                next += u32::try_from(bytes.len()).unwrap();
                got.extend(bytes);
            }
            other => others.push(other),
        }
    }
    (got, others)
}

/// Reads, in parts that the target sends. Returns what came, and what the initiator's
/// wire says of it.
fn read(pair: &mut Pair, bytes: &[u8], part: usize) -> (Vec<u8>, Result<u32, DataFault>) {
    let (ours, theirs) = pair.command(READ, bytes.len());
    let mut offset = 0;
    for part in bytes.chunks(part) {
        pair.rig.wires[1].send_data(theirs, offset, part).unwrap();
        offset += u32::try_from(part.len()).unwrap();
    }
    let (got, others) = collect(pair.respond(theirs), 0);
    match &others[..] {
        [Event::Response { exchange, received, .. }] if *exchange == ours => {
            (got, *received)
        }
        other => panic!("{other:?}"),
    }
}

/// Writes, in bursts that the target asks for. Returns what came before the first fault.
fn write(
    pair: &mut Pair,
    bytes: &[u8],
    burst: usize,
) -> (Vec<u8>, Result<(), DataFault>) {
    let (ours, theirs) = pair.command(WRITE, bytes.len());
    let mut got = Vec::new();
    for burst in bytes.chunks(burst) {
        let offset = u32::try_from(got.len()).unwrap();
        let length = u32::try_from(burst.len()).unwrap();
        let deadline = pair.rig.now + Duration::from_secs(30);
        pair.rig.wires[1].ask_data(theirs, offset, length, deadline).unwrap();
        assert_eq!(pair.rig.one(0), Event::DataWanted { exchange: ours, offset, length });
        pair.rig.wires[0].send_data(ours, offset, burst).unwrap();
        let mut events = pair.rig.take(1);
        pair.rig.seconds(30);
        events.extend(pair.rig.take(1));
        let (part, others) = collect(events, offset);
        got.extend(part);
        match others[..] {
            [Event::DataDone { exchange, result: Ok(()) }] if exchange == theirs => {}
            [Event::DataDone { exchange, result }] if exchange == theirs => {
                return (got, result);
            }
            ref other => panic!("{other:?}"),
        }
    }
    let events = pair.respond(theirs);
    assert!(matches!(events[..], [Event::Response { received: Ok(0), .. }]));
    (got, Ok(()))
}

#[test]
fn a_read_arrives_byte_for_byte() {
    let bytes = pattern(256 << 10);
    for size in [2112, 2048, 1452, 256] {
        let mut pair = Pair::new([size, 2112]);
        assert!(read(&mut pair, &bytes, 256 << 10) == (bytes.clone(), Ok(256 << 10)));
        assert!(read(&mut pair, &bytes, 70_000) == (bytes.clone(), Ok(256 << 10)));
        assert_eq!(pair.rig.wires[0].exchanges_in_use(), 0);
        assert_eq!(pair.rig.wires[1].exchanges_in_use(), 0);
    }
}

#[test]
fn a_write_arrives_byte_for_byte() {
    let bytes = pattern(256 << 10);
    for size in [2112, 2048, 1452, 256] {
        let mut pair = Pair::new([2112, size]);
        assert!(write(&mut pair, &bytes, 256 << 10) == (bytes.clone(), Ok(())));
        assert!(write(&mut pair, &bytes, 65_536) == (bytes.clone(), Ok(())));
        assert_eq!(pair.rig.wires[0].exchanges_in_use(), 0);
        assert_eq!(pair.rig.wires[1].exchanges_in_use(), 0);
    }
}

#[test]
fn a_response_carries_status_and_sense() {
    let mut pair = Pair::new([2112, 2112]);
    let (ours, theirs) = pair.command(READ, 512);
    let response = Response {
        status: 2,
        residual: Residual::Under(512),
        info: Vec::new(),
        sense: vec![0x70, 0, 6],
    };
    pair.rig.wires[1].send_response(theirs, &response.encode()).unwrap();
    match pair.rig.one(0) {
        Event::Response { exchange, payload, received: Ok(0) } if exchange == ours => {
            assert_eq!(Response::decode(&payload), Some(response));
        }
        other => panic!("{other:?}"),
    }
}

/// What happens to one frame of data on its way.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Lost,
    Doubled,
    Delayed,
}

/// Does harm to the data frame with a number. `done` is told that there was one.
fn harm(harm: Harm, at: usize, done: Rc<Cell<bool>>) -> Mangle {
    let (mut count, mut held) = (0, None);
    Box::new(move |_, frame| {
        let frame = frame.to_vec();
        if fc(&frame).is_none_or(|fc| fc.header.r_ctl != DATA) {
            return [held.take(), Some(frame)].into_iter().flatten().collect();
        }
        count += 1;
        if count != at + 1 {
            return [Some(frame), held.take()].into_iter().flatten().collect();
        }
        done.set(true);
        match harm {
            Harm::Lost => vec![],
            Harm::Doubled => vec![frame.clone(), frame],
            Harm::Delayed => {
                held = Some(frame);
                vec![]
            }
        }
    })
}

fn any_harm() -> impl Strategy<Value = Harm> {
    prop_oneof![Just(Harm::Lost), Just(Harm::Doubled), Just(Harm::Delayed)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_harmed_read_never_passes_for_a_good_one(
        len in 1_usize..20_000, part in 1_usize..9_000, size in 256_u16..2112,
        what in any_harm(), at in 0_usize..30,
    ) {
        let mut pair = Pair::new([size, 2112]);
        let bytes = pattern(len);
        let done = Rc::<Cell<bool>>::default();
        pair.rig.mangle = Some(harm(what, at, done.clone()));
        let (got, received) = read(&mut pair, &bytes, part);
        prop_assert_eq!(&got[..], &bytes[..got.len()]);
        let whole = got.len() == len && received == Ok(u32::try_from(len).unwrap());
        // A last frame that comes before the response is not late.
        let late = matches!(what, Harm::Delayed) && whole;
        prop_assert!(whole != done.get() || late, "{:?} of {}", received, len);
    }

    #[test]
    fn a_harmed_write_never_passes_for_a_good_one(
        len in 1_usize..20_000, burst in 1_usize..9_000, size in 256_u16..2112,
        what in any_harm(), at in 0_usize..30,
    ) {
        let mut pair = Pair::new([2112, size]);
        let bytes = pattern(len);
        let done = Rc::<Cell<bool>>::default();
        pair.rig.mangle = Some(harm(what, at, done.clone()));
        let (got, result) = write(&mut pair, &bytes, burst);
        prop_assert_eq!(&got[..], &bytes[..got.len()]);
        prop_assert_eq!(result.is_ok(), got.len() == len);
        let doubled_end = matches!(what, Harm::Doubled) && result.is_ok();
        prop_assert!(result.is_ok() != done.get() || doubled_end);
    }
}

#[test]
fn data_that_does_not_come_is_missed_at_its_deadline() {
    let mut remote = Remote::logged_in(|_| {});
    remote.send(request(6, 8, 7), &cmnd(WRITE, 512));
    let Event::Command { exchange, .. } = remote.event() else { panic!() };
    let deadline = Duration::from_secs(5);
    remote.wire.ask_data(exchange, 0, 512, deadline).unwrap();
    let second = remote.wire.ask_data(exchange, 0, 512, deadline);
    assert_eq!(second, Err(WireError::WrongState));
    assert_eq!(remote.wire.send_data(exchange, 0, &[0]), Err(WireError::WrongState));
    assert_eq!(remote.pass(Duration::from_millis(4999)), []);
    let overdue = Event::DataDone { exchange, result: Err(DataFault::Timeout) };
    assert_eq!(remote.pass(Duration::from_millis(1)), [overdue]);
    assert!(remote.wire.is_open(exchange));
    assert!(remote.wire.drop(exchange) && !remote.wire.drop(exchange));
}

#[test]
fn a_burst_that_ends_early_is_short() {
    let mut remote = Remote::logged_in(|_| {});
    remote.send(request(6, 8, 7), &cmnd(WRITE, 512));
    let Event::Command { exchange, .. } = remote.event() else { panic!() };
    remote.wire.ask_data(exchange, 0, 512, Duration::MAX).unwrap();
    let data = FcHeader { f_ctl: 0x09_0008, ..request(DATA, 8, 7) };
    remote.send(data, &[1; 256]);
    let events = remote.wire.take_events();
    let short = Event::DataDone { exchange, result: Err(DataFault::Short) };
    assert_eq!(events[1..], [short]);
}

#[test]
fn a_command_that_finds_no_exchange_free_is_told_so() {
    let mut remote = Remote::logged_in(|options| options.exchanges = 2);
    for ox_id in 0..5 {
        remote.send(request(6, 8, ox_id), &cmnd(READ, 512));
    }
    assert_eq!(remote.wire.take_events().len(), 2);
    let full = remote.sent();
    assert_eq!(
        full.iter().map(|(header, _)| header.ox_id).collect::<Vec<_>>(),
        [2, 3, 4]
    );
    for (_, payload) in full {
        let status = Response::decode(&payload).unwrap().status;
        assert_eq!(status, Response::TASK_SET_FULL);
    }
}

#[test]
fn a_doubled_command_is_one_command() {
    let mut remote = Remote::logged_in(|_| {});
    let first = request(6, 8, 7);
    remote.send(first, &cmnd(READ, 512));
    let responder = FcHeader { f_ctl: first.f_ctl | 0x80_0000, ..first };
    for again in [first, FcHeader { rx_id: 5, ..first }, responder] {
        remote.send(again, &cmnd(READ, 512));
    }
    assert!(matches!(remote.event(), Event::Command { .. }));
    assert_eq!(remote.wire.counters().discarded, 3);
}

#[test]
fn a_target_gets_no_more_than_the_command_has() {
    let mut pair = Pair::new([2112, 2112]);
    let (ours, theirs) = pair.command(WRITE, 1000);
    let far = pair.rig.now + Duration::from_secs(30);
    let wires = &mut pair.rig.wires;
    assert_eq!(wires[0].send_data(ours, 0, &[0; 1000]), Err(WireError::WrongState));
    wires[1].ask_data(theirs, 500, 501, far).unwrap();
    assert_eq!(pair.rig.take(0), []);
    assert_eq!(pair.rig.wires[0].counters().discarded, 1);
}

#[test]
fn bytes_that_were_not_asked_for_are_not_sent() {
    let mut pair = Pair::new([2112, 2112]);
    let (ours, theirs) = pair.command(WRITE, 1000);
    let far = pair.rig.now + Duration::from_secs(30);
    pair.rig.wires[1].ask_data(theirs, 0, 1000, far).unwrap();
    pair.rig.take(0);
    let wire = &mut pair.rig.wires[0];
    assert_eq!(wire.send_data(ours, 0, &[0; 999]), Err(WireError::TooLong));
    assert_eq!(wire.send_data(ours, 1, &[0; 1000]), Err(WireError::TooLong));
    assert_eq!(wire.send_data(ours, 0, &[0; 1000]), Ok(()));
}

#[test]
fn data_is_taken_only_from_the_exchanges_other_end() {
    let mut remote = Remote::logged_in(|_| {});
    remote.send(request(6, 8, 7), &cmnd(WRITE, 512));
    let Event::Command { exchange, .. } = remote.event() else { panic!() };
    remote.wire.ask_data(exchange, 0, 512, Duration::MAX).unwrap();
    let (ready, _) = remote.one();
    let data = FcHeader { f_ctl: 0x09_0008, rx_id: ready.rx_id, ..request(DATA, 8, 7) };
    let responder = 0x80_0000;
    for foreign in [
        FcHeader { s_id: Fcid(0x01_0003), ..data },
        FcHeader { ox_id: 8, ..data },
        FcHeader { rx_id: ready.rx_id + 1, ..data },
        // As if we had begun an exchange that has our number of this one.
        FcHeader { f_ctl: data.f_ctl | responder, ox_id: ready.rx_id, ..data },
    ] {
        remote.send(foreign, &[1; 512]);
        assert_eq!(remote.wire.take_events(), [], "{foreign:?}");
    }
    remote.send(data, &[1; 512]);
    assert_eq!(remote.wire.take_events().len(), 2);
}

#[test]
fn an_answer_is_taken_only_from_the_port_that_was_asked() {
    let mut remote = Remote::logged_in(|_| {});
    let ours = remote.wire.send_command(BASE, REMOTE, &cmnd(READ, 512)).unwrap();
    let (asked, _) = remote.one();
    let answer = asked.reply(7);
    for foreign in [
        FcHeader { s_id: Fcid(0x01_0003), ..answer },
        FcHeader { ox_id: answer.ox_id + 1, ..answer },
        FcHeader { f_ctl: 0x18_0000, ..answer },
    ] {
        remote.send(foreign, &[0; 24]);
        assert_eq!(remote.wire.take_events(), [], "{foreign:?}");
    }
    remote.send(answer, &[0; 24]);
    assert!(
        matches!(remote.event(), Event::Response { exchange, .. } if exchange == ours)
    );
}

#[test]
fn the_originator_uses_the_responders_number_as_soon_as_it_knows_it() {
    let mut remote = Remote::logged_in(|_| {});
    let ours = remote.wire.send_command(BASE, REMOTE, &cmnd(WRITE, 512)).unwrap();
    let (asked, _) = remote.one();
    assert_eq!(asked.rx_id, 0xffff);
    let mut ready = vec![0; 12];
    ready[6] = 2;
    let answer = FcHeader { rx_id: 0x0abc, f_ctl: 0x89_0000, ..asked.reply(5) };
    remote.send(answer, &ready);
    let wanted = Event::DataWanted { exchange: ours, offset: 0, length: 512 };
    assert_eq!(remote.event(), wanted);
    remote.wire.send_data(ours, 0, &[1; 512]).unwrap();
    assert_eq!(remote.one().0.rx_id, 0x0abc);
    remote.wire.abort(ours, remote.now).unwrap();
    assert_eq!(remote.one().0.rx_id, 0x0abc);
}
