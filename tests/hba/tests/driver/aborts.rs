//! Aborts and task management of an initiator's driver.

use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes, swap_words};
use understudy_hba::wire::{Direction, Fate, Fault, FrameKind};

use crate::driver::{Driver, Seen, dma};
use crate::initiator::ended;
use crate::pair::{HANDLE, Pair, turned};
use crate::target::{ctio, with_data};

const WRITE: u16 = 1;
const READ: u16 = 2;
const STATUS: u16 = 1 << 15;
const LUN_RESET: u32 = 1 << 4;
/// A place for an entry that goes by mailbox.
const PLACE: u64 = crate::driver::DATA + 0x8000;

/// The handle of entries that abort or manage.
const OTHER: u32 = 99;

/// Returns an entry that aborts the command with a handle.
fn abort(handle: u32) -> Entry {
    let mut entry = Entry::new(kind::ABORT);
    entry.set_u32(4, OTHER);
    entry.set_u16(8, HANDLE);
    entry.set_u32(12, handle);
    entry
}

/// Returns an entry that manages tasks of LUN 1.
fn manage(pair: &mut Pair, flags: u32) -> Entry {
    let id = pair.target().id(0);
    let mut entry = Entry::new(kind::TASK_MANAGEMENT);
    entry.set_u32(4, OTHER);
    entry.set_u16(8, HANDLE);
    entry.set_u16(14, 20);
    entry.set(16, &turned(&[0, 1, 0, 0, 0, 0, 0, 0]));
    entry.set_u32(24, flags);
    entry.set(48, &id_bytes(id));
    entry
}

/// Has a target's driver answer an ABTS: with BA_ACC (84h) or BA_RJT (85h).
fn answer(target: &mut Driver, abts: &Entry, r_ctl: u8) {
    assert_eq!(abts.kind(), kind::ABORT_RECEIVED);
    let mut entry = *abts;
    entry.set(0, &[kind::ABORT_RESPONSE]);
    entry.set(23, &[r_ctl]);
    target.push(&[entry]);
    target.take();
}

/// Has a target's driver respond to a task management function with a code. Returns what
/// the target is told after that.
fn respond(target: &mut Driver, atio: &Entry, code: u8) -> Vec<Seen> {
    let mut entry = ctio(atio, STATUS | 1 << 6);
    entry.set_u16(34, 0x100);
    entry.set_u16(36, 8);
    entry.set(40, &swap_words(&[0, 0, 0, code]));
    target.push(&[entry]);
    let mut seen = target.take();
    assert!(matches!(seen.remove(0), Seen::Response(end) if end.kind() == kind::CTIO));
    seen
}

/// Asserts that a command was aborted, and then the ABORT answered.
fn assert_aborted(seen: &[Seen], handle: u32) {
    let [Seen::Response(status), Seen::Response(answer)] = seen else {
        panic!("{seen:?}")
    };
    assert_eq!(ended(status), (handle, 5, 0));
    assert_eq!((answer.kind(), answer.handle(), answer.u16(8)), (kind::ABORT, OTHER, 0));
}

#[test]
fn an_abort_ends_a_command_and_then_itself() {
    for r_ctl in [0x84, 0x85] {
        let mut pair = Pair::new();
        let atio = pair.send(7, READ, 100);
        pair.initiator().push(&[abort(7)]);
        let target = pair.target();
        let abts = target.one();
        assert_eq!(abts.u32(60), atio.u32(4), "the target has the exchange");
        answer(target, &abts, r_ctl);
        // A response that comes now is for nobody.
        target.push(&[with_data(&atio, READ | STATUS, 100)]);
        target.take();
        assert_aborted(&pair.initiator().take(), 7);
    }
}

#[test]
fn an_abort_of_what_is_not_under_way_fails() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 0, 0);
    pair.target().push(&[ctio(&atio, STATUS)]);
    let initiator = pair.initiator();
    assert_eq!(ended(&initiator.one()), (7, 0, 0));
    for handle in [7, 8] {
        initiator.push(&[abort(handle)]);
        let answer = initiator.one();
        assert_eq!((answer.kind(), answer.u16(8)), (kind::ABORT, 0x31));
    }
}

#[test]
fn a_command_is_aborted_once() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let initiator = pair.initiator();
    initiator.push(&[abort(7), abort(7)]);
    let second = initiator.one();
    assert_eq!((second.kind(), second.u16(8)), (kind::ABORT, 0x31));
    let target = pair.target();
    let abts = target.one();
    answer(target, &abts, 0x84);
    assert_aborted(&pair.initiator().take(), 7);
}

#[test]
fn a_write_that_is_aborted_sends_no_more() {
    let mut pair = Pair::new();
    let atio = pair.send(7, WRITE, 512);
    pair.initiator().push(&[abort(7)]);
    let target = pair.target();
    let abts = target.one();
    target.push(&[with_data(&atio, WRITE, 512)]);
    assert!(matches!(target.take()[..], [Seen::Response(end)] if end.u16(8) != 1));
    answer(target, &abts, 0x84);
    assert_aborted(&pair.initiator().take(), 7);
}

#[test]
fn an_abort_ends_a_command_whose_response_was_lost() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 0, 0);
    let (direction, frame) = (Direction::Out, FrameKind::Response);
    let target = pair.target();
    target.rig.hba.strike(Fault { direction, frame, fate: Fate::Lost });
    target.push(&[ctio(&atio, STATUS)]);
    target.one();
    pair.initiator().push(&[abort(7)]);
    assert_eq!(pair.target().take(), [], "firmware rejects it");
    assert_aborted(&pair.initiator().take(), 7);
}

