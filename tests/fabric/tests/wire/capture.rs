//! The capture, and Wireshark's opinion of every frame in it.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use understudy_fabric::addr::Fcid;
use understudy_fabric::ct::Request;
use understudy_fabric::els::command;

use crate::login::{A, B, V, vn_port};
use crate::node::FCP;
use crate::program::{Program, until};

/// Returns what `tshark` prints about a capture.
fn tshark(program: &Program, options: &[&str]) -> String {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(program.path("capture"))
        .args(options)
        .output()
        .expect("this test needs tshark (Debian: apt install tshark)");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the fabric so that it sends every kind of frame, and returns the ended program.
fn recorded_run() -> Program {
    let mut program =
        Program::with(&["--pcap", "capture", "--duplicate-wwpn", "takeover"]);
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    a.solicit();
    b.solicit();
    let host = a.join(A);
    let array = b.join(B);
    a.fdisc(V);
    let vport = b.join_virtual(V);
    a.data(host, vport, &[0xdb; 64]);
    b.take_data(host, vport);
    for request in [
        Request::GpnId { fcid: vport },
        Request::GpnId { fcid: Fcid(0x01_ffff) },
        Request::GnnId { fcid: vport },
        Request::GspnId { fcid: vport },
        Request::GffId { fcid: vport },
        Request::GidPn { wwpn: V },
        Request::GidFt { fc4: FCP },
        Request::GpnFt { fc4: FCP },
        Request::GnnFt { fc4: FCP },
    ] {
        // What the answers say is another test's matter.
        let _ = a.ct(host, &request);
    }
    a.els(host, Fcid::F_PORT, &[command::RTV, 0, 0, 0]);
    a.els(host, Fcid::MANAGEMENT, &[command::RLS, 0, 0, 0, 0, 0, 0, 0]);
    a.keep_alive(Some(vn_port(Fcid(0x01_0fff), V)));
    a.cleared();
    b.logo(vport, V);
    b.logo(array, B);
    program.client().quit().unwrap();
    assert_eq!(program.exit_code(), Some(0));
    program
}

#[test]
fn wireshark_understands_every_frame() {
    let program = recorded_run();
    // Wireshark finds the request of an FDISC's answer only where both have one address.
    let bad = "_ws.malformed || _ws.short || fc.crc.status == \"Bad\" \
               || (_ws.expert.severity >= warning \
                   && !(_ws.expert.message contains \"No record of Exchange\"))";
    assert_eq!(tshark(&program, &["-Y", bad]), "");

    let all = tshark(&program, &[]);
    for name in [
        "Solicitation",
        "Advertisement",
        "Keep-Alive",
        "FLOGI",
        "FDISC",
        "LOGO",
        "Clear Virtual Link",
        "PLOGI",
        "RNN_ID",
        "RSNN_NN",
        "RSPN_ID",
        "RFT_ID",
        "RFF_ID",
        "SCR",
        "RSCN",
        "GPN_ID",
        "GPN_FT",
        "RTV",
        "LS_RJT (RLS)",
        "RJT (GPN_ID)",
    ] {
        assert!(all.contains(name), "{name} is not in\n{all}");
    }
}

#[test]
fn a_capture_can_be_read_while_it_is_made() {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let program = Program::with(&["--pcap", "capture"]);
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let (from, to) = (a.flogi(A), b.flogi(B));
    a.data(from, to, b"forty-two");
    b.take_data(from, to);
    let recorded =
        |bytes: Vec<u8>| bytes.windows(9).filter(|w| *w == b"forty-two").count();
    until("both frames are in the file", || {
        recorded(std::fs::read(program.path("capture")).unwrap()) == 2
    });
    let fields =
        ["frame.interface_name", "frame.packet_flags_direction", "frame.time_epoch"];
    let options = fields.iter().flat_map(|field| ["-e", field]);
    let options: Vec<_> =
        ["-Y", "fc.type == 8", "-T", "fields"].into_iter().chain(options).collect();
    let text = tshark(&program, &options);
    let frames: Vec<Vec<&str>> =
        text.lines().map(|line| line.split('\t').collect()).collect();
    // 1 is inbound, 2 outbound.
    assert_eq!(
        (&frames[0][..2], &frames[1][..2]),
        (&["a", "0x00000001"][..], &["b", "0x00000002"][..])
    );
    for frame in frames {
        let age = frame[2].parse::<f64>().unwrap() - started;
        assert!((-0.1..60.0).contains(&age), "recorded {age} s after the start");
    }
}
