//! Commands of an initiator's driver, and the answers of a target's.

use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, swap_words};
use understudy_hba::wire::{Direction, Fate, Fault, FrameKind};

use crate::driver::{DATA, MEMORY, MEMORY_LEN, Seen, dma, segment};
use crate::pair::{HANDLE, Pair, turned, with_one};
use crate::target::{ctio, with_data};

const WRITE: u16 = 1;
const READ: u16 = 2;
const STATUS: u16 = 1 << 15;
/// SCSI status of a STATUS: the residual says what was not moved.
const UNDER: u16 = 0x800;

/// Returns the handle, the completion status and the SCSI status of a STATUS.
pub fn ended(entry: &Entry) -> (u32, u16, u16) {
    assert_eq!(entry.kind(), kind::STATUS, "{entry:?}");
    (entry.handle(), entry.u16(8), entry.u16(22))
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_command_reaches_the_target_as_the_driver_wrote_it() {
    let mut pair = Pair::new();
    let cdb = [0x12, 1, 0x83, 0, 36, 0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    let mut entry = with_one(pair.command(7, cdb, READ), 36);
    entry.set(16, &turned(&[0, 5, 0, 0, 0, 0, 0, 0]));
    entry.set(26, &[2, 0x99]);
    pair.initiator().push(&[entry]);
    let target = pair.target();
    let atio = target.one();
    assert_eq!((atio.kind(), atio.u16(2)), (kind::ATIO, 2 << 12 | 0x38));
    assert_eq!(atio.0[32..44], [0, 5, 0, 0, 0, 0, 0, 0, 0x99, 2, 0, 2]);
    assert_eq!(atio.0[44..60], cdb);
    assert_eq!(u32::from_be_bytes(atio.array(60)), 36);
    target.poke(DATA, &bytes(36));
    target.push(&[with_data(&atio, READ | STATUS, 36)]);
    target.one();
    let initiator = pair.initiator();
    let status = initiator.one();
    assert_eq!(ended(&status), (7, 0, 0));
    assert_eq!(status.u16(10), u16::from_be_bytes(atio.array(24)), "the OX_ID");
    assert_eq!(initiator.peek(DATA, 36), bytes(36));
}

#[test]
fn the_driver_finds_a_target_in_the_port_database() {
    let mut pair = Pair::new();
    let initiator = pair.initiator();
    initiator.done(&dma(0x64, DATA, &[(1, HANDLE)]));
    let record = initiator.peek(DATA, 64);
    assert_eq!((record[2], record[22] & 0x10), (6, 0x10));
    initiator.done(&dma(0x75, DATA, &[(8, 400)]));
    let record = initiator.peek(DATA, 40);
    assert_eq!((record[2], record[22] & 0x10), (6, 0x10));
}

#[test]
fn what_is_read_is_scattered_and_stays_in_its_place() {
    let mut pair = Pair::new();
    let len = 9000;
    let mut entry = pair.command(7, [0x28; 16], READ);
    // Six segments: one in the entry, five in one that continues it.
    let lens = [100, 4000, 1, 99, 2800, 2000];
    let places: Vec<(u64, u32)> = (0..).map(|i| DATA + i * 0x2000).zip(lens).collect();
    let mut more = Entry::new(kind::CONTINUE);
    entry.set(1, &[2]);
    entry.set_u16(12, 6);
    entry.set_u32(44, len);
    segment(&mut entry, 52, places[0].0, places[0].1);
    for (index, (at, len)) in places[1..].iter().enumerate() {
        segment(&mut more, 4 + 12 * index, *at, *len);
    }
    pair.initiator().push(&[entry, more]);
    let target = pair.target();
    let atio = target.one();
    target.poke(DATA, &bytes(9000));
    target.push(&[with_data(&atio, READ | STATUS, 9000)]);
    target.one();
    let initiator = pair.initiator();
    assert_eq!(ended(&initiator.one()), (7, 0, 0));
    let gathered: Vec<u8> =
        places.iter().flat_map(|(at, len)| initiator.peek(*at, *len as usize)).collect();
    assert!(gathered == bytes(9000));
    for (at, len) in places {
        assert_eq!(initiator.peek(at + u64::from(len), 16), [0; 16], "beyond a segment");
    }
}

#[test]
fn a_read_may_come_in_several_sequences() {
    let mut pair = Pair::new();
    let atio = pair.send(7, READ, 6000);
    let target = pair.target();
    target.poke(DATA, &bytes(6000));
    for (offset, flags) in [(0, READ), (3000, READ | STATUS)] {
        let mut entry = with_data(&atio, flags, 3000);
        entry.set_u32(36, offset);
        segment(&mut entry, 52, DATA + u64::from(offset), 3000);
        target.push(&[entry]);
        target.one();
    }
    let initiator = pair.initiator();
    assert_eq!(ended(&initiator.one()), (7, 0, 0));
    assert!(initiator.peek(DATA, 6000) == bytes(6000));
}

#[test]
fn a_write_is_fetched_piece_by_piece() {
    let mut pair = Pair::new();
    pair.initiator().poke(DATA, &bytes(9000));
    let atio = pair.send(7, WRITE, 9000);
    // The pieces are not in order.
    for (offset, len) in [(5000, 4000), (0, 2000), (2000, 3000)] {
        let mut entry = with_data(&atio, WRITE, len);
        entry.set_u32(36, offset);
        segment(&mut entry, 52, DATA + u64::from(offset), len);
        let target = pair.target();
        target.push(&[entry]);
        assert_eq!(target.one().u16(8), 1);
        assert_eq!(pair.initiator().take(), []);
    }
    let target = pair.target();
    assert!(target.peek(DATA, 9000) == bytes(9000));
    target.push(&[ctio(&atio, STATUS)]);
    target.one();
    assert_eq!(ended(&pair.initiator().one()), (7, 0, 0));
}

#[test]
fn sense_data_reach_the_driver() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 0, 0);
    let sense = bytes(24);
    let mut entry = ctio(&atio, STATUS | 1 << 6);
    entry.set_u16(24, 24);
    entry.set_u16(34, 0x202);
    entry.set(40, &swap_words(&sense));
    let target = pair.target();
    target.push(&[entry]);
    target.one();
    let status = pair.initiator().one();
    assert_eq!(ended(&status), (7, 0, 0x202));
    assert_eq!((status.u32(28), status.u32(32)), (24, 0));
    assert_eq!(status.0[36..60], turned(&sense));
}

