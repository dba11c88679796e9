//! What the simulated nodes share: the clock, the disks, the fabric and the initiators
//! on it; and the nodes themselves. All that happens is on one agenda, in the order of
//! its time, so that a run is the same each time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::commands::{Command, Flow};
use super::configfs;
use super::disks::Disks;
use super::keepers::Keepers;
use super::pr_out::PrOut;
use super::rng::Rng;
use super::transport::Port;
use super::tree::Tree;
use understudy_core::kernel::{Cause, Instant, paths};
use understudy_core::kernel::{Done, Op};
use understudy_core::wwn::Wwn;

/// A storage area network with its nodes.
#[derive(Debug)]
pub struct San {
    /// The disks that every node sees.
    pub disks: Disks,
    /// What drives the physical ports of nodes that boot.
    pub hba: Hba,
    /// Whether the fabric lets virtual ports in.
    pub npiv: bool,
    /// Whether the fabric is zoned, so that no node sees a port of another.
    pub zoned: bool,
    /// Whether the fabric refuses a name that is logged in already, to ports of qla2xxx.
    pub refuses: bool,
    /// How long the fabric takes the ports of a node that died for logged in, and refuses
    /// their names to ports of qla2xxx. A switch that sees the link go forgets them at once;
    /// FCoE waits for keep-alives.
    pub ages_out: Duration,
    /// The names that the fabric refuses to ports of qla2xxx, each until a time.
    pub(super) denied: BTreeMap<Wwn, Instant>,
    /// The `nft` of every node.
    pub nft: Nft,
    /// Whether multipathd of every node has its keys from a file, so that it can be given
    /// some.
    pub multipathd: bool,
    /// Whether qla2xxx fails in what it does to a virtual port, in its quiet way.
    pub quietly_fails: bool,
    /// Nodes that should have been fenced and were not. An initiator may meet a reservation
    /// conflict there, and on disks that such a node has taken.
    pub unfenced: BTreeSet<usize>,
    /// Whether a node's multipathd was at some time not told its key: a path that came back
    /// may meet a conflict, until a monitor of level 10 has registered it.
    pub untold: bool,
    /// Whether no counter of a disk shows what is with it: flushes, requests that a blocked
    /// device holds back, `iostats` of 0 (block/blk-mq.c, `blk_mq_check_in_driver`).
    pub unseen: bool,
    /// How long a block device may hold a command before its disk gets it, at most: what a
    /// multipath device queues may take as long as it likes.
    pub queues: Duration,
    /// Disks whose place another disk of the array has by now.
    pub swapped: BTreeSet<PathBuf>,
    /// Late writes, by nodes that should have been fenced and were not, to a disk that
    /// nobody owned at that moment: a stop gives the reservation up, and then nothing
    /// keeps such a node out.
    pub unguarded: u64,
    /// How many commands were answered with an error because a LUN's disk had left the node.
    pub errors: u64,
    /// LUNs and initiators that are out of use: these may go under a live port.
    pub unused: (BTreeSet<u16>, BTreeSet<Wwn>),
    /// Counts whatever may decide who can write to a disk.
    pub changes: u64,
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) initiators: Vec<Wwn>,
    pub(super) flows: Vec<Flow>,
    pub(super) commands: BTreeMap<usize, Command>,
    /// Registrations that wait for their keeper.
    pub(super) pr_outs: BTreeMap<usize, PrOut>,
    /// Answers to registrations: success, an error, or none where the node has lost its power.
    pub answers: Vec<(usize, Option<bool>)>,
    /// When the operation ends that was begun last.
    pub(super) ends_at: Instant,
    /// Ids of ports and commands, each used once.
    pub(super) next_id: usize,
    agenda: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    noted: u64,
    rng: Option<Rng>,
}

/// What drives a physical port, and the target behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hba {
    /// Software FCoE, with tcm_fc.
    #[default]
    Libfc,
    /// A QLogic HBA, with tcm_qla2xxx.
    Qla2xxx,
}

/// The program that sets bars, as an operation meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nft {
    /// The program is there, and the kernel does what it asks for.
    Works,
    /// The program is not there.
    Missing,
    /// The program is there, and the kernel refuses what it asks for.
    Refused,
    /// The program is there, and takes as long as the first one since a busy node's boot.
    Cold,
    /// The program is there, and does not come back once it has its script.
    Hangs,
}

impl Nft {
    /// Returns how much longer than usual the first `nft` of a stop takes: measured on a
    /// node with half a processor, with its page cache empty.
    pub(super) fn cost(self) -> Duration {
        if self == Self::Cold { Duration::from_millis(1600) } else { Duration::ZERO }
    }

    /// Returns what becomes of an operation that needs `nft`.
    pub(super) fn answer(self, op: &Op) -> Result<Done, Cause> {
        match (self, op) {
            (Self::Missing, _) => Err(Cause::Errno(Errno::ENOENT as i32)),
            (Self::Works | Self::Cold, _) | (_, Op::ReadyNft) => Ok(Done::Changed),
            (Self::Refused, _) => {
                let words = "nft: Error: Could not process rule: Operation not permitted";
                Err(Cause::Device(words.into()))
            }
            (Self::Hangs, _) => Err(Cause::TimedOut),
        }
    }
}

