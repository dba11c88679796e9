//! The base port serves an initiator: trace F.

use understudy_fabric::bytes::Put;
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, swap_words};
use understudy_hba::firmware::Switches;
use understudy_hba::initiator::{Outcome, Session};
use understudy_hba::wire::fcp::Residual;
use understudy_hba::wire::{AbortAnswer, Direction, Fate, Fault, FrameKind};

use crate::driver::{DATA, Driver, Mode, Seen, dma, segment};
use crate::rig::{BASE, INITIATOR};

const OUT: u16 = 1;
const IN: u16 = 2;
const TERMINATE: u16 = 1 << 14;
const STATUS: u16 = 1 << 15;

/// Returns a target with an initiator logged in.
pub fn served() -> Driver {
    served_with(Switches::default())
}

fn served_with(switches: Switches) -> Driver {
    let mut driver = Driver::target_with(switches);
    driver.register(0);
    driver.admit(BASE);
    driver
}

/// Returns a CTIO for a command.
pub fn ctio(atio: &Entry, flags: u16) -> Entry {
    let mut entry = Entry::new(kind::CTIO);
    entry.set_u32(4, 0x2000_0001);
    entry.set_u32(20, atio.u32(4));
    entry.set_u16(26, flags);
    entry
}

/// Returns a CTIO that moves data.
pub fn with_data(atio: &Entry, flags: u16, len: u32) -> Entry {
    let mut entry = ctio(atio, flags);
    entry.set_u16(12, 1);
    entry.set_u32(44, len);
    segment(&mut entry, 52, DATA, len);
    entry
}

/// Returns the status and the flags of an answered CTIO.
fn ended(entry: &Entry) -> (u8, u16, bool) {
    (entry.kind(), entry.u16(8), entry.u16(26) & TERMINATE != 0)
}

