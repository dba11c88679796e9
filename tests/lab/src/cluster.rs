//! Corosync and Pacemaker on the storage nodes.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bmc::{PASSWORD, USER};
use crate::error::Result;
use crate::guest::Guest;
use crate::plan::{ARRAYS, MACHINE, cluster_address, member_id};
use crate::{share, speed};

/// How long Corosync hears nothing of a node before it gives the node up. Emulated nodes
/// may get no processor for a second.
pub const TOKEN: Duration = Duration::from_secs(3);

/// A member of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The name of the guest.
    pub guest: &'static str,
    /// The node's name in the cluster.
    pub name: &'static str,
}

/// Returns the members that most labs have: both storage nodes, by their own names.
#[must_use]
pub fn pair() -> [Member; 2] {
    ARRAYS.map(|guest| Member { guest, name: guest })
}

/// Returns the `corosync.conf` of a cluster of these members.
#[must_use]
pub fn corosync_conf(members: &[Member], token: Duration) -> String {
    let node =
        |its: &Member| (member_id(its.guest), its.name, cluster_address(its.guest));
    conf(&members.iter().map(node).collect::<Vec<_>>(), token)
}

/// Returns the `corosync.conf` of a node that is a cluster by itself.
#[must_use]
pub fn alone(name: &str) -> String {
    conf(&[(1, name, "127.0.0.1".into())], TOKEN)
}

/// Returns the `corosync.conf` of these nodes: each by its number, its name and its address.
fn conf(members: &[(usize, &str, String)], token: Duration) -> String {
    let token = token.as_millis();
    let mut nodes = String::new();
    for (number, name, address) in members {
        let _ = write!(
            nodes,
            "    node {{\n        nodeid: {number}\n        name: {name}\n        \
             ring0_addr: {address}\n    }}\n"
        );
    }
    let two = if members.len() == 2 { "    two_node: 1\n" } else { "" };
    format!(
        "totem {{\n    version: 2\n    cluster_name: understudy\n    transport: knet\n    \
         crypto_cipher: none\n    crypto_hash: none\n    token: {token}\n}}\n\
         nodelist {{\n{nodes}}}\n\
         quorum {{\n    provider: corosync_votequorum\n{two}}}\n\
         logging {{\n    to_stderr: no\n    to_syslog: no\n    to_logfile: yes\n    \
         logfile: /var/log/corosync/corosync.log\n    timestamp: hires\n}}\n"
    )
}

/// Returns the first CIB, which has fencing and properties. `ports` are the UDP ports of
/// the nodes' BMCs.
#[must_use]
pub fn first_cib(ports: [u16; 2]) -> String {
    let mut properties = String::new();
    for (name, value) in [
        ("cluster-name", "understudy"),
        ("stonith-enabled", "true"),
        ("stonith-timeout", "90s"),
        ("no-quorum-policy", "stop"),
        ("dc-deadtime", "2s"),
    ] {
        property(&mut properties, "opt", name, value);
    }
    let (mut devices, mut rules) = (String::new(), String::new());
    for (member, port) in pair().into_iter().zip(ports) {
        let (device, rule) = fence(member, port);
        devices.push_str(&device);
        rules.push_str(&rule);
    }
    format!(
        "<cib validate-with=\"pacemaker-4.0\" epoch=\"1\" num_updates=\"0\" \
         admin_epoch=\"0\"><configuration><crm_config>\
         <cluster_property_set id=\"cib-bootstrap-options\">{properties}\
         </cluster_property_set></crm_config><nodes/><resources>{devices}</resources>\
         <constraints>{rules}</constraints></configuration><status/></cib>\n"
    )
}