#[test]
fn an_underrun_has_both_residuals() {
    let mut pair = Pair::new();
    let atio = pair.send(7, READ, 100);
    let mut entry = with_data(&atio, READ | STATUS, 36);
    entry.set_u32(28, 64);
    entry.set_u16(34, UNDER);
    pair.target().push(&[entry]);
    let status = pair.initiator().one();
    assert_eq!(ended(&status), (7, 0x15, UNDER));
    assert_eq!((status.u32(12), status.u32(24)), (64, 64));
}

#[test]
fn an_overrun_is_told_as_the_target_says_it() {
    let mut pair = Pair::new();
    let atio = pair.send(7, READ, 36);
    let mut entry = with_data(&atio, READ | STATUS, 36);
    entry.set_u32(28, 60);
    entry.set_u16(34, 0x400);
    pair.target().push(&[entry]);
    let status = pair.initiator().one();
    assert_eq!(ended(&status), (7, 0x07, 0x400));
    assert_eq!(status.u32(24), 60);
}

#[test]
fn more_data_than_there_is_room_for_is_not_written() {
    let mut pair = Pair::new();
    let atio = pair.send(7, READ, 36);
    let target = pair.target();
    target.poke(DATA, &[1; 100]);
    target.push(&[with_data(&atio, READ | STATUS, 100)]);
    let initiator = pair.initiator();
    assert_eq!(ended(&initiator.one()), (7, 0x07, 0));
    assert_eq!(initiator.peek(DATA, 100), [0; 100], "the frame is dropped whole");
}

#[test]
fn a_command_whose_response_is_lost_has_no_end() {
    let mut pair = Pair::new();
    let atio = pair.send(7, READ, 9000);
    let (direction, frame) = (Direction::Out, FrameKind::Response);
    let target = pair.target();
    target.rig.hba.strike(Fault { direction, frame, fate: Fate::Lost });
    target.push(&[with_data(&atio, READ | STATUS, 9000)]);
    target.one();
    assert_eq!(pair.initiator().take(), []);
}

