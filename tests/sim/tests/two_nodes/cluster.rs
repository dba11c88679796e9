//! A cluster manager, as far as the test needs one: it probes, starts, stops, monitors
//! and fences by Pacemaker's rules. It starts a group only when it knows that the group
//! is stopped everywhere. It takes a node for stopped only once fencing says so.

use understudy_core::kernel::Instant;
use understudy_core::verbs::{Health, Level};
use understudy_sim::Rng;

use crate::agent::{Action, Answer, TIMEOUT};

pub const GROUPS: usize = 2;
pub const NODES: usize = 2;

/// What one side of the cluster believes. There is one side, unless nodes that run cannot
/// hear each other.
#[derive(Debug, Clone)]
pub struct Side {
    pub id: u64,
    pub nodes: [Node; NODES],
    pub groups: [Group; GROUPS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Member,
    /// The node is not heard and may still run: it must be fenced before anything is
    /// concluded.
    Lost,
    BeingFenced,
    /// The node does not run, or fencing says that it does not.
    Off,
}

#[derive(Debug, Clone)]
pub struct Group {
    pub on: [Known; NODES],
    /// The node where the group is to run, if that node is a member.
    pub wanted: usize,
    monitor_at: Instant,
}

/// What is known of a group on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Nothing,
    Stopped,
    Running,
    /// Something went wrong with the group there: it has to be stopped.
    Failed,
    /// An action is under way; no other is ordered meanwhile.
    Busy(u64, Action),
}

/// For each node and group, whether the node serves the group as it was configured before.
pub type Stale = [[bool; GROUPS]; NODES];

/// What a side wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    Fence(usize),
    Act { node: usize, group: usize, action: Action },
}

impl Side {
    /// Returns a side of nodes that have just met: nothing is known yet.
    pub fn new(id: u64, wanted: [usize; GROUPS]) -> Self {
        let group = |wanted| Group {
            on: [Known::Nothing, Known::Nothing],
            wanted,
            monitor_at: Instant::ZERO,
        };
        Self { id, nodes: [Node::Member; NODES], groups: wanted.map(group) }
    }

    pub fn is_member(&self, node: usize) -> bool {
        self.nodes[node] == Node::Member
    }

    /// Returns whether a group is known to run on a node.
    pub fn runs(&self, node: usize, group: usize) -> bool {
        self.is_member(node) && self.groups[group].on[node] == Known::Running
    }

    /// Takes note that a node is no longer heard.
    pub fn lose(&mut self, node: usize) {
        if self.is_member(node) {
            self.nodes[node] = Node::Lost;
        }
    }

    /// Takes note that a node (re)joins: what runs there has to be probed.
    pub fn join(&mut self, node: usize) {
        self.nodes[node] = Node::Member;
        self.groups.iter_mut().for_each(|group| group.on[node] = Known::Nothing);
    }

    /// Takes note that fencing says a node is off.
    pub fn fenced(&mut self, node: usize) {
        self.nodes[node] = Node::Off;
        self.groups.iter_mut().for_each(|group| group.on[node] = Known::Stopped);
    }

    /// Whether every group is served by one member, and nothing is under way.
    pub fn is_settled(&self) -> bool {
        let settled = |group: &Group| {
            let running = group.on.iter().filter(|known| **known == Known::Running);
            let idle = group
                .on
                .iter()
                .all(|known| matches!(known, Known::Running | Known::Stopped));
            running.count() == 1 && idle
        };
        let known =
            self.nodes.iter().all(|node| matches!(node, Node::Member | Node::Off));
        known && self.groups.iter().all(settled)
    }

    /// Returns what is to be done now. A group whose configuration has changed since it was
    /// started is reloaded.
    pub fn wants(&mut self, now: Instant, rng: &mut Rng, stale: &Stale) -> Vec<Want> {
        let mut wants = Vec::new();
        for node in 0..NODES {
            if self.nodes[node] == Node::Lost {
                self.nodes[node] = Node::BeingFenced;
                wants.push(Want::Fence(node));
            }
        }
        // Nothing is moved while a node that nobody hears may still run.
        let unclean = self.nodes.contains(&Node::BeingFenced);
        let nodes = self.nodes;
        let members = |node: &usize| nodes[*node] == Node::Member;
        for (number, group) in self.groups.iter_mut().enumerate() {
            let mut act =
                |node, action| wants.push(Want::Act { node, group: number, action });
            let on = group.on.clone();
            let those = |known: Known| {
                let on = &on;
                (0..NODES).filter(members).filter(move |node| on[*node] == known)
            };
            those(Known::Nothing)
                .for_each(|node| act(node, Action::Monitor(Level::Port)));
            those(Known::Failed).for_each(|node| act(node, Action::Stop));
            let busy = |known: &Known| !matches!(known, Known::Running | Known::Stopped);
            if unclean || (0..NODES).filter(members).any(|node| busy(&on[node])) {
                continue;
            }
            let target =
                if members(&group.wanted) { group.wanted } else { 1 - group.wanted };
            let running: Vec<_> = those(Known::Running).collect();
            match running.as_slice() {
                [] => act(target, Action::Start),
                [node] if *node != target => act(*node, Action::Stop),
                [node] if stale[*node][number] => act(*node, Action::Reload),
                [node] if now >= group.monitor_at => {
                    let levels = [Level::Port, Level::Owner, Level::Disk];
                    act(*node, Action::Monitor(levels[rng.below(3) as usize]));
                    group.monitor_at = now + TIMEOUT;
                }
                [_] => {}
                several => several.iter().for_each(|node| act(*node, Action::Stop)),
            }
        }
        wants
    }

    /// Takes note of an action's answer; `None` where none ever came.
    pub fn learn(&mut self, node: usize, group: usize, id: u64, answer: Option<&Answer>) {
        let Known::Busy(busy, action) = self.groups[group].on[node] else { return };
        if busy != id {
            return;
        }
        let group = &mut self.groups[group];
        group.on[node] = match (action, answer) {
            (Action::Start | Action::Reload, Some(Answer::Done)) => Known::Running,
            (Action::Reload, Some(Answer::Refused(_))) => Known::Running,
            (Action::Stop, Some(Answer::Done)) => Known::Stopped,
            (
                Action::Monitor(_),
                Some(Answer::Health(Health::Running | Health::Degraded(_))),
            ) => Known::Running,
            (Action::Monitor(_), Some(Answer::Health(Health::NotRunning))) => {
                Known::Stopped
            }
            _ => Known::Failed,
        };
        match (action, &group.on[node]) {
            // After a failed stop the node can only be fenced.
            (Action::Stop, Known::Failed) => self.lose(node),
            (Action::Start, Known::Failed) => group.wanted = 1 - node,
            _ => {}
        }
    }
}
