//! `understudy targetctl`, as targetcli's service runs it. A program of targetctl's name
//! writes down how it was called.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files that the package puts beside targetcli's service, which has two names.
const BESIDE: [&str; 2] = [
    include_str!("../../packaging/systemd/beside/target.service.conf"),
    include_str!("../../packaging/systemd/beside/rtslib-fb-targetctl.service.conf"),
];
const SAVED: &str = "etc/target/saveconfig.json";
const OF_A_GROUP: &str = r#"{"storage_objects": [{"plugin": "block", "name": "lun_0",
    "wwn": "0123456789abcdef0123456789abcdef"}], "targets": []}"#;
const ENTRY: &str = r#"{"group": "group-a", "wwnn": "2000000025b5000a",
    "wwpn": "200100002500000a", "physical_port": "2000525400000001", "host": "host2",
    "role": "native", "since": 1, "ownership": "none", "disks": []}"#;

struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        let program = node.path("bin/targetctl");
        write(&program, "#!/bin/sh\necho \"$*\" >> \"${0%/*}/../called\"\n");
        fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn have(&self, path: &str, text: &str) {
        write(&self.path("root").join(path), text);
    }

    /// Returns the exit code, what was printed, and how targetctl was called.
    fn call(&self, words: &[&str]) -> (i32, String, String) {
        let _ = fs::remove_file(self.path("called"));
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .arg("targetctl")
            .args(words)
            .env_clear()
            .env("PATH", path)
            .env("UNDERSTUDY_ROOT", self.path("root"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let called = fs::read_to_string(self.path("called")).unwrap_or_default();
        let said = String::from_utf8(said).unwrap();
        (output.status.code().unwrap(), said, called.trim().to_owned())
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn where_no_group_is_targetctl_does_what_it_does() {
    let node = Node::new();
    node.have(SAVED, r#"{"storage_objects": [], "targets": []}"#);
    for verb in ["restore", "clear"] {
        assert_eq!(node.call(&[verb]), (0, String::new(), verb.into()));
    }
}

#[test]
fn while_a_group_is_served_nothing_is_touched() {
    let node = Node::new();
    node.have("run/understudy/ports/200100002500000a.json", ENTRY);
    for verb in ["restore", "clear"] {
        let (code, said, called) = node.call(&[verb]);
        assert_eq!((code, called.as_str()), (0, ""), "{said}");
        assert_eq!(said, "understudy: nothing was changed: group-a is served here\n");
    }
}

#[test]
fn what_was_saved_of_groups_is_left_out() {
    let node = Node::new();
    node.have(SAVED, OF_A_GROUP);
    let (code, _, called) = node.call(&["restore"]);
    assert_eq!((code, called.as_str()), (0, "restore /run/understudy/saveconfig.json"));
    let others = node.path("root/run/understudy/saveconfig.json");
    assert!(!fs::read_to_string(others).unwrap().contains("lun_0"));
    assert_eq!(node.call(&["clear"]).2, "clear");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let node = Node::new();
    for words in [&["save"] as &[&str], &[], &["clear", "all"]] {
        let (code, _, called) = node.call(words);
        assert_eq!((code, called.as_str()), (2, ""));
    }
    fs::remove_file(node.path("bin/targetctl")).unwrap();
    assert_eq!(node.call(&["clear"]).0, 1);
}

#[test]
fn the_service_runs_it_and_not_targetctl() {
    for file in BESIDE {
        let of = |key| file.lines().filter_map(move |line: &str| line.strip_prefix(key));
        for (key, verb) in [("ExecStart=", "restore"), ("ExecStop=", "clear")] {
            let said: Vec<_> = of(key).collect();
            // An empty line makes systemd forget the lines of the unit itself.
            assert_eq!(said.first(), Some(&""), "{file}");
            let own = format!("/usr/sbin/understudy targetctl {verb}");
            assert_eq!(said.last(), Some(&own.as_str()), "{file}");
            assert!(said.iter().all(|words| !words.starts_with("targetctl")), "{file}");
        }
    }
}
