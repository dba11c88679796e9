//! `understudy status --cluster`: who serves whose group, as Pacemaker has it.

use serde::Serialize;
use understudy_core::action::failure::Failure;
use understudy_core::config::group::is_same_node;

use crate::cluster::standing::ban;
use crate::cluster::{self, Configuration, Configured, Member, Resource, Standing, View};
use crate::commands::table::{RED, line, painted};

/// The cluster's nodes and groups, as `--cluster` shows them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// The cluster's nodes.
    pub nodes: Vec<Node>,
    /// The takeover groups.
    pub groups: Vec<Group>,
}

/// A node.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The node's name.
    pub node: String,
    /// `online`, `offline`, `standby` or `maintenance`.
    pub state: &'static str,
    /// How many physical ports are online, where `ocf:understudy:fcport` reports it.
    pub ports_online: Option<u32>,
    /// Whether a group could miss the node.
    #[serde(skip)]
    matters: bool,
}

/// A takeover group.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The id of the group's resource.
    pub group: String,
    /// The node on which the group runs.
    pub node: Option<String>,
    /// The node that the group belongs to, if its configuration names one.
    pub home: Option<String>,
    /// How the group runs: `native` at home, `guest` elsewhere, `nowhere`.
    pub role: &'static str,
    /// Pacemaker's word for the group's state: `Started`, `Stopping`, ...
    pub state: String,
    /// Whether the group waits for a person to clean up a failure.
    pub blocked: bool,
    /// Other nodes that could take the group, as far as is known.
    pub spares: Vec<String>,
}

impl ClusterStatus {
    /// Returns what the cluster answers to this node.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn look(node: &str) -> Result<Self, Failure> {
        let view = cluster::view()?;
        let configuration = Configuration::read(node)?;
        let home = |group: &Resource| {
            let configured = configuration.group(&group.id).ok();
            configured.and_then(Configured::home).map(String::from)
        };
        let groups: Vec<_> =
            view.groups().map(|group| Group::new(&view, group, home(group))).collect();
        let nodes = view.nodes.iter();
        let nodes = nodes
            .map(|member| Node::new(member, matters(&view, &groups, member)))
            .collect();
        Ok(Self { nodes, groups })
    }

    /// Returns whether every node that a group could miss could serve, and every group is
    /// served and has another node to go to, where the cluster has one.
    pub fn is_healthy(&self) -> bool {
        let is_alone = self.nodes.len() < 2;
        let is_safe = |group: &Group| is_alone || !group.spares.is_empty();
        self.nodes.iter().all(Node::is_well)
            && self.groups.iter().all(|group| group.is_served() && is_safe(group))
    }

    /// Returns a table, 80 columns at most where names are not too long.
    pub fn table(&self, paint: bool) -> String {
        let mut text = line(&["node", "state", "ports online"], &NODE);
        for node in &self.nodes {
            let ports = node.ports_online;
            let ports = ports.map_or("unknown".into(), |ports| ports.to_string());
            let row = line(&[&node.node, node.state, &ports], &NODE);
            text += &painted(&row, (!node.is_well()).then_some(RED), paint);
        }
        text += "\n";
        text += &line(&["group", "on", "as", "home", "state"], &GROUP);
        for group in &self.groups {
            let Group { group: name, node, home, role, state, blocked, spares } = group;
            let [node, home] = [node, home].map(|name| name.as_deref().unwrap_or("-"));
            let lacks_spare = spares.is_empty() && self.nodes.len() > 1;
            let told = match (blocked, lacks_spare) {
                (true, _) => format!("{state}, blocked"),
                (_, true) => format!("{state}, no spare"),
                _ => state.clone(),
            };
            let row = line(&[name, node, role, home, &told], &GROUP);
            let is_bad = !group.is_served() || lacks_spare;
            text += &painted(&row, is_bad.then_some(RED), paint);
        }
        text
    }
}

const NODE: [usize; 3] = [20, 14, 12];
const GROUP: [usize; 5] = [20, 17, 8, 17, 18];

impl Node {
    fn new(member: &Member, matters: bool) -> Self {
        let state = match member {
            Member { online: false, .. } => "offline",
            Member { standby: true, .. } => "standby",
            Member { maintenance: true, .. } => "maintenance",
            _ => "online",
        };
        let (node, ports_online) = (member.name.clone(), member.ports_online);
        Self { node, state, ports_online, matters }
    }

    fn is_well(&self) -> bool {
        let could_serve = self.state == "online" && self.ports_online != Some(0);
        could_serve || !self.matters
    }
}

