//! Clusters as people build them. A tree of files stands for the kernel. Scripts stand
//! for Pacemaker's commands, and print what those print for such a cluster.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A storage node that has all that a group needs. Its name is `array-a`, unless a test
/// says otherwise.
struct Node {
    dir: tempfile::TempDir,
}

const WWNN: &str = "20:00:00:25:b5:00:00:0a";
const WWPN: &str = "20:01:00:25:b5:00:00:0a";
const INITIATOR: &str = "21:00:00:24:ff:00:00:01";
const DISK: &str = "0=naa.6001405dddddddd1";

impl Node {
    fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        for (name, value) in [
            ("port_name", "0x2000525400000001"),
            ("node_name", "0x1000525400000001"),
            ("port_state", "Online"),
            ("port_type", "NPort (fabric via point-to-point)"),
            ("fabric_name", "0x1000000000000001"),
            ("max_npiv_vports", "255"),
            ("npiv_vports_inuse", "0"),
            ("vport_create", ""),
            ("vport_delete", ""),
        ] {
            node.put(&format!("root/sys/class/fc_host/host2/{name}"), value);
        }
        node.put("root/sys/class/scsi_host/host2/proc_name", "fcoe");
        for dir in ["sys/module/tcm_fc", "sys/kernel/config/target/core", "dev"] {
            fs::create_dir_all(node.dir.path().join("root").join(dir)).unwrap();
        }
        node.put("root/sys/class/block/sdx/inflight", "0 0");
        node.put("root/sys/class/block/sdx/size", "131072");
        node.put("root/sys/class/block/sdx/device/wwid", "naa.6001405dddddddd1");
        node.put("root/dev/sdx", &"\0".repeat(8192));
        node.tool("attrd_updater", "echo \"$*\" >> \"$here/told\"");
        node.tool("crm_mon", "cat \"$here/mon.xml\"");
        node.tool("cibadmin", "echo \"$*\" >> \"$here/asked\"; cat \"$here/cib.xml\"");
        node.mon(&nodes(&["array-a", "array-b"]), &group("array-b"));
        node
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn get(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap_or_default()
    }

    /// Makes one of the cluster's commands out of a line of shell.
    fn tool(&self, name: &str, line: &str) {
        let script = format!("#!/bin/sh\nhere=\"${{0%/*}}/..\"\n{line}\n");
        self.put(&format!("bin/{name}"), &script);
        let tool = self.dir.path().join("bin").join(name);
        fs::set_permissions(tool, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Sets what crm_mon prints.
    fn mon(&self, nodes: &str, resources: &str) {
        let options =
            "<cluster_options maintenance-mode='false' stonith-enabled='true'/>";
        self.put(
            "mon.xml",
            &format!(
                "<pacemaker-result><summary>{options}</summary>{nodes}\
                 <resources>{resources}</resources></pacemaker-result>"
            ),
        );
    }

    /// Sets what cibadmin prints.
    fn cib(&self, resources: &str, rest: &str) {
        self.put(
            "cib.xml",
            &format!(
                "<configuration><resources>{resources}</resources>{rest}</configuration>"
            ),
        );
    }

    /// Sets the probes that crm_simulate has in its graph, by node.
    fn probes(&self, probes: &[(&str, &[(&str, &str)])]) {
        let probe = |(node, parameters): &(&str, &[(&str, &str)])| {
            let all: String =
                parameters.iter().map(|(n, v)| format!(" {n}='{v}'")).collect();
            format!(
                "<rsc_op operation='monitor' operation_key='g_monitor_0' on_node='{node}'>\
                 <primitive id='g'/><attributes crm_feature_set='3.16.1'{all}/></rsc_op>"
            )
        };
        let probes: String = probes.iter().map(probe).collect();
        self.put("graph.xml", &format!("<transition_graph>{probes}</transition_graph>"));
        self.tool("crm_simulate", "cat > \"$here/simulated\"; cat \"$here/graph.xml\"");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command.args(arguments).env_clear().env("PATH", path);
        command.env("UNDERSTUDY_ROOT", self.dir.path().join("root"));
        command
    }

    /// Runs a command as a person does, without the variable in which Pacemaker puts this
    /// node's name. Returns the exit code, and all that is printed.
    fn run_as_a_person(&self, arguments: &[&str]) -> (i32, String) {
        answer(&mut self.command(arguments))
    }

    /// Runs a command on `array-a`. Returns the exit code, and all that is printed.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = self.command(arguments);
        answer(command.env("OCF_RESKEY_CRM_meta_on_node", "array-a"))
    }

    /// Runs one of `fcport`'s actions. Returns what it reported to the cluster about the
    /// group.
    fn fcport(&self, action: &str) -> String {
        let _ = fs::remove_file(self.dir.path().join("told"));
        let mut command = self.command(&["fcport", action]);
        command.env("OCF_RESOURCE_INSTANCE", "fcport").env("OCF_RESKEY_dampen", "0s");
        command.env("OCF_RESKEY_giveback", "0s");
        let (code, said) = answer(command.env("OCF_RESKEY_CRM_meta_on_node", "array-a"));
        assert_eq!(code, 0, "{said}");
        let told = self.get("told");
        told.lines().filter(|line| line.contains("ready-g")).collect()
    }
}

fn answer(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Returns crm_mon's lines for nodes that are online.
fn nodes(names: &[&str]) -> String {
    let node = |name: &&str| format!("<node name='{name}' online='true' type='member'/>");
    format!("<nodes>{}</nodes>", names.iter().map(node).collect::<String>())
}

/// Returns crm_mon's lines for the group, served by a node.
fn group(on: &str) -> String {
    format!(
        "<resource id='g' resource_agent='ocf:understudy:vport' role='Started' \
         managed='true' blocked='false'><node name='{on}'/></resource>"
    )
}

/// Returns a set of parameters in XML.
fn set(id: &str, parameters: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        format!("<nvpair id='{id}-{name}' name='{name}' value='{value}'/>")
    };
    let pairs: String = parameters.iter().map(pair).collect();
    format!("<instance_attributes id='{id}'>{pairs}</instance_attributes>")
}

const PARAMETERS: [(&str, &str); 6] = [
    ("wwnn", WWNN),
    ("ports", WWPN),
    ("initiators", INITIATOR),
    ("ownership", "none"),
    ("disks", DISK),
    ("home", "array-a"),
];

/// Returns the group's configuration: a plain list of parameters, and operations.
fn plain(operations: &str) -> String {
    format!(
        "<primitive id='g' class='ocf' provider='understudy' type='vport'>{}\
         <operations>{operations}</operations></primitive>",
        set("gi", &PARAMETERS)
    )
}

/// Returns the line of `check` that begins with a word.
fn finding<'a>(said: &'a str, what: &str) -> &'a str {
    let is = |line: &&str| line.get(6..).is_some_and(|rest| rest.starts_with(what));
    said.lines().find(is).unwrap_or_default()
}

