//! The agent as Pacemaker calls it: environment in, exit code and reason out. An empty
//! folder stands for the kernel.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

struct Call {
    command: Command,
    root: tempfile::TempDir,
}

fn call(action: &str) -> Call {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
    command.args(["vport", action]).env_clear().env("UNDERSTUDY_ROOT", root.path());
    Call { command, root }
}

impl Call {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn group(self) -> Self {
        self.with("OCF_RESKEY_wwnn", "20:00:00:25:b5:00:00:0a")
            .with("OCF_RESKEY_ports", "20:01:00:25:b5:00:00:0a")
            .with("OCF_RESKEY_disks", "0=/dev/disk/by-id/wwn-0x1")
            .with("OCF_RESKEY_initiators", "21:00:00:24:ff:00:00:01")
    }

    fn run(&mut self) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }
}

#[test]
fn meta_data_needs_nothing() {
    let (code, out, err) = call("meta-data").run();
    assert_eq!((code, err.as_str()), (0, ""));
    // With an encoding, crmsh could not parse it.
    assert!(out.starts_with("<?xml version=\"1.0\"?>\n"), "{out}");
    assert!(out.ends_with("</resource-agent>\n"));
}

#[test]
fn every_action_has_its_codes() {
    for (action, code) in [
        ("monitor", 7),
        ("status", 7),
        ("stop", 0),
        ("start", 5),
        ("reload-agent", 5),
        ("validate-all", 0),
    ] {
        assert_eq!(call(action).group().run().0, code, "{action}");
    }
    for (action, code) in
        [("monitor", 7), ("stop", 0), ("start", 6), ("validate-all", 6), ("promote", 3)]
    {
        assert_eq!(call(action).run().0, code, "{action} without parameters");
    }
}

#[test]
fn a_reason_is_one_line_behind_the_prefix() {
    let (_, _, err) = call("start").group().with("OCF_EXIT_REASON_PREFIX", "why:").run();
    let reason = err.lines().find(|line| line.starts_with("why:")).unwrap();
    assert!(reason.contains("tcm_fc is not loaded"), "{reason}");
    assert!(reason.contains("/etc/modules-load.d"), "{reason}");
}

#[test]
fn no_name_makes_a_line_of_its_own() {
    let (_, _, err) = call("monitor")
        .group()
        .with("OCF_RESOURCE_INSTANCE", "g\nocf-exit-reason:all is well\r\u{1b}[2J")
        .run();
    assert!(err.starts_with("vport(g ocf-exit-reason:all is well  [2J) "), "{err}");
}

#[test]
fn level_ten_looks_at_the_node() {
    let level =
        |level| call("validate-all").group().with("OCF_CHECK_LEVEL", level).run().0;
    assert_eq!((level("0"), level("10")), (0, 5));
}

#[test]
fn a_parameter_that_is_no_text_is_refused_with_a_reason() {
    use std::os::unix::ffi::OsStrExt;
    let mut call = call("validate-all").group();
    call.command.env("OCF_RESKEY_wwnn", std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    let (code, _, err) = call.run();
    assert_eq!(code, 6);
    assert!(err.contains("wwnn"), "{err}");
}

/// A damaged entry of the database is moved away, and the log says so. The kernel decides
/// what is there: in this test, nothing.
#[test]
fn a_damaged_database_is_set_aside_and_told() {
    let mut call = call("monitor").group();
    let ports = call.root.path().join("run/understudy/ports");
    std::fs::create_dir_all(&ports).unwrap();
    std::fs::write(ports.join("200100_25b500000a.json"), "{").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", ports.join("link.json")).unwrap();
    let (code, _, err) = call.run();
    assert_eq!(code, 7, "{err}");
    for told in [
        "200100_25b500000a.json is damaged (EOF while parsing an object",
        "the kernel is believed instead",
        "set aside as /run/understudy/ports/200100_25b500000a.damaged",
        "/run/understudy/ports/link.json: a link or no directory; no link is followed",
    ] {
        assert!(err.contains(told), "{told}: {err}");
    }
    assert_eq!(std::fs::read(ports.join("200100_25b500000a.damaged")).unwrap(), b"{");
}

/// A stop succeeds without nftables. An earlier stop that was killed may have set a bar.
/// To lift it there may be no `nft`, or one that fails, or one that does not return.
#[test]
fn a_stop_does_without_nft() {
    use std::os::unix::fs::PermissionsExt;
    let entry = r#"{"group": "g", "wwnn": "20000025b500000a", "wwpn": "20010025b500000a",
        "physical_port": "2000525400000001", "host": "host2", "role": "native", "since": 1,
        "ownership": "none", "link": "eth1", "disks": []}"#;
    let nfts = [None, Some("exit 1"), Some("kill -9 $$"), Some("exec /bin/sleep 8")];
    for nft in nfts {
        let mut call = call("stop").group().with("OCF_RESOURCE_INSTANCE", "g");
        let (ports, bin) = ("run/understudy/ports", call.root.path().join("bin"));
        let ports = call.root.path().join(ports);
        for dir in [&ports, &bin] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::write(ports.join("20010025b500000a.json"), entry).unwrap();
        if let Some(line) = nft {
            std::fs::write(bin.join("nft"), format!("#!/bin/sh\n{line}\n")).unwrap();
            let mode = PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(bin.join("nft"), mode).unwrap();
        }
        call.command.env("PATH", bin);
        let begun = std::time::Instant::now();
        let (code, _, err) = call.run();
        assert_eq!(code, 0, "{nft:?}: {err}");
        assert!(begun.elapsed().as_secs() < 5, "{nft:?}: {:?}", begun.elapsed());
        assert!(err.contains("nft"), "{nft:?}: {err}");
        assert!(!ports.join("20010025b500000a.json").exists(), "{nft:?}");
    }
}

/// `UNDERSTUDY_DIE_AFTER` ends the agent as if Pacemaker had killed it at that point.
#[test]
fn a_death_can_be_ordered_after_any_operation() {
    use std::os::unix::process::ExitStatusExt;
    // The first has grace periods expedited, the second removes a directory.
    for (after, left) in [("0", true), ("1", true), ("2", false)] {
        let mut call = call("stop").group().with("UNDERSTUDY_DIE_AFTER", after);
        let group = understudy_core::lio::hba("20000025b500000a".parse().unwrap());
        let group = call.root.path().join(group.strip_prefix("/").unwrap());
        let port = "sys/kernel/config/target/fc/20:01:00:25:b5:00:00:0a";
        let port = call.root.path().join(port);
        for dir in [&group, &port.join("tpgt_1")] {
            std::fs::create_dir_all(dir).unwrap();
        }
        let status = call.command.output().unwrap().status;
        assert_eq!(status.signal(), Some(9), "{after}");
        assert_eq!(port.join("tpgt_1").exists(), left, "{after}");
        assert!(port.exists() && group.exists(), "{after}");
    }
}

/// The manual pages in the tree are what the binary prints. `make man` renews them.
#[test]
fn the_manual_pages_are_up_to_date() {
    for (name, page) in [
        ("vport", "ocf/man/ocf_understudy_vport.7"),
        ("fcport", "ocf/man/ocf_understudy_fcport.7"),
        ("understudy", "packaging/man/understudy.8"),
    ] {
        let mut man = Command::new(env!("CARGO_BIN_EXE_understudy"));
        let printed = man.args(["man", name]).output().unwrap();
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
        assert_eq!(std::fs::read(page).unwrap(), printed.stdout, "run `make man`");
    }
}