#[test]
fn a_target_that_answers_no_abts_is_logged_out() {
    let mut pair = Pair::new();
    pair.send(7, READ, 100);
    pair.send(8, READ, 100);
    let initiator = pair.initiator();
    initiator.push(&[abort(7)]);
    initiator.rig.pass(21);
    let seen = initiator.take();
    let [aborted @ .., Seen::Response(other), Seen::Event(0x8014, told)] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_aborted(aborted, 7);
    assert_eq!(ended(other), (8, 0x29, 0));
    assert_eq!(told[..2], [HANDLE, 7], "the handle is logged out");
    let seen = pair.target().take();
    assert!(
        matches!(seen[..], [_, Seen::Atio(notice)] if notice.u8(18) == 0x05),
        "a LOGO after the ABTS: {seen:?}"
    );
}

#[test]
fn a_lun_reset_ends_the_commands_of_its_lun() {
    let mut pair = Pair::new();
    let mut entries = [7, 8, 9].map(|handle| pair.command(handle, [0; 16], 0));
    for entry in &mut entries[..2] {
        entry.set(16, &turned(&[0, 1, 0, 0, 0, 0, 0, 0]));
    }
    let reset = manage(&mut pair, LUN_RESET);
    pair.initiator().push(&entries);
    let target = pair.target();
    let seen = target.take();
    let [.., Seen::Atio(other)] = seen[..] else { panic!("{seen:?}") };
    pair.initiator().push(&[reset]);
    let target = pair.target();
    let atio = target.one();
    assert_eq!(atio.0[32..44], [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]);
    let aborts = respond(target, &atio, 0);
    let status = pair.initiator().one();
    assert_eq!(ended(&status), (OTHER, 0, 0x100));
    assert_eq!((status.u32(32), status.0[36]), (8, 0));
    let target = pair.target();
    for abts in aborts {
        let Seen::Response(abts) = abts else { panic!("{abts:?}") };
        answer(target, &abts, 0x84);
    }
    let seen = pair.initiator().take();
    let [Seen::Response(first), Seen::Response(second)] = seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!([ended(&first), ended(&second)], [(7, 5, 0), (8, 5, 0)]);
    pair.target().push(&[ctio(&other, STATUS)]);
    assert_eq!(ended(&pair.initiator().one()), (9, 0, 0), "of another LUN");
}

#[test]
fn a_target_reset_ends_the_commands_of_all_luns() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let reset = manage(&mut pair, 1 << 1);
    pair.initiator().push(&[reset]);
    let target = pair.target();
    let atio = target.one();
    assert_eq!(atio.u8(42), 0x20);
    let aborts = respond(target, &atio, 0);
    assert!(
        matches!(aborts[..], [Seen::Response(abts)] if abts.kind() == kind::ABORT_RECEIVED)
    );
}

#[test]
fn a_function_that_the_target_rejects_ends_no_command() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 0, 0);
    let reset = manage(&mut pair, 1 << 1);
    pair.initiator().push(&[reset]);
    let target = pair.target();
    let managed = target.one();
    assert_eq!(respond(target, &managed, 5), []);
    let status = pair.initiator().one();
    assert_eq!(ended(&status), (OTHER, 0, 0x100));
    assert_eq!(status.0[36], 5, "byte 3 of the wire");
    pair.target().push(&[ctio(&atio, STATUS)]);
    assert_eq!(ended(&pair.initiator().one()), (7, 0, 0));
}

#[test]
fn an_entry_without_a_function_is_given_back() {
    let mut pair = Pair::new();
    for flags in [0, 1 << 5, 1 << 31] {
        let entry = manage(&mut pair, flags);
        pair.initiator().push(&[entry]);
        let answer = pair.initiator().one();
        assert_eq!((answer.kind(), answer.u8(3)), (kind::TASK_MANAGEMENT, 8));
        assert_eq!(pair.target().take(), []);
    }
}

#[test]
fn a_function_that_is_not_answered_in_time_is_aborted() {
    let mut pair = Pair::new();
    let reset = manage(&mut pair, LUN_RESET);
    pair.initiator().push(&[reset]);
    pair.target().one();
    pair.initiator().rig.pass(19);
    assert_eq!(pair.target().take(), []);
    pair.initiator().rig.pass(2);
    let target = pair.target();
    let abts = target.one();
    answer(target, &abts, 0x84);
    assert_eq!(ended(&pair.initiator().one()), (OTHER, 6, 0));
}

#[test]
fn a_function_may_come_by_mailbox() {
    let mut pair = Pair::new();
    let reset = manage(&mut pair, LUN_RESET);
    let initiator = pair.initiator();
    initiator.poke(PLACE, &reset.0);
    initiator.ring(&dma(0x54, PLACE, &[]));
    let target = pair.target();
    let atio = target.one();
    assert_eq!(respond(target, &atio, 0), []);
    let initiator = pair.initiator();
    assert!(matches!(&initiator.take()[..], [Seen::Mailbox(answer)] if answer.is_ok()));
    let status = Entry(initiator.peek(PLACE, 64).try_into().unwrap());
    assert_eq!(ended(&status), (OTHER, 0, 0x100));
}

#[test]
fn an_abort_by_mailbox_is_answered_after_its_command() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let initiator = pair.initiator();
    initiator.poke(PLACE, &abort(7).0);
    initiator.ring(&dma(0x54, PLACE, &[]));
    let target = pair.target();
    let abts = target.one();
    answer(target, &abts, 0x84);
    let initiator = pair.initiator();
    let seen = initiator.take();
    let [Seen::Response(status), Seen::Mailbox(answer)] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(ended(status), (7, 5, 0));
    assert!(answer.is_ok());
    let entry = Entry(initiator.peek(PLACE, 64).try_into().unwrap());
    assert_eq!((entry.kind(), entry.u16(8)), (kind::ABORT, 0));
}
