//! What the cluster remembers for its nodes: the disks behind LUN numbers, and the
//! cluster's word in reservation keys. Files stand for the cluster's properties.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const WWID: &str = "naa.6001405aaaaaaaa00000000000000001";
const OTHER: &str = "naa.6001405aaaaaaaa00000000000000002";

/// A node with two disks, and its cluster.
struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        for (name, wwid) in [("sda", WWID), ("sdb", OTHER)] {
            node.write(&format!("root/sys/class/block/{name}/device/wwid"), wwid);
            node.write(&format!("root/dev/{name}"), "");
        }
        fs::create_dir_all(node.at("properties")).unwrap();
        node.tool(
            "crm_attribute",
            "file=${0%/*}/../properties/$4
             case $5 in
             -Q) [ -e \"$file\" ] || exit 105; cat \"$file\" ;;
             -v) echo \"$6\" > \"$file\" ;;
             esac",
        );
        let mon = "<pacemaker-result><resources><resource id='g' role='Started'
            resource_agent='ocf:understudy:vport' managed='true'/></resources>
            </pacemaker-result>";
        node.tool("crm_mon", &format!("echo \"{mon}\""));
        node.tool("crm_resource", "echo \"$*\" >> \"${0%/*}/../told\"");
        node
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    /// Makes one of the cluster's commands out of lines of shell.
    fn tool(&self, name: &str, lines: &str) {
        let path = format!("bin/{name}");
        self.write(&path, &format!("#!/bin/sh\n{lines}\n"));
        fs::set_permissions(self.at(&path), PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Puts a group with this disk into the cluster's configuration.
    fn configure(&self, disk: &str) {
        let set = |(name, value)| {
            format!("<nvpair id='{name}' name='{name}' value='{value}'/>")
        };
        let set: String = parameters(disk).map(set).concat();
        let xml = format!(
            "<primitive id='g' class='ocf' provider='understudy' type='vport'>
             <instance_attributes id='i'>{set}</instance_attributes></primitive>"
        );
        self.tool("cibadmin", &format!("echo \"{xml}\""));
    }

    /// Calls the agent or a command. Returns the exit code and all that is printed.
    fn call(&self, arguments: &[&str], disk: &str) -> (i32, String) {
        let path = format!("{}:/usr/bin:/bin", self.at("bin").display());
        let variables =
            parameters(disk).map(|(name, value)| (format!("OCF_RESKEY_{name}"), value));
        let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .args(arguments)
            .env_clear()
            .envs(variables)
            .env("UNDERSTUDY_ROOT", self.at("root"))
            .env("OCF_RESOURCE_INSTANCE", "g")
            .env("PATH", path)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn start(&self, disk: &str) -> (i32, String) {
        self.call(&["vport", "start"], disk)
    }
}

fn parameters(disk: &str) -> [(&'static str, String); 5] {
    [
        ("wwnn", "20:00:00:25:b5:00:00:0a".into()),
        ("ports", "20:01:00:25:b5:00:00:0a".into()),
        ("initiators", "21:00:00:24:ff:00:00:01".into()),
        ("ownership", "none".into()),
        ("disks", format!("7={disk}")),
    ]
}

#[test]
fn a_number_keeps_its_disk_until_a_person_says_otherwise() {
    const LUNS: &str = "properties/understudy-luns-g";
    let node = Node::new();
    // Nothing is remembered: the start goes on, to what this node lacks.
    assert_eq!(node.start(WWID).0, 5);
    // The property is as a start that succeeds leaves it.
    node.write(LUNS, "20:00:00:25:b5:00:00:0a 7:00000001");
    node.configure(WWID);
    assert_eq!(node.call(&["accept", "g", "--yes"], "").0, 0);
    let remembered = node.read(LUNS);
    assert_eq!(node.start(WWID).0, 5);

    let (code, said) = node.start(OTHER);
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("another disk is behind LUN 7"), "{said}");
    assert!(said.contains("understudy accept g"), "{said}");
    assert_eq!(node.read(LUNS), remembered);

    node.configure(OTHER);
    let (code, said) = node.call(&["accept", "g"], "");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("LUN 7     gets another disk: {OTHER}")), "{said}");
    assert_eq!(node.read(LUNS), remembered);
    let _ = fs::remove_file(node.at("told"));
    assert_eq!(node.call(&["accept", "g", "--yes"], "").0, 0);
    assert_eq!(node.read("told"), "--cleanup --resource g\n");
    assert_eq!(node.start(OTHER).0, 5);
    assert_eq!(node.start(WWID).0, 6);
    let (_, said) = node.call(&["accept", "g"], "");
    assert!(said.contains("every LUN number has the disk that it had"), "{said}");
}