#[test]
fn a_read_is_one_entry_of_the_driver() {
    let mut driver = served();
    let command = driver.rig.initiator.send(3, &[0x12, 0, 0, 0, 96, 0], 96, &[]).unwrap();
    let atio = driver.one();
    assert_eq!((atio.kind(), atio.u16(2) & 0xfff), (kind::ATIO, 0x38));
    assert_eq!(atio.0[32..40], [0, 3, 0, 0, 0, 0, 0, 0], "the LUN as on the wire");
    assert_eq!((atio.u8(44), u32::from_be_bytes(atio.array(60))), (0x12, 96));
    let bytes: Vec<u8> = (0..36).collect();
    driver.poke(DATA, &bytes);
    let mut entry = with_data(&atio, IN | STATUS, 36);
    entry.set_u32(28, 60);
    entry.set_u16(34, 0x800);
    driver.push(&[entry]);
    assert_eq!(ended(&driver.one()), (kind::CTIO, 1, false));
    match driver.rig.initiator.take_outcome(command) {
        Some(Outcome::Response(response, data)) => {
            assert_eq!((response.status, response.residual), (0, Residual::Under(60)));
            assert_eq!(data, bytes);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_write_is_asked_for_and_scattered() {
    let mut driver = served();
    let bytes: Vec<u8> = (0..9000_u32).map(|i| (i % 251) as u8).collect();
    let cdb = [0x2a, 0, 0, 0, 0, 0, 0, 0, 18, 0];
    let command = driver.rig.initiator.send(0, &cdb, 0, &bytes).unwrap();
    let atio = driver.one();
    // Seven segments: one in the entry, five and one in two that continue it.
    let lens = [100, 4000, 1, 99, 2800, 1500, 500];
    let mut places = Vec::new();
    let mut at = DATA;
    for len in lens {
        places.push((at, len));
        at += u64::from(len) + 64;
    }
    let mut first = with_data(&atio, OUT, 9000);
    first.set(1, &[3]);
    first.set_u16(12, 7);
    segment(&mut first, 52, places[0].0, places[0].1);
    let (mut second, mut third) =
        (Entry::new(kind::CONTINUE), Entry::new(kind::CONTINUE));
    for (index, (at, len)) in places[1..6].iter().enumerate() {
        segment(&mut second, 4 + 12 * index, *at, *len);
    }
    segment(&mut third, 4, places[6].0, places[6].1);
    driver.push(&[first, second, third]);
    assert_eq!(ended(&driver.one()), (kind::CTIO, 1, false));
    let gathered: Vec<u8> =
        places.iter().flat_map(|(at, len)| driver.peek(*at, *len as usize)).collect();
    assert!(gathered == bytes);
    driver.push(&[ctio(&atio, STATUS)]);
    assert_eq!(ended(&driver.one()), (kind::CTIO, 1, false));
    assert!(matches!(
        driver.rig.initiator.take_outcome(command),
        Some(Outcome::Response(response, _)) if response.status == 0
    ));
}

#[test]
fn sense_bytes_are_turned_round_on_their_way() {
    let mut driver = served();
    let command = driver.rig.initiator.send(0, &[0; 6], 0, &[]).unwrap();
    let atio = driver.one();
    let mut sense = vec![0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0, 0, 0, 0, 0];
    let mut entry = ctio(&atio, STATUS | 1 << 6);
    entry.set_u16(24, 18);
    entry.set_u16(34, 0x202);
    sense.put_zeros(2);
    entry.set(40, &swap_words(&sense));
    driver.push(&[entry]);
    driver.one();
    match driver.rig.initiator.take_outcome(command) {
        Some(Outcome::Response(response, _)) => {
            assert_eq!(response.status, 2);
            assert_eq!(response.sense, sense[..18]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_abort_ends_a_write_that_waits() {
    let mut driver = served();
    driver.rig.initiator.hold_data(true);
    let command = driver.rig.initiator.send(0, &[0x2a; 10], 0, &[1; 512]).unwrap();
    let atio = driver.one();
    driver.push(&[with_data(&atio, OUT, 512)]);
    assert_eq!(driver.take(), [], "the data is held back");
    driver.rig.initiator.abort(command).unwrap();
    let abts = driver.one();
    assert_eq!((abts.kind(), abts.u32(60)), (kind::ABORT_RECEIVED, atio.u32(4)));
    driver.rig.pass(1);
    assert_eq!(ended(&driver.one()), (kind::CTIO, 2, false), "the driver terminates it");
    driver.push(&[ctio(&atio, TERMINATE)]);
    driver.one();
    let mut answer = abts;
    answer.set(0, &[kind::ABORT_RESPONSE]);
    let (source, destination) = (abts.array::<3>(24), abts.array::<3>(20));
    answer.set(20, &source);
    answer.set(24, &destination);
    answer.set(23, &[0x84]);
    driver.push(&[answer]);
    let done = driver.one();
    assert_eq!((done.kind(), done.u16(8)), (kind::ABORT_RESPONSE, 0));
    let outcome = driver.rig.initiator.take_outcome(command);
    assert_eq!(outcome, Some(Outcome::Aborted(AbortAnswer::Accepted)));
    // What the driver sends on it now is for an exchange that has ended.
    driver.push(&[ctio(&atio, STATUS)]);
    assert_eq!(ended(&driver.one()), (kind::CTIO, 8, true));
}

#[test]
fn an_abort_that_the_driver_accepts_ends_the_entry_as_well() {
    let switches = Switches { abort_ends_entry_ms: None, ..Switches::default() };
    let mut driver = served_with(switches);
    driver.rig.initiator.hold_data(true);
    let command = driver.rig.initiator.send(0, &[0x2a; 10], 0, &[1; 512]).unwrap();
    let atio = driver.one();
    driver.push(&[with_data(&atio, OUT, 512)]);
    driver.rig.initiator.abort(command).unwrap();
    let mut answer = driver.one();
    driver.rig.pass(1);
    assert_eq!(driver.take(), [], "nothing ends it by itself");
    answer.set(0, &[kind::ABORT_RESPONSE]);
    answer.set(23, &[0x84]);
    driver.push(&[answer]);
    let seen = driver.take();
    let [Seen::Response(entry), Seen::Response(_)] = seen[..] else { panic!("{seen:?}") };
    assert_eq!(ended(&entry), (kind::CTIO, 2, true));
}

#[test]
fn the_driver_has_the_last_word_on_a_login() {
    let mut driver = Driver::target();
    driver.register(0);
    driver.rig.initiator.log_in(BASE.wwpn);
    let notice = driver.one();
    assert_eq!(notice.name(40), INITIATOR.wwpn.0);
    assert_eq!(driver.rig.initiator.session(), Session::Pending);
    // The driver ends an older login with the handle first. The new one stays.
    let mut logo = crate::driver::plogi(
        understudy_hba::fields::id_at(&notice, 56),
        notice.u16(8),
        0,
    );
    logo.set_u16(12, 0x98);
    driver.push(&[logo]);
    driver.one();
    driver.acknowledge(&notice);
    driver.take();
    let record = driver.mailbox(&dma(0x64, DATA, &[(1, notice.u16(8))]));
    assert!(record.is_ok());
    assert_eq!(driver.peek(DATA, 64).u8(2), 5, "PRLI is pending");
}

#[test]
fn a_logout_waits_for_the_driver_and_ends_commands() {
    let mut driver = served();
    driver.rig.initiator.hold_data(true);
    driver.rig.initiator.send(0, &[0x2a; 10], 0, &[1; 512]).unwrap();
    let atio = driver.one();
    driver.push(&[with_data(&atio, OUT, 512)]);
    driver.rig.initiator.log_out();
    let notice = driver.one();
    assert_eq!((notice.kind(), notice.u8(18)), (kind::IMMEDIATE_NOTIFY, 0x05));
    driver.acknowledge(&notice);
    let seen = driver.take();
    let [Seen::Response(lost), Seen::Response(ack)] = seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(ended(&lost), (kind::CTIO, 0x29, true));
    assert_eq!(ack.kind(), kind::NOTIFY_ACK);
    assert_eq!(driver.rig.initiator.session(), Session::None);
    assert_eq!(driver.done(&dma(0x7c, DATA, &[])).at(1), 0);
}

#[test]
fn the_status_of_commands_that_another_plogi_ends_is_a_switch() {
    for (logged_out_at_plogi, status) in [(true, 0x29), (false, 0x2a)] {
        let switches = Switches { logged_out_at_plogi, ..Switches::default() };
        let mut driver = served_with(switches);
        driver.rig.initiator.hold_data(true);
        driver.rig.initiator.send(0, &[0x2a; 10], 0, &[1; 512]).unwrap();
        let atio = driver.one();
        driver.push(&[with_data(&atio, OUT, 512)]);
        driver.rig.initiator.log_in(BASE.wwpn);
        let seen = driver.take();
        let [Seen::Response(lost), Seen::Atio(plogi)] = seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(ended(&lost), (kind::CTIO, status, true));
        driver.put_back(Seen::Atio(plogi));
        driver.accept_login();
        assert!(driver.rig.has_session());
    }
}

#[test]
fn a_login_is_refused_where_there_is_no_target() {
    let mut driver = Driver::new(Switches::default());
    driver.boot();
    driver.start(Mode::Initiator);
    driver.rig.pass(1);
    driver.take();
    driver.log_in_to_name_server(0);
    driver.register(0);
    driver.rig.initiator.log_in(BASE.wwpn);
    let seen = driver.take();
    let heard = |seen: &Seen| matches!(seen, Seen::Event(0x8015, _));
    assert!(seen.iter().all(heard), "only that the initiator came: {seen:?}");
    assert_eq!(driver.rig.initiator.session(), Session::Refused);
}

#[test]
fn a_response_that_is_struck_is_lost_for_the_initiator_alone() {
    let mut driver = served();
    let (direction, frame) = (Direction::Out, FrameKind::Response);
    driver.rig.hba.strike(Fault { direction, frame, fate: Fate::Lost });
    let command = driver.rig.initiator.send(0, &[0; 6], 0, &[]).unwrap();
    let atio = driver.one();
    driver.push(&[ctio(&atio, STATUS)]);
    assert_eq!(ended(&driver.one()), (kind::CTIO, 1, false));
    assert_eq!(driver.rig.initiator.take_outcome(command), None);
}

#[test]
fn commands_wait_for_room_in_the_ring() {
    let mut driver = served();
    let count: usize = 100;
    for _ in 0..count {
        driver.rig.initiator.send(0, &[0; 6], 0, &[]).unwrap();
    }
    let seen = driver.take();
    assert_eq!(seen.len(), count, "more than the ring has entries");
    let mut exchanges: Vec<u32> = seen
        .iter()
        .map(|seen| match seen {
            Seen::Atio(atio) => atio.u32(4),
            other => panic!("{other:?}"),
        })
        .collect();
    exchanges.sort_unstable();
    exchanges.dedup();
    assert_eq!(exchanges.len(), count);
}

#[test]
fn the_fabric_may_end_the_initiators_login() {
    let mut driver = served();
    driver.rig.drop_port(INITIATOR.wwpn);
    assert_eq!(driver.rig.initiator.session(), Session::None);
}
