//! Initiators that write, and their commands on the way: over the fabric to a port,
//! through tcm_fc and LIO, into the disk, and back. It stops the test where an initiator
//! would see an I/O error or lose what it was told is written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::configfs::served;
use super::san::{Event, Hba, San};
use super::transport::Port;
use crate::fabric::address;
use crate::kernel::account::{Account, Commands};
use crate::kernel::{Instant, paths};
use crate::wwn::Wwn;

/// An initiator's writes to one LUN: numbered, one at a time, always to the same place.
#[derive(Debug, Clone)]
pub struct Flow {
    pub(super) initiator: Wwn,
    pub(super) port: Wwn,
    pub(super) lun: u16,
    /// The last write that the initiator was told is done.
    pub acked: u64,
    /// The write that the disk holds.
    written: u64,
    /// The port that it is logged in to, of those with the name.
    session: Option<usize>,
    /// Counts the sessions: the initiator knows nothing of commands of earlier ones.
    epoch: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    flow: usize,
    epoch: u64,
    /// Which of the flow's writes it is.
    number: u64,
    node: usize,
    port: usize,
    disk: String,
    /// Whether anybody owned the disk when it took the command in.
    guarded: bool,
    stage: Stage,
}

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// From the initiator to the port.
    OnTheWire,
    /// With the port, and in no counter but that of its frames.
    Arrived,
    /// A WRITE that was accepted, whose data the initiator still has to send.
    AwaitsData,
    /// Handed to the block device, and in its `inflight` from now on.
    Submitted,
    /// With the disk, past its look at the reservation.
    InDisk,
    /// Given up by its initiator, and never ended: tcm_fc tries its answer again and again.
    Lost,
    /// The answer is on its way to the initiator.
    Answered(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Good,
    /// NOT READY, 04/0A: try again in a moment.
    Transitioning,
    /// RESERVATION CONFLICT.
    Conflict,
}

/// How long a Linux initiator waits when it is told to try again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// After how long an initiator takes a command for lost, and sends it again.
const LOST: Duration = Duration::from_secs(10);

impl San {
    /// Has an initiator write to a LUN from now on, as long as it is logged in.
    pub fn write_from(&mut self, initiator: Wwn, port: Wwn, lun: u16) {
        let (acked, written, session, epoch) = (0, 0, None, 0);
        self.flows.push(Flow { initiator, port, lun, acked, written, session, epoch });
        self.reconnect(self.flows.len() - 1);
    }

    /// Returns how many writes were acknowledged, of each flow.
    pub fn acknowledged(&self) -> impl Iterator<Item = u64> {
        self.flows.iter().map(|flow| flow.acked)
    }

    /// Takes note that an initiator has logged in to a port.
    pub(super) fn connect(&mut self, port: usize, wwpn: Wwn, initiator: Wwn) {
        for flow in 0..self.flows.len() {
            if self.flows.get(flow).is_some_and(|f| {
                f.port == wwpn && f.initiator == initiator && f.session != Some(port)
            }) {
                self.reconnect(flow);
            }
        }
    }

    /// Takes note that a port is gone, and every session with it.
    pub(super) fn disconnected(&mut self, port: usize, wwpn: Wwn) {
        for flow in 0..self.flows.len() {
            let its = self.flows.get(flow);
            if its.is_some_and(|f| f.port == wwpn && f.session == Some(port)) {
                self.reconnect(flow);
            }
        }
    }

    /// Goes on with the newest port of the name that has this initiator's login.
    fn reconnect(&mut self, number: usize) {
        let Some(flow) = self.flows.get_mut(number) else { return };
        let ports = self.nodes.iter().flat_map(|node| &node.ports);
        let ports = ports.filter(|port| {
            port.wwpn == flow.port && port.sessions.contains(&flow.initiator)
        });
        let newest = ports.map(|port| port.id).max();
        // An older port of the name has come late: the session goes on.
        if newest.is_some() && newest == flow.session {
            return;
        }
        flow.session = newest;
        flow.epoch += 1;
        if flow.session.is_some() {
            let event = Event::Sends { flow: number, epoch: flow.epoch };
            let time = self.takes(1, 300);
            self.after(time, event);
        }
    }