/// Returns the fencing device of a member, and the rule that keeps it off that member.
/// `port` is the UDP port of the member's BMC.
#[must_use]
pub fn fence(member: Member, port: u16) -> (String, String) {
    let (id, node) = (format!("fence-{}", member.guest), member.name);
    let mut attributes = String::new();
    for (name, value) in [
        ("ip", MACHINE),
        ("ipport", port.to_string().as_str()),
        ("username", USER),
        ("password", PASSWORD),
        ("lanplus", "1"),
        ("power_wait", "0"),
        ("pcmk_host_list", node),
        ("pcmk_host_check", "static-list"),
    ] {
        property(&mut attributes, &id, name, value);
    }
    let device = format!(
        "<primitive id=\"{id}\" class=\"stonith\" type=\"fence_ipmilan\">\
         <instance_attributes id=\"{id}-attributes\">{attributes}\
         </instance_attributes>\
         <operations><op id=\"{id}-start\" name=\"start\" interval=\"0\" \
         timeout=\"60s\"/></operations></primitive>"
    );
    let rule = format!(
        "<rsc_location id=\"{id}-elsewhere\" rsc=\"{id}\" node=\"{node}\" \
         score=\"-INFINITY\"/>"
    );
    (device, rule)
}

/// Appends a property, as the CIB has it.
fn property(to: &mut String, id: &str, name: &str, value: &str) {
    let _ = write!(to, "<nvpair id=\"{id}-{name}\" name=\"{name}\" value=\"{value}\"/>");
}

/// Sets both nodes' patience with one another to what this machine's speed needs, now and
/// after each boot.
///
/// # Errors
/// Corosync does not take it.
pub fn be_patient(nodes: [&Guest; 2]) -> Result<()> {
    let [first, _] = nodes;
    nodes.into_iter().try_for_each(|node| tell(node, &pair()))?;
    reload(first)
}

/// Writes the cluster's members into a guest's `corosync.conf`, for now and for each
/// later boot.
///
/// # Errors
/// The guest does not take it.
pub fn tell(guest: &Guest, members: &[Member]) -> Result<()> {
    let (name, folders) = (guest.name(), &guest.machine().folders);
    share::corosync(name, members, speed::stretch(TOKEN), folders)?;
    let script =
        format!("cp /lab/{name}/files/etc/corosync/corosync.conf /etc/corosync/");
    guest.run(&script, Duration::from_secs(20)).map(drop)
}

/// Makes every member read its `corosync.conf` again. One member tells the others.
///
/// # Errors
/// Corosync does not take it.
pub fn reload(member: &Guest) -> Result<()> {
    member.run("corosync-cfgtool -R", Duration::from_secs(20)).map(drop)
}

/// Waits until `count` nodes are online, as `node` sees it.
///
/// # Errors
/// Fewer are online at the end of that time. The error has the ends of the logs that
/// explain it.
pub fn wait_online(node: &Guest, count: usize, time: Duration) -> Result<()> {
    let script = format!(
        "until [ \"$(crm_mon -1 --output-as=xml --include=none,nodes 2>/dev/null |
        grep -c '<node .*online=\"true\".*pending=\"false\"')\" -ge {count} ]; do
            sleep 0.5
        done"
    );
    explain(node, node.run(&script, time).map(drop))
}

/// Waits until the cluster has nothing left to do.
///
/// # Errors
/// The cluster is still busy at the end of that time.
pub fn wait_idle(node: &Guest, time: Duration) -> Result<()> {
    explain(node, node.run("lab-idle", time).map(drop))
}

fn explain(node: &Guest, result: Result<()>) -> Result<()> {
    if result.is_err() {
        let script = "crm_mon -1nrf; tail -n 8 /var/log/corosync/corosync.log \
                      /var/log/pacemaker/pacemaker.log";
        for line in node.try_run(script, Duration::from_secs(20)).stdout.lines() {
            eprintln!("  {}: {line}", node.name());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_fenced_from_the_other_one() {
        let cib = first_cib([1111, 2222]);
        assert!(
            cib.contains("rsc=\"fence-array-a\" node=\"array-a\" score=\"-INFINITY\"")
        );
        assert!(cib.contains("name=\"ipport\" value=\"2222\""));
    }
}