#[test]
fn what_cannot_be_asked_is_not_taken_for_nothing() {
    const LUNS: &str = "properties/understudy-luns-g";
    let node = Node::new();
    node.configure(WWID);
    for (tool, code) in [("exit 1", 1), ("exit 105", 5), ("exit 102", 5)] {
        node.tool("crm_attribute", tool);
        assert_eq!(node.start(WWID).0, code, "{tool}");
    }
    let node = Node::new();
    node.configure(WWID);
    node.write(LUNS, "senseless");
    let (code, said) = node.start(WWID);
    assert!(code == 1 && said.contains("'senseless', which makes no sense"), "{said}");
    assert_eq!(node.call(&["accept", "g", "--yes"], "").0, 0);
    assert_eq!(node.start(WWID).0, 5);
}

/// A consent without the disk would leave the number to any disk from then on.
#[test]
fn nothing_is_accepted_of_a_disk_that_is_not_here() {
    const LUNS: &str = "properties/understudy-luns-g";
    let (node, before) = (Node::new(), "20:00:00:25:b5:00:00:0a 7:00000001");
    node.write(LUNS, before);
    node.configure("naa.6001405aaaaaaaa00000000000000009");
    let (code, said) = node.call(&["accept", "g", "--yes"], "");
    assert!(code == 1 && said.contains("LUN 7"), "{said}");
    assert_eq!(node.read(LUNS), before);
}

#[test]
fn the_first_node_makes_the_clusters_word() {
    const WORD: &str = "properties/understudy-word";
    let node = Node::new();
    // Another node is faster: the word that it has made counts.
    node.tool("cibadmin", "echo beef > ${0%/*}/../properties/understudy-word; exit 1");
    node.start(WWID);
    assert_eq!(node.read("root/run/understudy/cluster"), "beef\n");
    // It is not asked for again before a boot.
    node.write(WORD, "0000");
    node.start(WWID);
    assert_eq!(node.read("root/run/understudy/cluster"), "beef\n");

    let node = Node::new();
    node.tool("cibadmin", "echo \"$*\" > ${0%/*}/../made; exit 1");
    let (_, said) = node.start(WWID);
    assert!(said.contains("reservation keys go without it"), "{said}");
    assert!(!Path::new(&node.at("root/run/understudy/cluster")).exists());
    let made = node.read("made");
    assert!(made.starts_with("--create --scope crm_config"), "{made}");
}

/// A start that fails at home is remembered, so the group then comes home only by
/// command.
#[test]
fn a_start_that_fails_is_remembered() {
    let node = Node::new();
    let mark = node.at("root/run/understudy/starts/g");
    assert_eq!(node.call(&["vport", "stop"], WWID).0, 0);
    assert!(!mark.exists());
    assert_eq!(node.start(WWID).0, 5);
    assert!(mark.exists());
    assert_eq!(node.call(&["vport", "stop"], WWID).0, 0);
    assert!(mark.exists());
}

#[test]
fn a_clone_is_refused_on_the_node() {
    let node = Node::new();
    let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["vport", "start"])
        .env_clear()
        .env("UNDERSTUDY_ROOT", node.at("root"))
        .env("OCF_RESKEY_CRM_meta_clone", "0")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("is a clone"), "{said}");
}
