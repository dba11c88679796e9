//! Wireshark's opinion of every frame that a wire sends.

use std::process::Command;
use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::bytes::Put;
use understudy_fabric::els::{Logout, command};
use understudy_fabric::pcap::{Capture, Direction};
use understudy_fabric::port::LinkId;
use understudy_hba::els::{PRLI, prli};
use understudy_hba::wire::fcp::Response;
use understudy_hba::wire::{Event, ExchangeId};

use crate::rig::{BASE, Rig, VPORT, names, plogi};

const LENGTH: u32 = 8192;

/// Returns an FCP_CMND with a READ(10) or WRITE(10) of 16 blocks.
fn cmnd(read: bool) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, if read { 2 } else { 1 }];
    out.put(&[if read { 0x28 } else { 0x2a }, 0, 0, 0, 0, 0, 0, 0, 16, 0]);
    out.put_zeros(6);
    out.put_u32(LENGTH);
    out
}

/// Sends an ELS from one wire to another, and has it answered.
fn exchange(rig: &mut Rig, from: usize, to: usize, els: &[u8], answer: &[u8]) {
    let (_, theirs) = rig.ask(from, to, els);
    rig.wires[to].answer_els(theirs, answer).unwrap();
    assert!(matches!(rig.one(from), Event::ElsAnswer { .. }));
}

/// Sends a command, and returns its exchange at both ends.
fn command(rig: &mut Rig, target: Fcid, read: bool) -> (ExchangeId, ExchangeId) {
    let ours = rig.wires[0].send_command(BASE, target, &cmnd(read)).unwrap();
    match rig.one(1) {
        Event::Command { exchange, .. } => (ours, exchange),
        other => panic!("{other:?}"),
    }
}

/// Has a wire send every kind of frame.
fn run(rig: &mut Rig) {
    let peer = rig.register(1);
    rig.register(0);
    rig.login(0, VPORT);
    let login = plogi(0, 2048);
    exchange(rig, 0, 1, &login, &[&[command::LS_ACC], &plogi(1, 2048)[1..]].concat());
    exchange(rig, 0, 1, &prli(PRLI, 0x32), &prli(command::LS_ACC, 0x32));
    exchange(rig, 1, 0, &plogi(1, 2048), &[&[command::LS_ACC], &login[1..]].concat());
    rig.els(0, peer, &[0x10, 0, 0, 0, 1, 2, 3, 4]);
    rig.els(0, peer, &[command::RTV, 0, 0, 0]);
    rig.els(0, peer, &[command::RLS, 0, 0, 0, 0, 0, 0, 0]);

    let (_, theirs) = command(rig, peer, true);
    rig.wires[1].send_data(theirs, 0, &[7; LENGTH as usize]).unwrap();
    rig.wires[1].send_response(theirs, &Response::default().encode()).unwrap();
    rig.take(0);

    let (ours, theirs) = command(rig, peer, false);
    rig.wires[1].ask_data(theirs, 0, LENGTH, Duration::MAX).unwrap();
    rig.take(0);
    rig.wires[0].send_data(ours, 0, &[7; LENGTH as usize]).unwrap();
    rig.take(1);
    rig.wires[1].send_response(theirs, &Response::default().encode()).unwrap();
    rig.take(0);

    for answer in [Ok(()), Err((9, 5))] {
        let (ours, _) = command(rig, peer, true);
        rig.wires[0].abort(ours, rig.now).unwrap();
        let Event::Abort { abort, .. } = rig.one(1) else { panic!() };
        rig.wires[1].answer_abort(abort, answer).unwrap();
        rig.take(0);
    }
    // Time for RRQ and for the keep-alives of the node and its ports.
    rig.seconds(100);
    let fcid = rig.wires[0].id(BASE).unwrap();
    let logo = Logout { fcid, wwpn: names(0, BASE).wwpn }.encode();
    exchange(rig, 0, 1, &logo, &[command::LS_ACC, 0, 0, 0]);
    rig.wires[0].logout(VPORT, rig.now).unwrap();
    rig.take(0);
}

#[test]
fn wireshark_understands_every_frame() {
    let mut rig = Rig::new(2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture");
    rig.record = Some(Vec::new());
    rig.disconnect(0);
    rig.connect(0);
    rig.take(0);
    rig.take(1);
    run(&mut rig);
    let mut capture = Capture::create(&file, &["hba".to_owned()], usize::MAX).unwrap();
    for (sent, time, frame) in rig.record.take().unwrap() {
        let direction = if sent { Direction::Sent } else { Direction::Received };
        capture.frame(LinkId(0), direction, time, &frame).unwrap();
    }
    capture.flush().unwrap();

    let tshark = |options: &[&str]| {
        let output = Command::new("tshark").arg("-r").arg(&file).args(options).output();
        let output = output.expect("this test needs tshark (Debian: apt install tshark)");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tshark: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let bad = "_ws.malformed || _ws.short || fc.crc.status == \"Bad\" \
               || (_ws.expert.severity >= warning \
                   && !(_ws.expert.message contains \"No record of Exchange\"))";
    assert_eq!(tshark(&["-Y", bad]), "");
    let all = tshark(&[]);
    for name in [
        "Solicitation",
        "Keep-Alive",
        "FLOGI",
        "FDISC",
        "PLOGI",
        "PRLI",
        "RFT_ID",
        "ECHO",
        "RTV",
        "RLS",
        "SCSI: Read(10)",
        "SCSI: Write(10)",
        "XFER_RDY",
        "SCSI: Response",
        "ABTS",
        "BA_ACC",
        "BA_RJT",
        "RRQ",
        "LOGO",
    ] {
        assert!(all.contains(name), "{name} is not in\n{all}");
    }
}

#[test]
fn a_capture_keeps_as_much_of_a_frame_as_it_is_told() {
    const SNAP: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let length = |frame: usize| {
        let file = folder.path().join("capture");
        let mut capture = Capture::create(&file, &["hba".to_owned()], SNAP).unwrap();
        let frame = vec![0; frame];
        capture.frame(LinkId(0), Direction::Sent, Duration::ZERO, &frame).unwrap();
        capture.flush().unwrap();
        std::fs::metadata(&file).unwrap().len()
    };
    assert_eq!(length(2048), length(SNAP));
    assert!(length(SNAP - 8) < length(SNAP));
}