#[test]
fn a_good_status_without_all_data_is_an_underrun() {
    let mut pair = Pair::new();
    let atio = pair.send(7, READ, 100);
    pair.target().push(&[with_data(&atio, READ | STATUS, 36)]);
    let status = pair.initiator().one();
    assert_eq!(ended(&status), (7, 0x15, 0));
    assert_eq!((status.u32(12), status.u32(24)), (64, 0));
}

#[test]
fn a_command_without_a_session_is_answered_at_once() {
    let mut pair = Pair::new();
    let good = pair.command(7, [0; 16], 0);
    let wrong = |change: &dyn Fn(&mut Entry)| {
        let mut entry = good;
        change(&mut entry);
        entry
    };
    let entries = [
        wrong(&|entry| entry.set_u16(8, HANDLE + 1)),
        wrong(&|entry| entry.set(48, &[1, 2, 3])),
        wrong(&|entry| entry.set(51, &[1])),
    ];
    for entry in entries {
        let initiator = pair.initiator();
        initiator.push(&[entry]);
        assert_eq!(ended(&initiator.one()), (7, 0x29, 0));
        assert_eq!(pair.target().take(), []);
    }
}

#[test]
fn an_entry_whose_data_makes_no_sense_is_given_back() {
    let mut pair = Pair::new();
    let mut few = with_one(pair.command(7, [0; 16], READ), 100);
    few.set_u32(44, 101);
    let both = with_one(pair.command(7, [0; 16], READ | WRITE), 100);
    let neither = with_one(pair.command(7, [0; 16], 0), 100);
    let mut long = with_one(pair.command(7, [0; 16], READ), u32::MAX);
    long.set_u16(12, 1);
    for entry in [few, both, neither, long] {
        let initiator = pair.initiator();
        initiator.push(&[entry]);
        let answer = initiator.one();
        assert_eq!((answer.kind(), answer.u8(3)), (kind::COMMAND_7, 8));
        assert_eq!(pair.target().take(), []);
    }
}

#[test]
fn data_outside_of_the_guests_memory_is_an_error() {
    let mut pair = Pair::new();
    let mut entry = with_one(pair.command(7, [0x28; 16], READ), 100);
    segment(&mut entry, 52, MEMORY + MEMORY_LEN - 50, 100);
    pair.initiator().push(&[entry]);
    let target = pair.target();
    let atio = target.one();
    target.push(&[with_data(&atio, READ | STATUS, 100)]);
    assert_eq!(ended(&pair.initiator().one()), (7, 0x02, 0));
}

#[test]
fn a_virtual_port_has_commands_of_its_own() {
    let mut pair = Pair::with_vport();
    let mut entry = with_one(pair.command(7, [0x12; 16], READ), 36);
    entry.set(51, &[1]);
    pair.initiator().push(&[entry]);
    let target = pair.target();
    let atio = target.one();
    target.poke(DATA, &bytes(36));
    target.push(&[with_data(&atio, READ | STATUS, 36)]);
    target.one();
    let vport = pair.initiator();
    assert_eq!(ended(&vport.one()), (7, 0, 0));
    assert_eq!(vport.peek(DATA, 36), bytes(36));
}

#[test]
fn a_command_by_mailbox_is_answered_there() {
    let mut pair = Pair::new();
    let mut entry = pair.command(7, [0; 16], 0);
    entry.set_u16(8, HANDLE + 1);
    assert_eq!(ended(&pair.initiator().by_mailbox(&entry)), (7, 0x29, 0));
}

#[test]
fn many_commands_are_under_way_at_a_time() {
    let mut pair = Pair::new();
    let count = 50;
    let entries: Vec<Entry> = (0..count)
        .map(|handle| with_one(pair.command(handle, [0; 16], READ), 36))
        .collect();
    pair.initiator().push(&entries);
    let target = pair.target();
    let seen = target.take();
    assert_eq!(seen.len(), 50);
    for seen in seen.iter().rev() {
        let Seen::Atio(atio) = seen else { panic!("{seen:?}") };
        target.push(&[with_data(atio, READ | STATUS, 36)]);
        target.take();
    }
    let ends: Vec<_> = pair.initiator().take();
    let handles: Vec<u32> = ends
        .iter()
        .map(|seen| match seen {
            Seen::Response(entry) => ended(entry).0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(handles, (0..count).rev().collect::<Vec<_>>());
}
