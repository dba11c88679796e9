//! A target that sends what makes no sense: an initiator's guest is not harmed.

use understudy_fabric::bytes::Put;
use understudy_fabric::frame::FcHeader;
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields};
use understudy_hba::wire::fcp::{Residual, Response, TransferReady};

use crate::driver::{DATA, Seen};
use crate::initiator::ended;
use crate::pair::{Pair, answer};

const WRITE: u16 = 1;
const READ: u16 = 2;
/// R_CTL of the frames.
const FCP_DATA: u8 = 0x01;
const TRANSFER_READY: u8 = 0x05;
const RESPONSE: u8 = 0x07;
const ABTS: u8 = 0x81;

/// Has the initiator's HBA receive an answer to a command.
fn forge(pair: &mut Pair, header: FcHeader, payload: &[u8]) {
    pair.initiator().rig.deliver(header, payload);
}

/// Has it receive a good FCP_RSP, and returns the STATUS that follows.
fn respond(pair: &mut Pair, atio: &Entry) -> Entry {
    forge(pair, answer(atio, RESPONSE), &Response::default().encode());
    pair.initiator().one()
}

#[test]
fn a_second_response_is_for_nobody() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 0, 0);
    assert_eq!(ended(&respond(&mut pair, &atio)), (7, 0, 0));
    forge(&mut pair, answer(&atio, RESPONSE), &Response::default().encode());
    assert_eq!(pair.initiator().take(), []);
}

#[test]
fn a_response_that_is_cut_is_an_error() {
    let response = Response { status: 2, sense: vec![1; 18], ..Response::default() };
    let bytes = response.encode();
    for len in [0, 11, 23, 41] {
        let mut pair = Pair::new();
        let atio = pair.send(7, 0, 0);
        forge(&mut pair, answer(&atio, RESPONSE), &bytes[..len]);
        assert_eq!(ended(&pair.initiator().one()), (7, 0x03, 0));
    }
}

#[test]
fn long_sense_data_go_on_in_more_entries() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 0, 0);
    let info = vec![0, 0, 0, 0, 9, 9, 9, 9];
    let sense: Vec<u8> = (0..96).collect();
    let residual = Residual::None;
    let response = Response { status: 2, residual, info, sense };
    forge(&mut pair, answer(&atio, RESPONSE), &response.encode());
    let seen = pair.initiator().take();
    let [Seen::Response(first), Seen::Response(second), Seen::Response(third)] = seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(ended(&first), (7, 0, 0x302));
    assert_eq!((first.u32(28), first.u32(32)), (96, 8));
    assert_eq!([second.kind(), third.kind()], [kind::STATUS_CONTINUED; 2]);
    let (second, third) = (second.swapped::<60>(4), third.swapped::<60>(4));
    let bytes = [&first.swapped::<28>(36)[8..], &second, &third].concat();
    assert_eq!(bytes[..96], response.sense);
}

#[test]
fn nothing_is_sent_that_the_command_does_not_have() {
    let cases = [
        (WRITE, TransferReady { offset: 0, length: 513 }),
        (WRITE, TransferReady { offset: 512, length: 1 }),
        (WRITE, TransferReady { offset: u32::MAX, length: 2 }),
        (WRITE, TransferReady { offset: 0, length: 0 }),
        (READ, TransferReady { offset: 0, length: 512 }),
    ];
    for (flags, ready) in cases {
        let mut pair = Pair::new();
        let atio = pair.send(7, flags, 512);
        let sent = pair.initiator().rig.hba.counters().sent;
        forge(&mut pair, answer(&atio, TRANSFER_READY), &ready.encode());
        assert_eq!(pair.initiator().rig.hba.counters().sent, sent, "{ready:?}");
        assert_eq!(ended(&respond(&mut pair, &atio)), (7, 0x15, 0));
    }
}

#[test]
fn data_stays_within_the_command() {
    let cases = [
        // Beyond the end, from beyond the end, with a gap, for a write.
        (READ, 0, 513, 0x07),
        (READ, 512, 1, 0x15),
        (READ, u32::MAX - 3, 8, 0x15),
        (READ, 256, 256, 0x15),
        (WRITE, 0, 4, 0x07),
    ];
    for (flags, offset, len, completion) in cases {
        let mut pair = Pair::new();
        let atio = pair.send(7, flags, 512);
        let before = pair.initiator().peek(DATA - 0x1000, 0x3000);
        let header = FcHeader { parameter: offset, ..answer(&atio, FCP_DATA) };
        forge(&mut pair, header, &vec![0xee; len]);
        assert!(pair.initiator().peek(DATA - 0x1000, 0x3000) == before, "{offset}");
        assert_eq!(ended(&respond(&mut pair, &atio)), (7, completion, 0));
    }
}

#[test]
fn an_abort_by_the_target_ends_the_command() {
    let mut pair = Pair::new();
    let atio = pair.send(7, READ, 512);
    let header = FcHeader { fc_type: 0, f_ctl: 0x88_0000, ..answer(&atio, ABTS) };
    let sent = pair.initiator().rig.hba.counters().sent;
    forge(&mut pair, header, &[]);
    let initiator = pair.initiator();
    assert_eq!(initiator.rig.hba.counters().sent, sent + 1, "BA_ACC");
    assert_eq!(ended(&initiator.one()), (7, 0x13, 0));
}

#[test]
fn a_retry_delay_and_other_bytes_of_a_response_do_no_harm() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 0, 0);
    let mut bytes = Vec::new();
    bytes.put(&[0xff; 10]);
    bytes.put(&[0, 0x28]);
    bytes.put(&[0xff; 12]);
    forge(&mut pair, answer(&atio, RESPONSE), &bytes);
    assert_eq!(ended(&pair.initiator().one()), (7, 0, 0x28));
}