/// A node: its tree of files, and what is in no file.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub tree: Tree,
    pub hba: Hba,
    /// The targets of qla2xxx: each has the id of its port, whether that is there or not.
    pub bound: BTreeMap<Wwn, usize>,
    /// Whether the HBA has its target functions.
    pub serves: bool,
    pub alive: bool,
    /// Counts the boots: news that was on its way in an earlier one reaches nobody.
    pub boots: u64,
    pub ports: Vec<Port>,
    pub next_vport: usize,
    /// Until when commands are in flight on every disk.
    pub busy_until: Instant,
    /// Until when no disk answers it.
    pub stalled_until: Instant,
    /// Until when the kernel removes a backstore: one at a time.
    pub removing_until: Instant,
    /// The ports whose commands nftables have counted since they appeared.
    pub accounted: BTreeSet<Wwn>,
    pub keepers: Keepers,
    /// Names that disks have here since they came back, and their first ones.
    pub names: BTreeMap<String, String>,
    /// Links on a disk of the node's own: they outlive its power.
    pub lasting: Vec<(PathBuf, PathBuf)>,
}

/// What happens by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A virtual port has logged in to the fabric.
    LoggedIn { node: usize, port: usize },
    /// An initiator logs in to a port that has appeared.
    Meets { node: usize, port: usize, initiator: usize },
    /// A node hears that a port has come or gone.
    News { node: usize, boots: u64, wwpn: Wwn },
    /// An initiator sends its next write.
    Sends { flow: usize, epoch: u64 },
    /// A command goes a step further.
    Goes { command: usize },
    /// A keeper writes what a command waits for.
    Saves { pr_out: usize },
}

impl San {
    /// Returns a fabric with disks and initiators, and no node yet.
    pub fn new<T: AsRef<str>>(disks: &[T], initiators: &[Wwn]) -> Self {
        Self {
            disks: Disks::new(disks),
            hba: Hba::Libfc,
            npiv: true,
            zoned: false,
            refuses: false,
            ages_out: Duration::ZERO,
            denied: BTreeMap::new(),
            nft: Nft::Works,
            multipathd: true,
            quietly_fails: false,
            unfenced: BTreeSet::new(),
            untold: false,
            unseen: false,
            queues: Duration::from_secs(8),
            swapped: BTreeSet::new(),
            unguarded: 0,
            errors: 0,
            unused: Default::default(),
            changes: 0,
            now: Duration::from_secs(100),
            nodes: Vec::new(),
            initiators: initiators.to_vec(),
            flows: Vec::new(),
            commands: BTreeMap::new(),
            pr_outs: BTreeMap::new(),
            answers: Vec::new(),
            ends_at: Instant::ZERO,
            next_id: 0,
            agenda: BinaryHeap::new(),
            noted: 0,
            rng: None,
        }
    }

    /// Draws how long anything takes by this seed, from now on.
    pub fn vary(&mut self, seed: u64) {
        self.rng = Some(Rng::new(seed));
    }

    /// Returns the clock of all nodes.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Adds so many more nodes, and boots them.
    pub fn add_nodes(&mut self, count: usize) {
        for _ in 0..count {
            self.add_node();
        }
    }

    /// Adds a node and boots it. Returns its number, which is its nexus to every disk
    /// too.
    pub(super) fn add_node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.boot(self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Has the kernel of a node show this text of a disk from now on.
    pub fn shows(&mut self, node: usize, disk: &str, attribute: &str, text: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.tree.file(paths::block(disk, attribute), format!("{text}\n"));
        }
    }

