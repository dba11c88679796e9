//! What goes wrong in a schedule, and how it ends.

use std::time::Duration;

use nix::errno::Errno;
use understudy_core::kernel::Cause;
use understudy_sim::{Fault, Nexus};

use super::{Course, Event, Schedule};
use crate::agent::{Action, NAMES};
use crate::cluster::{GROUPS, Known, NODES, Node, Side};

/// What takes a disk.
const HOLDER: &str = "dm-9";

impl Schedule {
    /// Returns what goes wrong in one of an agent's operations, if anything does.
    pub(super) fn fault(&mut self) -> Option<(usize, Fault)> {
        // Without an account, a command that no counter shows hangs a logout.
        if self.course != Course::All
            || self.unseen
            || self.now() > self.calm_at
            || !self.rng.one_in(12)
        {
            return None;
        }
        self.is_spoilt = true;
        self.tally.faults += 1;
        let at = self.rng.below(50) as usize;
        let fault = match self.rng.below(4) {
            0 => Fault::Fails(Cause::Errno(Errno::EIO as i32)),
            1 => Fault::Hangs,
            2 => Fault::DoesNothing,
            _ => Fault::HangsDone,
        };
        self.say(|| format!("operation {at} of this: {fault:?}"));
        Some((at, fault))
    }

    /// Cuts the power of a node: nothing on it goes on.
    fn power_off(&mut self, node: usize) {
        self.is_spoilt = true;
        for group in 0..GROUPS {
            self.queues[node][group].clear();
            if let Some(acting) = self.agents[node][group].take() {
                acting.agent.end();
            }
        }
        let mut san = self.san.borrow_mut();
        san.crash(node);
        san.unfenced.remove(&node);
        drop(san);
        // A side that had only this node is gone with it; other sides miss the node.
        self.sides.iter_mut().for_each(|side| side.lose(node));
        self.sides.retain(|side| (0..NODES).any(|node| side.is_member(node)));
        let time = self.takes(2000, 10_000);
        self.after(time, Event::Boots { node });
    }

    pub(super) fn fenced(&mut self, side: u64, node: usize, lies: bool) {
        // The side that asked may be dead by now, and its fencing with it.
        let Some(at) = self.sides.iter().position(|s| s.id == side) else { return };
        if self.sides[at].nodes[node] != Node::BeingFenced {
            return;
        }
        self.say(|| {
            format!("{} is fenced{}", NAMES[node], if lies { ", not" } else { "" })
        });
        self.tally.fenced += 1;
        self.tally.lies += u64::from(lies);
        let is_alive = self.san.borrow().is_alive(node);
        match lies {
            true if is_alive => self.rises(node),
            false if is_alive => self.power_off(node),
            _ => {}
        }
        if let Some(side) = self.sides.iter_mut().find(|s| s.id == side) {
            side.fenced(node);
        }
    }

    /// Takes note that a node runs, and should have been fenced.
    fn rises(&mut self, node: usize) {
        self.san.borrow_mut().unfenced.insert(node);
        let agents = self.agents.iter_mut().flatten().flatten();
        agents.for_each(|acting| {
            (acting.disturbed, acting.beside_undead) = (true, true);
        });
    }

    /// Takes note of nodes that should have been fenced, and have nothing left of any group by
    /// now: the cluster has stopped all there itself.
    pub(super) fn lay_to_rest(&mut self) {
        let [side] = self.sides.as_slice() else { return };
        let mut san = self.san.borrow_mut();
        for node in (0..NODES).filter(|node| side.is_member(*node)) {
            if !san.unfenced.contains(&node) {
                continue;
            }
            let acts = self.agents[node].iter().any(Option::is_some);
            let serves = self.wwpns.iter().flatten().any(|w| san.has_port(node, *w));
            if !acts && !serves && !san.disks.names().any(|disk| san.exports(node, disk))
            {
                san.unfenced.remove(&node);
            }
        }
    }

