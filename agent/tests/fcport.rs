//! `ocf:understudy:fcport` as Pacemaker calls it. A script in place of attrd_updater
//! writes to a file what the agent reports to the cluster.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A node with one physical port, and a cluster that writes down what is reported to it.
struct Node {
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = Self { dir };
        node.tool(
            "attrd_updater",
            "case \"$*\" in
             *-Q*) cat \"${0%/*}/../said\" ;;
             *) echo \"$*\" >> \"${0%/*}/../told\" ;;
             esac",
        );
        let names = [
            ("vport_create", ""),
            ("port_name", "0x2000525400000001"),
            ("max_npiv_vports", "255"),
            ("npiv_vports_inuse", "0"),
        ];
        for (name, value) in names {
            node.write(&node.port().join(name), value);
        }
        node.set_port("Online", "0x1000000000000001");
        node.set_said(&[("here", "1"), ("there", "1")]);
        node
    }

    /// Sets how many ports each node reports as online at this moment.
    fn set_said(&self, said: &[(&str, &str)]) {
        let line = |(host, ports): &(&str, &str)| {
            format!(
                "name=\"online-1000000000000001\" host=\"{host}\" value=\"{ports}\"\n"
            )
        };
        let said: String = said.iter().map(line).collect();
        self.write(&self.dir.path().join("said"), &said);
    }

    /// Makes one of the cluster's commands out of a line of shell.
    fn tool(&self, name: &str, line: &str) {
        let tool = self.dir.path().join("bin").join(name);
        self.write(&tool, &format!("#!/bin/sh\n{line}\n"));
        fs::set_permissions(tool, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Gives the cluster a group that belongs to this node.
    fn set_group(&self) {
        let group = "<primitive id='g' class='ocf' provider='understudy' type='vport'>
            <instance_attributes id='a'><nvpair id='h' name='home' value='here'/>
            </instance_attributes></primitive>";
        self.tool("cibadmin", &format!("echo \"<resources>{group}</resources>\""));
    }

    fn port(&self) -> PathBuf {
        self.dir.path().join("root/sys/class/fc_host/host2")
    }

    fn set_port(&self, state: &str, fabric: &str) {
        self.write(&self.port().join("port_state"), state);
        self.write(&self.port().join("fabric_name"), fabric);
    }

    fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Calls an action. Returns the exit code, the reason, and what was reported to the
    /// cluster.
    fn call(&self, action: &str, path: &str) -> (i32, String, Vec<String>) {
        self.call_as("fcport", action, path)
    }

    fn call_as(
        &self,
        resource: &str,
        action: &str,
        path: &str,
    ) -> (i32, String, Vec<String>) {
        self.call_with(resource, action, path, "")
    }

    fn call_with(
        &self,
        resource: &str,
        action: &str,
        path: &str,
        giveback: &str,
    ) -> (i32, String, Vec<String>) {
        let told = self.dir.path().join("told");
        let _ = fs::remove_file(&told);
        let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .args(["fcport", action])
            .env_clear()
            .env("UNDERSTUDY_ROOT", self.dir.path().join("root"))
            .env("OCF_RESOURCE_INSTANCE", resource)
            .env("OCF_RESKEY_CRM_meta_on_node", "here")
            .env("OCF_RESKEY_dampen", "0s")
            .env("OCF_RESKEY_giveback", giveback)
            .env("PATH", path)
            .output()
            .unwrap();
        let told = fs::read_to_string(told).unwrap_or_default();
        // What is for the other watches alone is not waited for.
        let told = told.lines().filter(|line| !line.ends_with("-p -q"));
        let told = told.map(String::from).collect();
        let error = String::from_utf8(output.stderr).unwrap();
        let reason = error.lines().find(|line| line.starts_with("ocf-exit-reason:"));
        (output.status.code().unwrap(), reason.unwrap_or_default().into(), told)
    }

    fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display())
    }

    fn act(&self, action: &str) -> (i32, String, Vec<String>) {
        self.call(action, &self.path())
    }
}

fn told(all: u32, fabric: u32) -> Vec<String> {
    vec![
        format!("-n fcport -U {all} -q"),
        format!("-n fcport-1000000000000001 -U {fabric} -q"),
    ]
}

