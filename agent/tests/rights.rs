//! What a user without rights may do: `nobody`, or the user who runs the tests without
//! being root.
//!
//! No test here sets another root folder for the agent, so each of them is about this
//! node. Such a user can do nothing to it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const NOBODY: u32 = 65534;
/// A lock that lets one test at a time run the agent. A program cannot be run while a
/// process has it open for writing, and a process that another test has just forked may
/// have it open.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs an action with good parameters, as a user without rights. Returns exit code,
/// standard output and standard error.
fn as_nobody(action: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // A place where `nobody` can read it, wherever the checkout is.
    let dir = tempfile::tempdir().unwrap();
    let agent = dir.path().join("understudy");
    fs::copy(env!("CARGO_BIN_EXE_understudy"), &agent).unwrap();
    for path in [dir.path(), &agent] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(agent);
    command
        .args(["vport", action])
        .env_clear()
        .env("OCF_RESKEY_wwnn", "20:00:00:25:b5:00:00:0a")
        .env("OCF_RESKEY_ports", "20:01:00:25:b5:00:00:0a")
        .env("OCF_RESKEY_disks", "0=/dev/disk/by-id/wwn-0x1")
        .env("OCF_RESKEY_initiators", "21:00:00:24:ff:00:00:01")
        .envs(variables.iter().copied());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn who_is_not_root_is_refused_with_the_reason() {
    for action in ["start", "stop", "monitor", "status", "reload-agent"] {
        let (code, out, err) = as_nobody(action, &[]);
        assert_eq!((code, out.as_str()), (4, ""), "{action}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        let reason = format!("ocf-exit-reason:{action}: only root may look");
        assert!(err.starts_with(&reason), "{err}");
    }
}

#[test]
fn what_only_reads_the_parameters_is_for_everybody() {
    let (code, out, err) = as_nobody("meta-data", &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.ends_with("</resource-agent>\n"));
    assert_eq!(as_nobody("validate-all", &[]), (0, String::new(), String::new()));
    let (code, _, err) = as_nobody("validate-all", &[("OCF_RESKEY_wwnn", "20:00")]);
    assert_eq!(code, 6);
    assert!(err.contains("wwnn: '20:00' is not a WWN"), "{err}");
}

/// Level 10 of validate-all says what the node lacks. A user who cannot see everything is
/// refused.
#[test]
fn a_look_at_the_node_is_roots() {
    let (code, _, err) = as_nobody("validate-all", &[("OCF_CHECK_LEVEL", "10")]);
    assert_eq!(code, 4, "{err}");
}

/// A root folder that is this node's root counts as that, however its path is spelled.
#[test]
fn no_spelling_of_the_root_makes_an_exception() {
    for root in ["/", "", "//", "/tmp/..", "/proc/self/root"] {
        let (code, _, err) = as_nobody("monitor", &[("UNDERSTUDY_ROOT", root)]);
        assert_eq!(code, 4, "{root}: {err}");
    }
}

#[test]
fn below_another_root_it_says_so() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path: &Path = root.path();
    let (code, _, err) =
        as_nobody("monitor", &[("UNDERSTUDY_ROOT", path.to_str().unwrap())]);
    assert_eq!(code, 7, "{err}");
    assert!(err.contains("not about this node's kernel"), "{err}");
}
