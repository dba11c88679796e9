//! `understudy status` as a program reads it: by its exit code, once and with `--watch`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A node with one physical port and no group.
struct Node {
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        let names = [
            ("vport_create", ""),
            ("port_name", "0x2000525400000001"),
            ("port_type", "NPort (fabric via point-to-point)"),
            ("fabric_name", "0x1000000000000001"),
            ("max_npiv_vports", "255"),
            ("npiv_vports_inuse", "0"),
        ];
        for (name, value) in names {
            node.write(name, value);
        }
        node.write("port_state", "Online");
        node
    }

    fn write(&self, attribute: &str, value: &str) {
        let port: PathBuf = self.dir.path().join("sys/class/fc_host/host2");
        fs::create_dir_all(&port).unwrap();
        fs::write(port.join(attribute), format!("{value}\n")).unwrap();
    }

    fn status(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command.arg("status").args(arguments).env("UNDERSTUDY_ROOT", self.dir.path());
        command
    }
}

#[test]
fn the_exit_code_says_whether_all_is_well() {
    let node = Node::new();
    for (state, code) in [("Online", 0), ("Linkdown", 1), ("Online", 0)] {
        node.write("port_state", state);
        for arguments in [&[][..], &["--json"]] {
            let output = node.status(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{state}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains(state));
        }
    }
}

#[test]
fn a_watch_goes_on_until_nobody_reads() {
    let node = Node::new();
    let mut command = node.status(&["--watch"]);
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut wait_for = |state: &str| {
        assert!(lines.any(|line| line.unwrap().contains(state)), "{state}");
    };
    wait_for("Online");
    node.write("port_state", "Linkdown");
    wait_for("Linkdown");
    drop(lines);
    assert_eq!(watch.wait().unwrap().code(), Some(1));
}