#[test]
fn the_cluster_is_told_what_is_online() {
    let node = Node::new();
    assert_eq!(node.act("monitor"), (7, String::new(), vec![]));
    assert_eq!(node.act("start"), (0, String::new(), told(1, 1)));
    assert_eq!(node.act("monitor"), (0, String::new(), told(1, 1)));
    node.set_port("Linkdown", "0x0");
    let (code, reason, now) = node.act("monitor");
    assert_eq!((code, now), (190, told(0, 0)));
    assert!(reason.contains("no physical port is online in fabric 10:00:"), "{reason}");
    node.set_port("Online", "0x1000000000000001");
    assert_eq!(node.act("monitor"), (0, String::new(), told(1, 1)));
    let (code, _, last) = node.act("stop");
    assert_eq!(code, 0);
    let names = ["fcport-1000000000000001", "online-1000000000000001", "fcport"];
    assert_eq!(last, names.map(|name| format!("-n {name} -D -q")));
    assert_eq!(node.act("monitor").0, 7);
    assert_eq!(node.act("stop").0, 0);
}

#[test]
fn a_loss_that_every_node_shares_is_not_told() {
    let node = Node::new();
    node.set_said(&[("here", "1"), ("there", "0")]);
    assert_eq!(node.act("start").0, 0);
    node.set_port("Linkdown", "0x0");
    assert_eq!(node.act("monitor").2, told(1, 1));
    node.set_said(&[("here", "0"), ("there", "1")]);
    assert_eq!(node.act("monitor").2, told(0, 0));
}

/// Three nodes report nothing: one that only votes, and two that the cluster does not
/// hear at all.
#[test]
fn a_node_that_says_nothing_has_no_port_online() {
    let node = Node::new();
    node.tool("crm_node", "echo here there vote");
    node.set_said(&[("HERE", "1"), ("there", "0")]);
    assert_eq!(node.act("start").0, 0);
    node.set_port("Linkdown", "0x0");
    assert_eq!(node.act("monitor").2, told(1, 1));
    node.set_said(&[]);
    assert_eq!(node.act("monitor").2, told(1, 1));
    node.set_said(&[("vote", "1")]);
    assert_eq!(node.act("monitor").2, told(0, 0));
}

/// The group belongs to this node, which has neither the group's disk nor LIO.
#[test]
fn a_group_that_lacks_something_may_not_come_home() {
    let node = Node::new();
    node.set_group();
    let with = |action: &str| node.call_with("fcport", action, &node.path(), "300");
    assert_eq!(with("start").0, 0);
    let (code, _, now) = with("monitor");
    let lacks = ["-n ready-g -U -1 -q".to_owned()];
    assert_eq!((code, now), (0, [told(1, 1), lacks.to_vec()].concat()));
    assert!(with("stop").2.contains(&"-n ready-g -D -q".to_owned()));
}

#[test]
fn a_takeover_may_ask_even_where_no_group_comes_home_by_itself() {
    let node = Node::new();
    node.set_group();
    assert_eq!(node.act("start").0, 0);
    let lacks = ["-n ready-g -U -1 -q".to_owned()];
    assert_eq!(node.act("monitor").2, [told(1, 1), lacks.to_vec()].concat());
    // The report does not come with every monitor.
    assert_eq!(node.act("monitor").2, told(1, 1));
}

#[test]
fn a_second_watch_is_refused_and_takes_nothing_away() {
    let node = Node::new();
    assert_eq!(node.act("start").0, 0);
    let (code, reason, told) = node.call_as("other", "start", &node.path());
    assert_eq!((code, told), (6, vec![]), "{reason}");
    assert_eq!(node.call_as("other", "stop", &node.path()), (0, String::new(), vec![]));
    assert_eq!(node.act("monitor"), (0, String::new(), self::told(1, 1)));
}

#[test]
fn without_the_clusters_commands_nothing_starts_and_a_stop_succeeds() {
    let node = Node::new();
    let (code, reason, _) = node.call("start", "/nowhere");
    assert_eq!(code, 5, "{reason}");
    assert!(reason.contains("Install Pacemaker's command line tools"), "{reason}");
    assert_eq!(node.call("stop", "/nowhere").0, 0);
    assert_eq!(node.call("monitor", "/nowhere").0, 7);
}