    pub(super) fn sends(&mut self, number: usize, epoch: u64) {
        let Some(flow) = self.flows.get(number).filter(|flow| flow.epoch == epoch) else {
            return;
        };
        let Some((node, port)) = flow.session.and_then(|id| {
            let nodes = self.nodes.iter().enumerate();
            nodes
                .flat_map(|(n, node)| node.ports.iter().map(move |port| (n, port.id)))
                .find(|(_, port)| *port == id)
        }) else {
            return;
        };
        let command = Command {
            flow: number,
            epoch,
            number: flow.acked + 1,
            node,
            port,
            disk: String::new(),
            guarded: true,
            stage: Stage::OnTheWire,
        };
        self.next_id += 1;
        self.commands.insert(self.next_id, command);
        let time = self.takes(1, 50);
        self.after(time, Event::Goes { command: self.next_id });
    }

    /// Moves a command on that has been where it was for long enough.
    pub(super) fn goes(&mut self, id: usize) {
        // Aborted, or lost with its node.
        let Some(command) = self.commands.get(&id).cloned() else { return };
        match command.stage {
            Stage::OnTheWire => self.arrives(id, &command),
            Stage::Arrived => self.is_judged(id, &command),
            Stage::AwaitsData => {
                self.frame(&command);
                // What a multipath device queues may take as long as it likes.
                self.moves_on(id, Stage::Submitted, 1, 8000);
            }
            Stage::Submitted if self.stalled(command.node).is_some() => {
                let time = self.stalled(command.node).unwrap_or_default();
                self.after(time, Event::Goes { command: id });
            }
            Stage::Submitted if self.disks.accepts(&command.disk, command.node) => {
                if let Some(command) = self.commands.get_mut(&id) {
                    let now = self.disks.reservation(&command.disk);
                    command.guarded = now.holder.is_some();
                }
                self.moves_on(id, Stage::InDisk, 1, 4000);
            }
            Stage::Submitted => self.is_answered(id, Answer::Conflict),
            Stage::InDisk => self.is_written(id, &command),
            Stage::Lost => {}
            Stage::Answered(answer) => self.is_told(id, &command, answer),
        }
    }

    fn moves_on(&mut self, id: usize, stage: Stage, least: u64, most: u64) {
        if let Some(command) = self.commands.get_mut(&id) {
            command.stage = stage;
        }
        let time = self.takes(least, most);
        self.after(time, Event::Goes { command: id });
    }

    /// Counts a frame that the port sends or receives.
    fn frame(&mut self, command: &Command) {
        let node = self.nodes.get_mut(command.node);
        if let Some(port) = node.and_then(|node| node.port_mut(command.port)) {
            port.frames += 1;
        }
    }

    fn arrives(&mut self, id: usize, command: &Command) {
        let now = self.now;
        let node = self.nodes.get_mut(command.node);
        match node.and_then(|node| node.port_mut(command.port)) {
            // The port has gone; the initiator hears of that by itself.
            None => drop(self.commands.remove(&id)),
            Some(port) if now < port.barred_until => {
                self.commands.remove(&id);
                let event = Event::Sends { flow: command.flow, epoch: command.epoch };
                self.after(LOST, event);
            }
            Some(_) => {
                self.is_answerable(command.node);
                self.frame(command);
                self.moves_on(id, Stage::Arrived, 1, 200);
            }
        }
    }

    /// Has LIO look for the LUN and at its ALUA state.
    #[expect(clippy::panic, reason = "an initiator would see an I/O error")]
    fn is_judged(&mut self, id: usize, command: &Command) {
        let Some(flow) = self.flows.get(command.flow) else { return };
        let node = self.nodes.get(command.node);
        let found =
            node.and_then(|n| served(&n.tree, flow.port, flow.initiator, flow.lun));
        let Some(found) = found else {
            panic!(
                "{} asks {} for LUN {}, which it has seen, and gets an I/O error",
                flow.initiator, flow.port, flow.lun
            );
        };
        if found.transitioning {
            return self.is_answered(id, Answer::Transitioning);
        }
        let inflight = paths::block(&found.device, "inflight");
        if !node.is_some_and(|node| node.tree.exists(&inflight)) {
            panic!(
                "{} sends to {}, which has left the node",
                flow.initiator, found.device
            );
        }
        let device = self.disks.first_name(&found.device).to_owned();
        // It is asked for its data (FCP_XFER_RDY).
        self.frame(command);
        if let Some(command) = self.commands.get_mut(&id) {
            command.disk = device;
        }
        self.moves_on(id, Stage::AwaitsData, 1, 1200);
    }