#[test]
fn a_plain_list_costs_one_question() {
    let node = Node::new();
    node.cib(&plain(""), "");
    let (_, said) = node.run(&["check", "g"]);
    assert!(finding(&said, "disks").starts_with("ok"), "{said}");
    assert_eq!(node.get("asked"), "--query --scope configuration\n");
    assert_eq!(node.fcport("start"), "");
    assert_eq!(node.fcport("monitor"), "-n ready-g -U 1 -q");
}

/// A primitive gets its agent, some of its parameters and a time from a template.
#[test]
fn a_template_is_part_of_what_is_made_from_it() {
    let node = Node::new();
    let template = format!(
        "<template id='t' class='ocf' provider='understudy' type='vport'>{}<operations>\
         <op id='to' name='stop' interval='0' timeout='180s'/></operations></template>",
        set("ti", &PARAMETERS[2..4])
    );
    let own = [&PARAMETERS[..2], &PARAMETERS[4..]].concat();
    let group = format!(
        "{template}<primitive id='g' template='t'>{}</primitive>",
        set("i", &own)
    );
    node.cib(&group, "");
    node.probes(&[("array-a", &PARAMETERS), ("array-b", &PARAMETERS)]);
    let (_, said) = node.run(&["check", "g"]);
    assert!(finding(&said, "parameters").starts_with("ok"), "{said}");
    assert!(finding(&said, "times").contains("stop may take 180 s"), "{said}");
    let (_, said) = node.run(&["status", "--cluster"]);
    assert!(
        said.lines().any(|line| line.starts_with("g ") && line.contains("array-a")),
        "{said}"
    );
    node.fcport("start");
    assert_eq!(node.fcport("monitor"), "-n ready-g -U 1 -q");
}

/// A rule gives one of two sets of parameters to a single node.
#[test]
fn a_rule_gives_each_node_its_own_parameters() {
    let node = Node::new();
    let rule = "<rule id='r' score='INFINITY'><expression id='e' attribute='#uname' \
                operation='eq' value='array-a'/></rule>";
    let group = plain("");
    let sets =
        format!("<instance_attributes id='a' score='2'>{rule}</instance_attributes>");
    node.cib(&group.replace("<operations>", &(sets + "<operations>")), "");
    let with = |ports| {
        let mut all = PARAMETERS;
        all[1] = ("ports", ports);
        all
    };
    let here = with("20:01:00:25:b5:00:00:0a@10:00:00:00:00:00:00:01");
    let there = with("20:01:00:25:b5:00:00:0a@10:00:00:00:00:00:00:02");
    node.probes(&[("array-b", &there), ("array-a", &here)]);
    let (_, said) = node.run(&["check", "g"]);
    assert!(finding(&said, "port ").contains("would go to host2"), "{said}");
    node.probes(&[("array-b", &here), ("array-a", &there)]);
    let (_, said) = node.run(&["check", "g"]);
    assert!(finding(&said, "port ").starts_with("BAD"), "{said}");
    // Where Pacemaker says nothing about this node, nothing is guessed.
    node.probes(&[("array-b", &here)]);
    let (code, said) = node.run(&["check", "g"]);
    let wanted = "Pacemaker would not look for g on array-a";
    assert!(code == 1 && said.contains(wanted), "{code}: {said}");
    node.fcport("start");
    assert_eq!(node.fcport("monitor"), "-n ready-g -U -1 -q");
}