    /// Returns whether something is wrong now that may have an action on a node fail.
    pub(super) fn is_disturbed(&self, node: usize) -> bool {
        self.now() < self.stalled_until[node] || !self.san.borrow().unfenced.is_empty()
    }

    /// Takes note that something may have the actions fail that are under way on a node.
    fn disturb(&mut self, node: usize) {
        self.is_spoilt = true;
        let agents = self.agents[node].iter_mut().flatten();
        agents.for_each(|acting| acting.disturbed = true);
    }

    pub(super) fn boots(&mut self, node: usize) {
        self.say(|| format!("{} boots", NAMES[node]));
        self.applied[node] = Default::default();
        self.san.borrow_mut().boot(node);
        self.finds_all(node);
    }

    /// Joins nodes that can hear each other into one side.
    pub(super) fn heal(&mut self) {
        let alive = |node: usize| self.san.borrow().is_alive(node);
        if !(0..NODES).all(alive) {
            return;
        }
        let calm = self.now() > self.calm_at;
        match self.sides.as_mut_slice() {
            // Both were down: each waits for the other before it does anything.
            [] => self.meet(),
            [side] if calm || self.rng.one_in(8) => {
                let off = (0..NODES).find(|node| side.nodes[*node] == Node::Off);
                if let Some(node) = off {
                    side.join(node);
                    self.configs[node] = self.configs[1 - node].clone();
                }
            }
            [_] => {}
            // Two sides: they meet again after a while.
            _ if calm || self.rng.one_in(20) => {
                self.say(|| "the nodes hear each other again".into());
                self.meet();
            }
            _ => {}
        }
    }

    /// Has both nodes form one side. Each tells which actions are under way on it.
    fn meet(&mut self) {
        self.next_id += 1;
        let mut side = Side::new(self.next_id, [0, 1]);
        for (node, group) in (0..NODES).flat_map(|n| (0..GROUPS).map(move |g| (n, g))) {
            if let Some(acting) = &self.agents[node][group] {
                let busy = Known::Busy(acting.id, acting.agent.action);
                side.groups[group].on[node] = busy;
            }
        }
        self.sides = vec![side];
        self.agrees();
    }

    /// Has one of a node's two paths to a disk fail or leave for a while, if both work.
    fn path_dies(&mut self, node: usize, group: usize) {
        let disks: Vec<_> = self.setups[group].all_disks().map(str::to_owned).collect();
        let disk = disks[self.rng.below(disks.len() as u64) as usize].clone();
        let path = self.rng.below(2) as usize;
        if self.dead.as_mut().is_some_and(|dead| dead.insert((node, disk.clone()))) {
            let leaves = self.rng.one_in(2);
            if leaves {
                let name = self.san.borrow_mut().path_leaves(node, &disk, path);
                self.say(|| {
                    format!("{}: {disk}-{path} leaves, as {name:?}", NAMES[node])
                });
                if let Some(name) = name {
                    self.tally.paths_left += 1;
                    let time = self.takes(1, 1000);
                    let disk = disk.clone();
                    self.after(time, Event::IsForgotten { node, disk, name });
                }
            } else {
                self.say(|| format!("{}: {disk}-{path} fails", NAMES[node]));
                self.san.borrow_mut().disks.set_dead(&disk, Nexus { node, path }, true);
            }
            self.tally.paths_lost += 1;
            let time = Duration::from_millis(self.rng.below(30_000));
            self.after(time, Event::Returns { node, disk, path });
        }
    }

    pub(super) fn path_returns(&mut self, node: usize, disk: String, path: usize) {
        let name = self.san.borrow_mut().path_returns(node, &disk, path);
        self.say(|| format!("{}: {disk}-{path} works again {name:?}", NAMES[node]));
        self.tally.paths_renamed +=
            u64::from(name.is_some_and(|n| n != format!("{disk}-{path}")));
        if let Some(dead) = &mut self.dead {
            dead.remove(&(node, disk));
        }
    }