    #[expect(clippy::panic, reason = "data that was acknowledged would be lost")]
    fn is_written(&mut self, id: usize, command: &Command) {
        let Some(flow) = self.flows.get_mut(command.flow) else { return };
        if !command.guarded && self.forgive_conflicts && command.number < flow.acked {
            self.unguarded += 1;
            return self.is_answered(id, Answer::Conflict);
        }
        flow.written = command.number;
        if flow.written < flow.acked {
            let (Command { number, node, disk, .. }, acked) = (command, flow.acked);
            panic!(
                "write {number} by node {node} reaches {disk} late, over write {acked}"
            );
        }
        self.is_answered(id, Answer::Good);
    }

    fn is_answered(&mut self, id: usize, answer: Answer) {
        if let Some(command) = self.commands.get(&id).cloned() {
            self.frame(&command);
            self.moves_on(id, Stage::Answered(answer), 1, 50);
        }
    }

    #[expect(clippy::panic, reason = "an initiator would see an I/O error")]
    fn is_told(&mut self, id: usize, command: &Command, answer: Answer) {
        self.commands.remove(&id);
        let Some(flow) = self.flows.get_mut(command.flow) else { return };
        if flow.epoch != command.epoch {
            return;
        }
        let forgiven = self.forgive_conflicts || self.untold;
        if answer == Answer::Conflict && !forgiven {
            panic!("{} gets a reservation conflict from {}", flow.initiator, flow.port);
        }
        if answer == Answer::Good && flow.written < command.number {
            panic!("write {} was overwritten by an older one", command.number);
        }
        let time = match answer {
            Answer::Good => {
                flow.acked = command.number;
                self.takes(500, 8000)
            }
            Answer::Transitioning | Answer::Conflict => TRY_AGAIN,
        };
        let event = Event::Sends { flow: command.flow, epoch: command.epoch };
        self.after(time, event);
    }

    /// Returns what a port that logs out would wait for without end. qla2xxx ends what it
    /// has not given to LIO (`qlt_free_session_done`).
    pub(super) fn unfinished(&self, node: usize, port: &Port) -> Option<String> {
        let its = |c: &&Command| c.node == node && c.port == port.id;
        let qla2xxx = self.nodes.get(node).is_some_and(|n| n.hba == Hba::Qla2xxx);
        let first = if qla2xxx { Stage::AwaitsData } else { Stage::Arrived };
        let command = self
            .commands
            .values()
            .filter(its)
            .find(|command| (first..=Stage::Lost).contains(&command.stage));
        command.map(|command| format!("a command ({:?})", command.stage))
    }

    /// Answers an ECHO for an initiator, after all that it had to send before: the data
    /// of the writes that were accepted.
    pub(super) fn echo(&mut self, node: usize, initiator: Wwn) {
        let from = |c: &Command| {
            let flow = self.flows.get(c.flow);
            c.node == node && flow.is_some_and(|flow| flow.initiator == initiator)
        };
        let waiting =
            self.commands.iter().filter(|(_, c)| c.stage == Stage::AwaitsData && from(c));
        let waiting: Vec<_> = waiting.map(|(id, c)| (*id, c.clone())).collect();
        for (id, command) in waiting {
            // Its place on the agenda is that of another command from now on.
            self.commands.remove(&id);
            self.next_id += 1;
            self.commands.insert(self.next_id, command.clone());
            self.frame(&command);
            self.moves_on(self.next_id, Stage::Submitted, 1, 8000);
        }
    }