#[test]
fn the_scheduler_is_asked_as_if_the_group_had_no_history() {
    let node = Node::new();
    let history = "<status><lrm_resource id='g'><lrm_rsc_op id='g_last_0'/></lrm_resource>\
                   <lrm_resource id='h'/></status>";
    node.cib(
        &plain("").replace(
            "</instance_attributes>",
            "</instance_attributes>\
        <instance_attributes id-ref='d'/>",
        ),
        history,
    );
    node.probes(&[("array-a", &PARAMETERS)]);
    let (_, said) = node.run(&["check", "g"]);
    assert!(finding(&said, "disks").starts_with("ok"), "{said}");
    let simulated = node.get("simulated");
    assert!(simulated.contains("id-ref=") && simulated.contains("id='h'"), "{simulated}");
    assert!(!simulated.contains("g_last_0"), "{simulated}");
}

#[test]
fn a_stop_has_the_time_that_pacemaker_gives_it() {
    let node = Node::new();
    let times = |operations: &str, rest: &str| {
        node.cib(&plain(operations), rest);
        let (_, said) = node.run(&["check", "g"]);
        finding(&said, "times").to_owned()
    };
    let defaults = "<op_defaults><meta_attributes id='m'><nvpair id='t' name='timeout' \
                    value='180s'/></meta_attributes></op_defaults>";
    let stop = |time: &str| format!("<op id='s' name='stop' timeout='{time}'/>");
    assert!(times("", "").contains("enough for 1 LUNs"));
    assert!(times("", defaults).contains("stop may take 180 s"));
    assert!(times(&stop("3min"), "").contains("stop may take 180 s"));
    assert!(!times(&stop("25s"), defaults).contains("stop may take"));
    assert!(times(&stop("PT3M"), "").contains("'PT3M' is no time to Pacemaker"));
}

#[test]
fn fencing_may_have_its_new_name() {
    let node = Node::new();
    node.cib(&plain(""), "");
    let with = |options: &str| {
        let mon = node.get("mon.xml").replace("stonith-enabled='true'", options);
        node.put("mon.xml", &mon);
        let (_, said) = node.run(&["check", "g"]);
        finding(&said, "fencing").to_owned()
    };
    assert_eq!(with("fencing-enabled='true'"), "");
    let both = "fencing-enabled='true' stonith-enabled='true'";
    node.mon(&nodes(&["array-a", "array-b"]), &group("array-b"));
    assert_eq!(with(both), "");
    node.mon(&nodes(&["array-a", "array-b"]), &group("array-b"));
    assert!(with("stonith-enabled='false'").starts_with("BAD"));
}

/// The node's host has another name than the cluster has for it. The key on its disks is
/// made of the cluster's.
#[test]
fn a_node_has_one_name_whoever_asks() {
    let node = Node::new();
    node.cib(&plain(""), "");
    node.tool("crm_node", "echo \"asked $*\" >> \"$here/named\"; echo array-a");
    let name = || node.run_as_a_person(&["status"]).1.lines().next().unwrap().to_owned();
    assert_eq!(name(), "node array-a");
    let wwpn = "host=\"host2\",wwpn=\"20:00:52:54:00:00:00:01\"";
    assert!(node.run_as_a_person(&["metrics"]).1.contains(wwpn));
    assert_eq!(node.get("named"), "asked -n\n");
    assert_eq!(node.get("root/run/understudy/node"), "array-a\n");
    // The name that the cluster passes to the agent is the one that counts.
    let mut probe = node.command(&["vport", "monitor"]);
    probe.env("OCF_RESOURCE_INSTANCE", "g").env("OCF_RESKEY_CRM_meta_on_node", "array-c");
    assert_eq!(answer(&mut probe).0, 7);
    assert_eq!(name(), "node array-c");
    let told = answer(
        node.command(&["vport", "meta-data"]).env("OCF_RESKEY_CRM_meta_on_node", "x"),
    );
    assert_eq!(told.0, 0);
    assert_eq!(name(), "node array-c");
}

