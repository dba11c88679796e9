//! Frames from port to port: all of them, in order, whatever the load.

use std::io::Write;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::thread;

use understudy_fabric::addr::Fcid;
use understudy_fabric::control::What;
use understudy_fabric::frame::{ETHERTYPE_FCOE, Ethernet};
use understudy_fabric::link::Inbox;

use crate::login::{A, B, V};
use crate::node::{Heard, Node, data_frame};
use crate::program::{Program, until};

#[test]
fn frames_arrive_in_order_with_new_addresses() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let (from, to) = (a.flogi(A), b.flogi(B));
    let vport = b.fdisc(V);
    for n in 0..200_u8 {
        a.data(from, if n % 2 == 0 { to } else { vport }, &[n; 100]);
    }
    for n in 0..200_u8 {
        let to = if n % 2 == 0 { to } else { vport };
        assert_eq!(b.take_data(from, to), [n; 100]);
    }
    b.data(vport, from, b"back");
    assert_eq!(a.take_data(vport, from), b"back");
}

#[test]
fn nothing_passes_from_or_to_a_port_that_is_not_logged_in() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let (from, to) = (a.flogi(A), b.flogi(B));
    let vport = a.fdisc(V);
    a.logo(vport, V);
    a.data(vport, to, b"from a port that left");
    a.data(to, to, b"from somebody else's address");
    a.data(from, vport, b"to a port that left");
    a.data(from, to, b"good");
    assert_eq!(b.take_data(from, to), b"good");
    assert_eq!(program.client().links().unwrap()[0].discarded, 3);
}

#[test]
fn an_exchange_that_is_given_up_is_told() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let (from, to) = (a.flogi(A), b.flogi(B));
    a.send_abort(from, to, 0x123);
    a.data(from, to, b"after it");
    b.take_data(from, to);
    let events = program.client().events(0).unwrap();
    let told = events.iter().find(|event| event.event == What::Aborted).unwrap();
    assert_eq!(told.wwpn, Some(A));
    assert_eq!(told.reason.as_deref(), Some(format!("0x0123 with {to}").as_str()));
}

#[test]
fn a_pause_loses_nothing_and_keeps_the_order() {
    let program = Program::start();
    let mut client = program.client();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let (from, to) = (a.flogi(A), b.flogi(B));
    a.data(from, to, b"before");
    assert_eq!(b.take_data(from, to), b"before");
    client.pause().unwrap();
    for n in 0..1000_u32 {
        a.data(from, to, &n.to_be_bytes());
    }
    // Logins and the name server go on, and prove that the frames before have been read.
    a.join_virtual(V);
    b.assert_quiet();
    client.resume().unwrap();
    a.data(from, to, b"after");
    for n in 0..1000_u32 {
        assert_eq!(b.take_data(from, to), n.to_be_bytes());
    }
    assert_eq!(b.take_data(from, to), b"after");
}

#[test]
fn held_frames_of_a_port_that_leaves_do_not_arrive() {
    let program = Program::start();
    let mut client = program.client();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let (from, to) = (a.flogi(A), b.flogi(B));
    let vport = a.fdisc(V);
    client.pause().unwrap();
    a.data(vport, to, b"stale");
    a.data(from, to, b"good");
    a.logo(vport, V);
    client.resume().unwrap();
    assert_eq!(b.take_data(from, to), b"good");
}

/// How many frames of 2 KiB go each way: 32 MiB of them, twice what the fabric queues.
const FRAMES: u32 = 16 << 10;

/// The place of a frame's number: reserved bytes of the FCoE header, which no CRC covers.
const NUMBER: Range<usize> = 16..20;

fn flood_frame(from: Fcid, to: Fcid) -> Vec<u8> {
    data_frame(from, to, &[0xa5; 2048])
}

fn write_all(mut socket: &UnixStream, from: Fcid, to: Fcid) {
    let mut frame = flood_frame(from, to);
    let mut burst = Vec::new();
    for n in 0..FRAMES {
        frame[NUMBER].copy_from_slice(&n.to_be_bytes());
        burst.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
        burst.extend(&frame);
        if n % 64 == 63 {
            socket.write_all(&burst).unwrap();
            burst.clear();
        }
    }
}

