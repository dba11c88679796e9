//! What a schedule is made of: its course, the agents at work, and the events to come.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::agent::{Action, Agent};
use crate::groups::Config;

/// What may happen in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Groups are moved, and nothing goes wrong.
    Moves,
    /// Disks leave and come back, too.
    Disks,
    /// Anything.
    All,
}

/// An agent at work, and what was seen of its group meanwhile.
pub(super) struct Acting {
    pub id: u64,
    pub agent: Agent,
    /// The configuration that it got, and the one that was in force on the node.
    pub config: Rc<Config>,
    pub before: Option<Rc<Config>>,
    /// Whether all of that was served, before a reload.
    pub was_whole: bool,
    /// Whether the node had a disk of the group open before.
    pub was_open: bool,
    /// Whether one of its operations may hang.
    pub hangs: bool,
    /// Whether it is killed before its time is over.
    pub doomed: bool,
    /// Whether something was wrong that may have it fail.
    pub disturbed: bool,
    /// The disks of the group that were not on the node at some moment.
    pub lacks: BTreeSet<String>,
    /// Whether a disk of the group had left the node before and was still open.
    pub clings: bool,
    /// Whether the group's keeper had died or stood still at some moment, and before.
    pub unkept: bool,
    pub was_unkept: bool,
    /// Whether a registration waited for a keeper that stood still.
    pub stuck: bool,
    /// Whether a node ran meanwhile that should have been fenced.
    pub beside_undead: bool,
    /// Whether every port of the group was logged in at some moment, none was, and not every
    /// one was.
    pub seen_serving: bool,
    pub seen_idle: bool,
    pub seen_less: bool,
    /// For each disk of the group, whether the node owned it at some moment.
    pub seen_owned: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    pub id: u64,
    pub node: usize,
    pub group: usize,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// An agent goes on.
    Goes {
        node: usize,
        group: usize,
        id: u64,
    },
    /// An agent's time is over.
    Kill {
        node: usize,
        group: usize,
        id: u64,
    },
    /// An order reaches its node.
    Order(Order),
    /// A side stops waiting for an answer.
    Unheard(Order),
    /// Every side decides what to do.
    Thinks,
    /// Fencing answers.
    Fenced {
        side: u64,
        node: usize,
        lies: bool,
    },
    Boots {
        node: usize,
    },
    /// An initiator registers a key.
    Registers,
    /// A node's path to a disk works again.
    Returns {
        node: usize,
        disk: String,
        path: usize,
    },
    /// multipathd takes a path out of its map that has left.
    IsForgotten {
        node: usize,
        disk: String,
        name: String,
    },
    /// A disk of a group leaves a node.
    Leaves {
        node: usize,
        group: usize,
    },
    /// A disk that has left a node comes back.
    ComesBack {
        node: usize,
        disk: String,
        id: u64,
    },
    /// udev links to a disk that has come back.
    IsNamed {
        node: usize,
        disk: String,
        id: u64,
    },
    /// Something else on a node lets a disk of a group go.
    LetsGo {
        node: usize,
        group: usize,
        disk: String,
    },
    Trouble,
    /// Somebody edits the configuration of a group, and repairs it.
    Edits,
    Repairs {
        group: usize,
    },
}
