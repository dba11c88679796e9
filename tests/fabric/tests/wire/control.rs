//! The control socket, and the start and end of the program.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use understudy_fabric::client::ClientError;
use understudy_fabric::control::{LinkState, Request, What};

use crate::login::{A, V};
use crate::program::Program;

fn refusal(result: Result<(), ClientError>) -> String {
    match result {
        Err(ClientError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_error_names_the_bad_value() {
    let program = Program::start();
    let mut client = program.client();
    assert!(refusal(client.cut("nowhere")).contains("\"nowhere\""));
    assert!(refusal(client.restore("nowhere")).contains("\"nowhere\""));
    assert!(refusal(client.set_npiv(Some("nowhere"), true)).contains("\"nowhere\""));
    assert!(refusal(client.drop(V)).contains("20:01:00:00:00:00:00:ff"));
}

/// The lines are as a person would type them.
#[test]
fn requests_are_json_lines() {
    let program = Program::start();
    let mut socket = UnixStream::connect(program.path("control")).unwrap();
    let mut replies = BufReader::new(socket.try_clone().unwrap()).lines();
    for (request, reply) in [
        (r#"{"cmd":"pause"}"#, r#"{"ok":true}"#),
        (r#"{"cmd":"resume"}"#, r#"{"ok":true}"#),
        (r#"{"cmd":"npiv","on":false}"#, r#"{"ok":true}"#),
        (r#"{"cmd":"npiv","on":true,"link":"b"}"#, r#"{"ok":true}"#),
        (r#"{"cmd":"ports"}"#, r#"{"ok":true,"ports":[]}"#),
        (r#"{"cmd":"fly"}"#, "unknown variant `fly`"),
        (r#"{"cmd":"drop","wwpn":"20:zz"}"#, "20:zz"),
        ("hello", "hello"),
    ] {
        writeln!(socket, "{request}").unwrap();
        let got = replies.next().unwrap().unwrap();
        assert!(got.contains(reply), "{request} -> {got}");
    }
    let links = program.client().links().unwrap();
    assert_eq!(
        links.iter().map(|link| link.npiv).collect::<Vec<_>>(),
        [false, true, false]
    );
    assert!(links.iter().all(|link| link.state == LinkState::Down));
}

#[test]
fn a_watcher_sees_events_as_they_happen() {
    let program = Program::start();
    let mut watch = program.watch();
    let mut node = program.node("a");
    let fcid = node.flogi(A);
    let up = watch.next().unwrap().unwrap();
    let login = watch.next().unwrap().unwrap();
    assert_eq!((up.seq, up.event), (1, What::LinkUp));
    assert_eq!((login.seq, login.event, login.fcid), (2, What::Login, Some(fcid)));

    assert_eq!(program.client().events(1).unwrap(), [login]);
    assert_eq!(program.client().events(9).unwrap(), []);
    // A client that asks for events to come does not get earlier ones.
    let mut late = program.client().watch(None).unwrap();
    node.logo(fcid, A);
    assert_eq!(late.next().unwrap().unwrap().event, What::Logout);
    program.client().quit().unwrap();
    assert!(late.next().is_none());
}

#[test]
fn the_program_ends_cleanly_whichever_way_it_is_told() {
    let quit: fn(&mut Program) = |program| program.client().quit().unwrap();
    let stdin: fn(&mut Program) = |program| drop(program.child.stdin.take());
    let sigterm: fn(&mut Program) = |program| {
        let pid = Pid::from_raw(program.child.id() as i32);
        kill(pid, Signal::SIGTERM).unwrap();
    };
    for (way, end) in [("quit", quit), ("stdin", stdin), ("SIGTERM", sigterm)] {
        let mut program = Program::start();
        end(&mut program);
        assert_eq!(program.exit_code(), Some(0), "{way}");
        for socket in ["control", "a", "b", "c"] {
            assert!(!program.path(socket).exists(), "{way} leaves {socket} behind");
        }
    }
}

#[test]
fn several_requests_in_one_write_are_all_answered() {
    let program = Program::start();
    let mut socket = UnixStream::connect(program.path("control")).unwrap();
    let line = serde_json::to_string(&Request::Ports).unwrap() + "\n";
    socket.write_all(line.repeat(3).as_bytes()).unwrap();
    let replies = BufReader::new(socket).lines().take(3).map(Result::unwrap);
    assert_eq!(replies.collect::<Vec<_>>(), [r#"{"ok":true,"ports":[]}"#; 3]);
}

fn usage_error(args: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_understudy-fabric");
    let output = Command::new(program).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_command_line_is_checked() {
    for (args, words) in [
        (&["--link", "a=b"][..], "--control"),
        (&["--control", "c"], "--link"),
        (&["--control", "c", "--link", "a"], "\"a\": not NAME=SOCKET"),
        (&["--control", "c", "--link", "a=b", "--link", "a=c"], "given twice"),
        (&["--duplicate-wwpn", "both"], "neither refuse nor takeover"),
        (&["--fabric-name", "mine"], "mine"),
        (&["--fka-ms", "soon"], "soon"),
        (&["--fly"], "--fly"),
    ] {
        let error = usage_error(args);
        assert!(error.contains(words), "{args:?} -> {error}");
    }
}

#[test]
fn the_help_fits_a_terminal() {
    let program = env!("CARGO_BIN_EXE_understudy-fabric");
    let output = Command::new(program).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("--until-stdin-closes"));
    assert_eq!(help.lines().filter(|line| line.len() > 80).collect::<Vec<_>>(), [""; 0]);
}