    /// Makes something go wrong, or has a group moved.
    pub(super) fn trouble(&mut self) {
        let node = self.rng.below(NODES as u64) as usize;
        let group = self.rng.below(GROUPS as u64) as usize;
        let alive = self.san.borrow().is_alive(node);
        let by_one_path = self.dead.is_none();
        match self.rng.below(12) {
            _ if self.course == Course::Moves => self.moves(group),
            2.. if self.course == Course::Disks => self.disk_leaves(node, group),
            1 if self.course == Course::Disks => self.keeper_fails(node, group),
            _ if self.course == Course::Disks => self.moves(group),
            0..=4 if self.dead.is_some() && self.rng.one_in(2) => {
                self.path_dies(node, group);
            }
            0 | 1 if alive => {
                self.say(|| format!("{} loses its power", NAMES[node]));
                self.tally.power_cuts += 1;
                self.power_off(node);
            }
            2 | 3 => self.part(),
            4 | 5 => self.doomed[node] = true,
            6 if alive => {
                self.say(|| format!("{} waits for its disks", NAMES[node]));
                let time = Duration::from_millis(self.rng.below(40_000));
                self.san.borrow_mut().stall(node, time);
                self.stalled = true;
                self.stalled_until[node] = self.now() + time;
                self.disturb(node);
            }
            7 if alive => self.is_held(node, group),
            9 if alive => self.keeper_fails(node, group),
            8 if alive && by_one_path => self.disk_leaves(node, group),
            _ => self.moves(group),
        }
    }

    /// Has something else on a node take a disk of a group for a while, as a volume group does
    /// that initiators have made on a LUN. It can where the disk is not served.
    fn is_held(&mut self, node: usize, group: usize) {
        let luns = &self.setups[group].disks;
        let disk = luns[self.rng.below(luns.len() as u64) as usize].1.clone();
        let san = self.san.borrow();
        let is_open = san.exports(node, &disk);
        let name = san.name_of(node, &disk);
        drop(san);
        let Some(disk) = name.filter(|_| !is_open && !self.held[node][group]) else {
            return;
        };
        self.say(|| format!("{}: something takes {disk}", NAMES[node]));
        self.san.borrow_mut().is_held(node, &disk, HOLDER);
        self.held[node][group] = true;
        self.is_spoilt = true;
        self.tally.held += 1;
        if let Some(acting) = &mut self.agents[node][group] {
            let action = acting.agent.action;
            acting.disturbed |= matches!(action, Action::Start | Action::Reload);
        }
        let time = Duration::from_millis(self.rng.below(20_000));
        self.after(time, Event::LetsGo { node, group, disk });
    }

    pub(super) fn lets_go(&mut self, node: usize, group: usize, disk: &str) {
        self.say(|| format!("{}: {disk} is free again", NAMES[node]));
        self.san.borrow_mut().is_let_go(node, disk, HOLDER);
        self.held[node][group] = false;
    }

    /// Has every side move a group.
    fn moves(&mut self, group: usize) {
        self.say(|| format!("{} is to be moved", self.setups[group].name));
        for side in &mut self.sides {
            side.groups[group].wanted = 1 - side.groups[group].wanted;
        }
    }

    /// Parts the nodes: they no longer hear each other, and each goes on by itself.
    fn part(&mut self) {
        let [side] = self.sides.as_slice() else { return };
        if !(0..NODES).all(|node| side.is_member(node)) {
            return;
        }
        self.say(|| "the nodes do not hear each other".into());
        self.tally.partitions += 1;
        self.is_spoilt = true;
        let (mut one, mut other) = (side.clone(), side.clone());
        one.lose(1);
        other.lose(0);
        self.next_id += 1;
        other.id = self.next_id;
        self.sides = vec![one, other];
    }
}