    /// Has the kernel of a node show that a disk, or a part of it, is in use.
    pub fn is_held(&mut self, node: usize, part: &str, holder: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.tree
                .link(paths::block(part, &format!("holders/{holder}")), "/sys/devices");
        }
    }

    /// Has nobody hold a disk, or a part of it, on a node any longer.
    pub fn is_let_go(&mut self, node: usize, part: &str, holder: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.tree.remove(&paths::block(part, &format!("holders/{holder}")));
        }
    }

    /// Has a node list this mount from now on, and no other.
    pub fn mounts(&mut self, node: usize, line: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.tree.file(paths::MOUNTS, format!("{line}\n"));
        }
    }

    /// Has the fabric refuse a name to ports of qla2xxx for some time, as if it were logged
    /// in.
    pub fn deny(&mut self, wwpn: Wwn, time: Duration) {
        self.denied.insert(wwpn, self.now + time);
    }

    /// Takes a node's power away, and all that it held in memory. What it had registered
    /// on a disk stays; what the disk has taken in may still be carried out.
    pub fn crash(&mut self, node: usize) {
        let ports = self.nodes.get_mut(node).map(|node| {
            node.alive = false;
            node.lasting = node.tree.links(Path::new("/var/target/pr"));
            node.tree = Tree::default();
            std::mem::take(&mut node.ports)
        });
        for port in ports.into_iter().flatten() {
            if port.active {
                self.deny(port.wwpn, self.ages_out);
            }
            self.left(node, &port, Duration::ZERO);
        }
        self.forget_commands_of(node);
        self.forget_pr_outs_of(node);
        self.changes += 1;
    }

    /// Returns whether a node runs.
    pub fn is_alive(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.alive)
    }

    /// Keeps commands in flight on every disk of a node, for this long from now.
    pub fn keep_busy(&mut self, node: usize, time: Duration) {
        let until = self.now + time;
        if let Some(node) = self.nodes.get_mut(node) {
            node.busy_until = until;
        }
    }

    /// Lets no disk answer a node, for this long from now.
    pub fn stall(&mut self, node: usize, time: Duration) {
        let until = self.now + time;
        if let Some(node) = self.nodes.get_mut(node) {
            node.stalled_until = until;
        }
    }

    pub(super) fn stalled(&self, node: usize) -> Option<Duration> {
        let until = self.nodes.get(node)?.stalled_until;
        until.checked_sub(self.now).filter(|time| !time.is_zero())
    }

    /// Returns a time between these two, in milliseconds; the shorter one where nothing
    /// varies. One in sixteen is drawn from the whole of it, the others from its first
    /// part: most things are quick, and all may be slow.
    pub fn takes(&mut self, least: u64, most: u64) -> Duration {
        let Some(rng) = &mut self.rng else { return Duration::from_millis(least) };
        let span = most.saturating_sub(least) * 1000;
        let span = if rng.one_in(16) { span } else { span / 16 };
        Duration::from_micros(least * 1000 + rng.below(span))
    }

    /// True once in `n` times; never where nothing varies.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.rng.as_mut().is_some_and(|rng| rng.one_in(n))
    }

    pub(super) fn after(&mut self, time: Duration, event: Event) {
        self.noted += 1;
        self.agenda.push(Reverse((self.now + time, self.noted, event)));
    }

    /// Returns when the next thing happens by itself.
    pub fn next_due(&self) -> Option<Instant> {
        self.agenda.peek().map(|Reverse((due, ..))| *due)
    }

    /// Lets time pass, and all happen that is due by then.
    pub fn advance(&mut self, to: Instant) {
        while self.next_due().is_some_and(|due| due <= to) {
            let Some(Reverse((due, _, event))) = self.agenda.pop() else { break };
            self.now = self.now.max(due);
            match event {
                Event::LoggedIn { node, port } => self.logged_in(node, port),
                Event::Meets { node, port, initiator } => {
                    self.meets(node, port, initiator)
                }
                Event::News { node, boots, wwpn } => self.news(node, boots, wwpn),
                Event::Sends { flow, epoch } => self.sends(flow, epoch),
                Event::Goes { command } => self.goes(command),
                Event::Saves { pr_out } => self.saves(pr_out),
            }
        }
        self.now = self.now.max(to);
    }

    /// Returns the nodes that can write to a disk at this moment: with a LUN of it, and
    /// accepted by it.
    pub fn writers(&self, disk: &str) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        let lun = nodes.filter(|(_, node)| node.has_lun(disk));
        lun.map(|(n, _)| n).filter(|n| self.disks.accepts(disk, *n)).collect()
    }

    /// Returns whether a node still has anything of a port: the port itself, or a target
    /// for it.
    pub fn has_port(&self, node: usize, wwpn: Wwn) -> bool {
        self.nodes.get(node).is_some_and(|node| {
            node.port(wwpn).is_some_and(|port| !port.disabled)
                || node.tree.exists(&paths::lio_port("fc", wwpn))
        })
    }

    /// Returns whether a node has a disk open for export.
    pub fn exports(&self, node: usize, disk: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| node.exports(disk))
    }

    /// Returns the disk to which an initiator's LUN leads on a node.
    pub fn disk_behind(
        &self,
        node: usize,
        port: Wwn,
        initiator: Wwn,
        lun: u16,
    ) -> Option<String> {
        let node = self.nodes.get(node)?;
        let found = configfs::served(&node.tree, port, initiator, lun)?;
        Some(node.first_name(found.device).to_owned())
    }

    /// Returns whether a node carries out what an initiator sends to a LUN.
    pub fn serves(&self, node: usize, port: Wwn, initiator: Wwn, lun: u16) -> bool {
        let Some(node) = self.nodes.get(node) else { return false };
        let found = configfs::served(&node.tree, port, initiator, lun);
        found.is_some_and(|found| !found.transitioning && node.has_device(found.device))
            && node.port(port).is_some_and(|port| port.active && port.is_target)
    }

    /// Returns the nodes on which a port of this name is logged in to the fabric.
    pub fn logged_in_at(&self, wwpn: Wwn) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(|(_, node)| node.active_port(wwpn)).map(|(n, _)| n).collect()
    }
}

impl Node {
    fn active_port(&self, wwpn: Wwn) -> bool {
        self.ports.iter().any(|port| port.active && port.wwpn == wwpn)
    }
}