#[test]
fn without_a_cluster_a_node_has_its_hosts_name() {
    let node = Node::new();
    node.tool("crm_node", "echo 'Could not connect' >&2; exit 102");
    let (_, said) = node.run_as_a_person(&["status"]);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(said.lines().next().unwrap(), format!("node {}", host.trim()));
}

/// The cluster has three storage nodes, and a node that only votes.
#[test]
fn a_takeover_goes_to_a_node_that_can() {
    let node = Node::new();
    node.cib(&plain(""), "");
    let nodes = nodes(&["array-a", "array-b", "array-c", "vote"]);
    let says = |words: &[(&str, &str)]| {
        let said: String = words
            .iter()
            .map(|(node, word)| {
                format!("<node name='{node}'><attribute name='ready-g' value='{word}'/></node>")
            })
            .collect();
        node.mon(&nodes, &group("array-b"));
        let mon = node.get("mon.xml").replace(
            "</resources>",
            &format!(
                "</resources><node_attributes>{said}</node_attributes><bans><ban id='no' \
             resource='g' node='vote' weight='-1000000'/></bans>"
            ),
        );
        node.put("mon.xml", &mon);
        // The command ends there: nothing is moved in this test.
        node.tool("date", "exit 1");
        node.run(&["takeover", "g"]).1
    };
    let said = says(&[("array-a", "-1"), ("array-c", "0")]);
    assert!(said.contains("g: array-c alone says that it has all"), "{said}");
    assert!(said.contains("g: from array-b to array-c"), "{said}");
    let said = says(&[("array-a", "0"), ("array-c", "0")]);
    assert!(said.contains("g: array-a is its home"), "{said}");
    let said = says(&[("array-a", "-1"), ("array-c", "-1")]);
    assert!(said.contains("no other node can take g: array-a says"), "{said}");
    assert!(said.contains("rule no keeps g from vote"), "{said}");
}

/// The disk is a volume of a pool that another resource imports. The node is one where
/// the pool is not imported.
#[test]
fn a_disk_that_another_resource_makes_is_not_missed() {
    let node = Node::new();
    let group = plain("").replace(DISK, "0=/dev/zvol/tank/v1");
    let pool = "<primitive id='pool' class='ocf' provider='heartbeat' type='ZFS'/>";
    let order = "<constraints><rsc_order id='o' first='pool' then='g'/></constraints>";
    let pool_on = |on: &str| {
        let pool =
            self::group(on).replace("'g'", "'pool'").replace("understudy:vport", "x:ZFS");
        node.mon(&nodes(&["array-a", "array-b"]), &(self::group("array-b") + &pool));
    };
    let ready = || {
        fs::remove_dir_all(node.dir.path().join("root/run")).unwrap_or_default();
        node.fcport("start");
        node.fcport("monitor")
    };
    let check = || node.run(&["check", "g"]).1;
    pool_on("array-b");
    node.cib(&(pool.to_owned() + &group), "");
    assert!(finding(&check(), "disks").starts_with("BAD"), "{}", check());
    assert_eq!(ready(), "-n ready-g -U -1 -q");
    node.cib(&(pool.to_owned() + &group), order);
    let said = check();
    assert!(finding(&said, "disks").starts_with("doubt"), "{said}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("it is made by pool, which does not run here"), "{said}");
    assert_eq!(ready(), "-n ready-g -U 1 -q");
    // Where the pool is, its volume has to be.
    pool_on("array-a");
    assert!(finding(&check(), "disks").starts_with("BAD"), "{}", check());
    assert_eq!(ready(), "-n ready-g -U -1 -q");
    // A disk that is owned by reservation does not count as one that a resource makes.
    pool_on("array-b");
    node.cib(&(pool.to_owned() + &group.replace("'none'", "'scsi3-pr'")), order);
    assert!(finding(&check(), "disks").starts_with("BAD"), "{}", check());
}

#[test]
fn validate_all_does_not_miss_a_disk_that_another_resource_makes() {
    let node = Node::new();
    let pool = "<primitive id='pool' class='ocf' provider='heartbeat' type='ZFS'/>";
    let validate = |order: &str| {
        node.cib(
            &(pool.to_owned() + &plain("").replace(DISK, "0=/dev/zvol/tank/v1")),
            order,
        );
        let mut command = node.command(&["vport", "validate-all"]);
        command.env("OCF_RESOURCE_INSTANCE", "g").env("OCF_CHECK_LEVEL", "10");
        for (name, value) in PARAMETERS {
            let value = if name == "disks" { "0=/dev/zvol/tank/v1" } else { value };
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        answer(command.env("OCF_RESKEY_CRM_meta_on_node", "array-a")).0
    };
    assert_eq!(validate(""), 5);
    let order = "<constraints><rsc_order id='o' first='pool' then='g'/></constraints>";
    assert_eq!(validate(order), 0);
}
