//! `understudy status --cluster`: who serves whose group, as Pacemaker has it.

use serde::Serialize;
use understudy_core::failure::Failure;
use understudy_core::group::is_same_node;

use crate::cluster::{self, Configuration, Configured, Member, Resource};
use crate::commands::table::{RED, line, painted};

/// The cluster.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// The takeover groups.
    pub groups: Vec<Group>,
}

/// A node.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// `online`, `offline`, `standby` or `maintenance`.
    pub state: &'static str,
    /// Physical ports online, where `ocf:understudy:fcport` tells.
    pub ports_online: Option<u32>,
}

/// A takeover group.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its resource.
    pub group: String,
    /// Where it runs.
    pub node: Option<String>,
    /// The node that it belongs to, where that is said.
    pub home: Option<String>,
    /// `native` at home, `guest` elsewhere, `nowhere`.
    pub role: &'static str,
    /// Pacemaker's word for it: `Started`, `Stopping`, ...
    pub state: String,
    /// Whether it waits for somebody.
    pub blocked: bool,
}

impl ClusterStatus {
    /// Asks the cluster, as this node.
    ///
    /// # Errors
    /// It does not answer.
    pub fn look(node: &str) -> Result<Self, Failure> {
        let view = cluster::view()?;
        let configuration = Configuration::read(node)?;
        let homed = |group: &Resource| {
            let configured = configuration.group(&group.id).ok();
            Group::new(group, configured.and_then(Configured::home).map(String::from))
        };
        Ok(Self {
            nodes: view.nodes.iter().map(Node::new).collect(),
            groups: view.groups().map(homed).collect(),
        })
    }

    /// Whether every node could serve and every group is served.
    pub fn is_healthy(&self) -> bool {
        let ready = |node: &Node| node.state == "online" && node.ports_online != Some(0);
        let served = |group: &Group| group.state == "Started" && !group.blocked;
        self.nodes.iter().all(ready) && self.groups.iter().all(served)
    }

    /// A table, 80 columns at most where names are not too long.
    pub fn table(&self, paint: bool) -> String {
        let mut text = line(&["node", "state", "ports online"], &NODE);
        for Node { node, state, ports_online } in &self.nodes {
            let ports = ports_online.map_or("unknown".into(), |ports| ports.to_string());
            let row = line(&[node, state, &ports], &NODE);
            let bad = *state != "online" || *ports_online == Some(0);
            text += &painted(&row, bad.then_some(RED), paint);
        }
        text += "\n";
        text += &line(&["group", "on", "as", "home", "state"], &GROUP);
        for group in &self.groups {
            let Group { group: name, node, home, role, state, blocked } = group;
            let [node, home] = [node, home].map(|name| name.as_deref().unwrap_or("-"));
            let told = if *blocked { format!("{state}, blocked") } else { state.clone() };
            let row = line(&[name, node, role, home, &told], &GROUP);
            let bad = state != "Started" || *blocked;
            text += &painted(&row, bad.then_some(RED), paint);
        }
        text
    }
}

const NODE: [usize; 3] = [20, 14, 12];
const GROUP: [usize; 5] = [20, 18, 9, 18, 15];

impl Node {
    fn new(member: &Member) -> Self {
        let state = match member {
            Member { online: false, .. } => "offline",
            Member { standby: true, .. } => "standby",
            Member { maintenance: true, .. } => "maintenance",
            _ => "online",
        };
        let (node, ports_online) = (member.name.clone(), member.ports_online);
        Self { node, state, ports_online }
    }
}

impl Group {
    fn new(resource: &Resource, home: Option<String>) -> Self {
        let node = resource.nodes.first().cloned();
        let role = match (&node, &home) {
            (None, _) => "nowhere",
            (Some(node), Some(home)) if is_same_node(node, home) => "native",
            _ => "guest",
        };
        let state = resource.state.clone();
        let (group, blocked) = (resource.id.clone(), resource.blocked);
        Self { group, node, home, role, state, blocked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn now() -> ClusterStatus {
        let member = |name: &str, online, ports_online| Member {
            name: name.into(),
            online,
            standby: false,
            maintenance: false,
            ports_online,
            ready: BTreeMap::new(),
        };
        let resource = |id: &str, state: &str, on: &[&str]| Resource {
            id: id.into(),
            agent: "ocf:understudy:vport".into(),
            state: state.into(),
            managed: true,
            blocked: false,
            nodes: on.iter().map(|node| (*node).to_owned()).collect(),
        };
        ClusterStatus {
            nodes: vec![
                Node::new(&member("array-a", true, Some(1))),
                Node::new(&member("array-b", false, None)),
            ],
            groups: vec![
                Group::new(
                    &resource("group-a", "Started", &["array-a"]),
                    Some("Array-A".into()),
                ),
                Group::new(
                    &resource("group-b", "Starting", &["array-a"]),
                    Some("array-b".into()),
                ),
            ],
        }
    }

    #[test]
    fn it_says_who_serves_whom() {
        let mut now = now();
        assert_eq!((now.groups[0].role, now.groups[1].role), ("native", "guest"));
        assert_eq!(now.groups[1].state, "Starting");
        let text = now.table(false);
        assert!(text.contains("array-b             offline       unknown\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(!now.is_healthy());
        now.nodes.pop();
        now.groups.pop();
        assert!(now.is_healthy());
        now.nodes[0].ports_online = Some(0);
        assert!(!now.is_healthy());
    }
}