/// Returns whether a group could miss a node. That is so for its home, for a node that
/// serves it, for a node whose `fcport` reports, and for any other node but two kinds:
/// one in standby, and one that rules keep every group from. So a node that only votes
/// may be in standby.
fn matters(view: &View, groups: &[Group], member: &Member) -> bool {
    let is_it = |name: &Option<String>| {
        name.as_ref().is_some_and(|name| is_same_node(name, &member.name))
    };
    let is_free = |group: &Resource| ban(view, &[], group, &member.name).is_none();
    let may_run = !member.standby && (groups.is_empty() || view.groups().any(is_free));
    groups.iter().any(|group| is_it(&group.node) || is_it(&group.home))
        || member.has_spoken()
        || may_run
}

impl Group {
    fn new(view: &View, resource: &Resource, home: Option<String>) -> Self {
        let node = resource.nodes.first().cloned();
        let role = match (&node, &home) {
            (None, _) => "nowhere",
            (Some(node), Some(home)) if is_same_node(node, home) => "native",
            _ => "guest",
        };
        let state = resource.state.clone();
        let (group, blocked) = (resource.id.clone(), resource.blocked);
        let others =
            view.nodes.iter().filter(|node| !resource.nodes.contains(&node.name));
        let is_able = |node: &&Member| {
            matches!(Standing::of(view, &[], resource, node), Standing::Able(_))
        };
        let spares = others.filter(is_able).map(|node| node.name.clone()).collect();
        Self { group, node, home, role, state, blocked, spares }
    }

    fn is_served(&self) -> bool {
        self.state == "Started" && !self.blocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the status of two groups, on nodes as crm_mon has them; `home` is
    /// group-b's.
    fn now(nodes: &str, rest: &str) -> ClusterStatus {
        let group = |id: &str, state: &str, on: &str| {
            format!(
                "<resource id='{id}' resource_agent='ocf:understudy:vport' role='{state}' \
                 managed='true' blocked='false'><node name='{on}'/></resource>"
            )
        };
        let text = format!(
            "<pacemaker-result><nodes>{nodes}</nodes><resources>{}{}</resources>{rest}\
             </pacemaker-result>",
            group("group-a", "Started", "array-a"),
            group("group-b", "Started", "array-a")
        );
        let view = View::parse(&text).unwrap();
        let homes = ["Array-A", "array-b"];
        let groups = view.groups().zip(homes);
        let groups: Vec<_> = groups
            .map(|(group, home)| Group::new(&view, group, Some(home.into())))
            .collect();
        let nodes = view.nodes.iter();
        let nodes = nodes.map(|node| Node::new(node, matters(&view, &groups, node)));
        ClusterStatus { nodes: nodes.collect(), groups }
    }

    fn node(name: &str, rest: &str) -> String {
        format!("<node name='{name}' online='true' {rest}/>")
    }

    #[test]
    fn it_says_who_serves_whom() {
        let lost = "<node name='array-b' online='false'/>";
        let mut now = now(&(node("array-a", "") + lost), "");
        assert_eq!((now.groups[0].role, now.groups[1].role), ("native", "guest"));
        now.groups[1].state = "Starting".into();
        let text = now.table(false);
        assert!(text.contains("array-b             offline       unknown\n"), "{text}");
        assert!(text.contains("Started, no spare\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(!now.is_healthy());
    }

    #[test]
    fn it_is_healthy_when_all_that_matters_is() {
        let healthy =
            |nodes: &[String], rest: &str| now(&nodes.concat(), rest).is_healthy();
        let (a, b) = (node("array-a", ""), node("array-b", ""));
        let away = |name: &str| node(name, "standby='true'");
        assert!(
            healthy(std::slice::from_ref(&a), "") && healthy(&[a.clone(), b.clone()], "")
        );
        // A node that is there for its vote.
        assert!(healthy(&[a.clone(), b.clone(), away("vote")], ""));
        let lost = "<node name='vote' online='false'/>".to_owned();
        assert!(!healthy(&[a.clone(), b.clone(), lost.clone()], ""));
        let bans = "<bans><ban id='1' resource='group-a' node='vote' weight='-1000000'/>\
                    <ban id='2' resource='group-b' node='vote' weight='-1000000'/></bans>";
        assert!(healthy(&[a.clone(), b.clone(), lost], bans));
        // A home, and the only node that is left to go to.
        assert!(!healthy(&[a.clone(), away("array-b"), node("array-c", "")], ""));
        assert!(!healthy(&[a.clone(), node("vote", "")], bans));
        let said = |what: &str| {
            format!(
                "<node_attributes><node name='array-b'>{what}</node></node_attributes>"
            )
        };
        let nodes = [a, b];
        assert!(!healthy(&nodes, &said("<attribute name='fcport' value='0'/>")));
        assert!(!healthy(&nodes, &said("<attribute name='ready-group-a' value='-1'/>")));
        assert!(healthy(&nodes, &said("<attribute name='ready-group-a' value='0'/>")));
    }
}