fn read_all(mut socket: &UnixStream, from: Fcid, to: Fcid) {
    let expected = flood_frame(from, to);
    let mut inbox = Inbox::default();
    let mut next = 0_u32;
    while next < FRAMES {
        assert!(inbox.fill(&mut socket).unwrap() > 0);
        while let Some(frame) = inbox.next_frame().unwrap() {
            let ethernet = Ethernet::decode(frame).unwrap();
            if ethernet.ethertype == ETHERTYPE_FCOE {
                assert_eq!(frame[NUMBER], next.to_be_bytes());
                assert!(frame[NUMBER.end..] == expected[NUMBER.end..], "frame {next}");
                next += 1;
            }
        }
    }
}

/// Returns two ports that are about to flood each other.
fn pair(program: &Program) -> ((Node, Fcid), (Node, Fcid)) {
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let (at, to) = (a.flogi(A), b.flogi(B));
    ((a, at), (b, to))
}

#[test]
fn a_flood_both_ways_loses_nothing() {
    let program = Program::start();
    let ((a, a_id), (b, b_id)) = pair(&program);
    thread::scope(|scope| {
        scope.spawn(|| write_all(&a.socket, a_id, b_id));
        scope.spawn(|| write_all(&b.socket, b_id, a_id));
        scope.spawn(|| read_all(&a.socket, b_id, a_id));
        read_all(&b.socket, a_id, b_id);
    });
}

#[test]
fn nodes_that_write_everything_before_they_read_do_not_lock_up() {
    let program = Program::start();
    let ((a, a_id), (b, b_id)) = pair(&program);
    thread::scope(|scope| {
        scope.spawn(|| {
            write_all(&a.socket, a_id, b_id);
            read_all(&a.socket, b_id, a_id);
        });
        write_all(&b.socket, b_id, a_id);
        read_all(&b.socket, a_id, b_id);
    });
}

#[test]
fn a_node_that_does_not_read_holds_its_sender_up_and_nobody_else() {
    let program = Program::start();
    let mut client = program.client();
    let ((mut a, a_id), (b, b_id)) = pair(&program);
    let mut c = program.node("c");
    let c_id = c.flogi(V);
    thread::scope(|scope| {
        let flood = scope.spawn(|| write_all(&a.socket, a_id, b_id));
        // The flood is more than the fabric takes: it stops at some amount.
        until("the queue is full", || client.links().unwrap()[1].queued > 16 << 20);
        // A fabric that went on reading would have read everything by now.
        (0..500).for_each(|_| c.assert_quiet());
        assert!(!flood.is_finished());
        assert!(client.links().unwrap()[1].queued < 17 << 20);
        read_all(&b.socket, a_id, b_id);
        flood.join().unwrap();
    });
    a.data(a_id, c_id, b"on time again");
    assert_eq!(c.take_data(a_id, c_id), b"on time again");
}

#[test]
fn what_waits_for_a_port_that_is_logged_out_never_arrives() {
    let program = Program::start();
    let mut client = program.client();
    let ((mut a, a_id), (mut b, b_id)) = pair(&program);
    let vport = b.fdisc(V);
    thread::scope(|scope| {
        let flood = scope.spawn(|| write_all(&a.socket, a_id, vport));
        // The frozen node's socket is full, and the fabric queues.
        until("the queue is full", || client.links().unwrap()[1].queued > 16 << 20);
        client.drop(V).unwrap();
        flood.join().unwrap();
    });
    a.data(a_id, b_id, b"fresh");
    let mut stale = 0;
    while b.wait(|heard| match heard {
        Heard::Fc { payload, .. } => Some(payload != b"fresh"),
        Heard::Fip(_) => None,
    }) {
        stale += 1;
    }
    assert!(stale < FRAMES / 8, "{stale} frames arrived: more than a socket holds");
}