    /// Returns how many commands a node has given to a disk.
    pub(super) fn in_flight(&self, node: usize, disk: &str) -> usize {
        let there = self.nodes.get(node);
        let kept_busy = there.is_some_and(|there| self.now < there.busy_until);
        let its = self.commands.values().filter(|command| {
            let given = matches!(command.stage, Stage::Submitted | Stage::InDisk);
            given && !self.unseen && command.node == node && command.disk == disk
        });
        its.count() + 4 * usize::from(kept_busy)
    }

    /// Returns the account of a node's only interface. Commands that are over are left out
    /// of both counts.
    pub(super) fn account(&self, node: usize) -> Account {
        let Some(there) = self.nodes.get(node) else { return Account::default() };
        let kept_busy = self.now < there.busy_until;
        let mut open: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
        for port in &there.ports {
            let text = there.tree.read(&paths::fc_host(&port.host, "port_id"));
            let Some(target) = text.ok().and_then(|text| address(text.trim())) else {
                continue;
            };
            let its = |c: &&Command| c.node == node && c.port == port.id;
            for command in self.commands.values().filter(its) {
                let lost = command.stage == Stage::Lost;
                if !lost && !(Stage::Arrived..=Stage::InDisk).contains(&command.stage) {
                    continue;
                }
                let flow = self.flows.get(command.flow);
                let initiator = flow.and_then(|flow| {
                    self.initiators.iter().position(|its| *its == flow.initiator)
                });
                let initiator = 0x01_0300 + initiator.unwrap_or_default() as u32;
                let (came, aborted) = open.entry((target, initiator)).or_default();
                *came += 1;
                *aborted += u64::from(lost);
            }
            if kept_busy {
                open.entry((target, 0)).or_default().0 += 1;
            }
        }
        let commands = open.into_iter().map(|((target, initiator), (came, aborted))| {
            Commands { target, initiator, came, answered: 0, aborted }
        });
        Account {
            ports: there.accounted.clone(),
            commands: commands.collect(),
            missed: 0,
        }
    }

    /// Has a node's target lose what it has taken in: the initiators have given the
    /// commands up, and it never answers them.
    pub fn lose(&mut self, node: usize) {
        let taken = Stage::Arrived..=Stage::InDisk;
        let its = |command: &&mut Command| {
            command.node == node && taken.contains(&command.stage)
        };
        for command in self.commands.values_mut().filter(its) {
            command.stage = Stage::Lost;
        }
    }

    /// Ends what a nexus has in a disk (PREEMPT AND ABORT). Linux's NVMe target ends nothing
    /// early, but answers when all of it is done (`nvmet_pr_do_abort`).
    pub(super) fn abort(&mut self, disk: &str, node: usize) {
        let ids: Vec<_> = self
            .commands
            .iter()
            .filter(|(_, c)| c.stage == Stage::InDisk && c.node == node && c.disk == disk)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(command) = self.commands.remove(&id) else { continue };
            self.next_id += 1;
            self.commands.insert(self.next_id, command.clone());
            match self.disks.is_nvme(disk) {
                true => self.is_written(self.next_id, &command),
                false => self.is_answered(self.next_id, Answer::Conflict),
            }
        }
    }

    /// Forgets what a port had from its initiators: the port has ended it.
    pub(super) fn forget_commands_at(&mut self, node: usize, port: usize) {
        self.commands.retain(|_, c| c.node != node || c.port != port);
    }

    /// Forgets the commands of a dead node: what had not reached a disk never will.
    pub(super) fn forget_commands_of(&mut self, node: usize) {
        self.commands.retain(|_, c| c.node != node || c.stage == Stage::InDisk);
    }

    /// Ends the commands of a node that comes back: it begins with a new login to every
    /// disk, which ends what is left of the old one.
    pub(super) fn abort_commands_of(&mut self, node: usize) {
        self.commands.retain(|_, c| c.node != node);
    }

    /// Drops commands on their way to a port until then.
    pub(super) fn bar_until(&mut self, node: usize, wwpn: Wwn, until: Instant) {
        let ports = self.nodes.get_mut(node).into_iter().flat_map(|n| &mut n.ports);
        for port in ports.filter(|port| port.wwpn == wwpn) {
            port.barred_until = until;
        }
    }
}
