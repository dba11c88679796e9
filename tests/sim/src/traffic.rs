//! Initiators that write and read, and their commands on the way: over the fabric to a
//! port, through tcm_fc and LIO, into the disk, and back. It stops the test where an
//! initiator would see an I/O error, lose what it was told is written, or meet another disk
//! behind a LUN.

use std::time::Duration;

use super::commands::{Answer, Asks, Command, Flow, Stage};
use super::configfs::{self, served};
use super::contents::Written;
use super::san::{Event, Hba, San};
use understudy_core::wwn::Wwn;

/// How long a Linux initiator waits when it is told to try again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// After how long an initiator takes a command for lost, and sends it again.
const LOST: Duration = Duration::from_secs(10);

impl San {
    /// Has an initiator write to a LUN, which is this disk, from now on, as long as it is
    /// logged in.
    pub fn write_from(&mut self, initiator: Wwn, port: Wwn, lun: u16, disk: &str) {
        self.flows.push(Flow {
            initiator,
            port,
            lun,
            disk: disk.to_owned(),
            serial: None,
            acked: 0,
            looks: true,
            session: None,
            epoch: 0,
        });
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
        flow.looks = true;
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
            asks: if flow.looks { Asks::Read } else { Asks::Write(flow.acked + 1) },
            node,
            port,
            disk: String::new(),
            unguarded: false,
            is_cut_off: false,
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
            Stage::Arrived if self.waits_behind(id, command.node, command.port) => {}
            Stage::Arrived => self.is_judged(id, &command),
            Stage::AwaitsData => {
                self.frame(&command);
                self.is_submitted(id);
            }
            Stage::Submitted if self.stalled(command.node).is_some() => {
                let time = self.stalled(command.node).unwrap_or_default();
                self.after(time, Event::Goes { command: id });
            }
            // Write Exclusive lets anybody read.
            Stage::Submitted if command.asks == Asks::Read => {
                self.moves_on(id, Stage::InDisk, 1, 4000);
            }
            Stage::Submitted if self.disks.accepts(&command.disk, command.node) => {
                if self.unfenced.contains(&command.node) {
                    let now = self.disks.reservation(&command.disk);
                    if let Some(command) = self.commands.get_mut(&id) {
                        command.unguarded = now.holder.is_none();
                    }
                }
                self.moves_on(id, Stage::InDisk, 1, 4000);
            }
            Stage::Submitted => self.conflicts(id, &command),
            Stage::InDisk => self.is_carried_out(id, &command),
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

    /// Hands a command to the block device.
    pub(super) fn is_submitted(&mut self, id: usize) {
        if self.commands.get(&id).is_some_and(|command| command.is_cut_off) {
            return self.is_answered(id, Answer::Error);
        }
        let most = self.queues.as_millis() as u64;
        self.moves_on(id, Stage::Submitted, 1, most);
    }

    /// Counts a frame that the port sends or receives.
    pub(super) fn frame(&mut self, command: &Command) {
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
                self.sends_after(LOST, command);
            }
            Some(_) => {
                self.is_answerable(command.node);
                self.frame(command);
                self.moves_on(id, Stage::Arrived, 1, 200);
            }
        }
    }

    /// Has LIO look for the LUN and at its ALUA state.
    #[expect(clippy::panic, reason = "an initiator would see an error, or another disk")]
    fn is_judged(&mut self, id: usize, command: &Command) {
        let Some(flow) = self.flows.get_mut(command.flow) else { return };
        if let Some(node) = self.nodes.get_mut(command.node) {
            configfs::count(&mut node.tree, flow.port, flow.initiator, flow.lun);
        }
        let node = self.nodes.get(command.node);
        let found =
            node.and_then(|n| served(&n.tree, flow.port, flow.initiator, flow.lun));
        let Some(found) = found else {
            panic!(
                "{} asks {} for LUN {}, which it has seen, and gets an I/O error",
                flow.initiator, flow.port, flow.lun
            );
        };
        let known = flow.serial.get_or_insert_with(|| found.serial.to_owned());
        if known != found.serial {
            panic!(
                "{} knows LUN {} of {} as {known}, and it is {} now",
                flow.initiator, flow.lun, flow.port, found.serial
            );
        }
        if found.transitioning {
            return self.is_answered(id, Answer::Transitioning);
        }
        let is_here = node.is_some_and(|node| node.has_device(found.device));
        let disk = node.map_or("", |node| node.first_name(found.device)).to_owned();
        if let Some(command) = self.commands.get_mut(&id) {
            command.disk = disk;
            command.is_cut_off = !is_here;
        }
        match command.asks {
            Asks::Write(_) => {
                // It is asked for its data (FCP_XFER_RDY). Nothing tells of a WRITE that
                // waits for its data on qla2xxx, where no initiator gives an echo: that
                // the data come within this time is an assumption (docs/qla2xxx.md).
                let late = match node.map(|node| node.hba) {
                    Some(Hba::Qla2xxx) => 300,
                    _ => 1200,
                };
                self.frame(command);
                self.moves_on(id, Stage::AwaitsData, 1, late);
            }
            Asks::Read => self.is_submitted(id),
        }
    }

    /// Has the disk carry a command out, and answer.
    pub(super) fn is_carried_out(&mut self, id: usize, command: &Command) {
        if let Some(answer) = self.carry_out(command) {
            self.is_answered(id, answer);
        }
    }

    /// Has the disk carry a command out.
    #[expect(clippy::panic, reason = "data would be lost, or be another's")]
    pub(super) fn carry_out(&mut self, command: &Command) -> Option<Answer> {
        let flow = self.flows.get(command.flow)?;
        let (Command { node, disk, .. }, acked) = (command, flow.acked);
        let Asks::Write(number) = command.asks else {
            let found = self.disks.written(disk, flow.place());
            return Some(Answer::Data(found));
        };
        if *disk != flow.disk {
            let Flow { lun, port, disk: its, .. } = flow;
            panic!(
                "write {number} to LUN {lun} of {port}, which is {its}, reaches {disk}"
            );
        }
        if command.unguarded && number < acked {
            self.unguarded += 1;
            return Some(Answer::Excused);
        }
        if number < acked {
            panic!(
                "write {number} by node {node} reaches {disk} late, over write {acked}"
            );
        }
        let written = Written { flow: command.flow, number };
        self.disks.write(disk, flow.place(), written);
        Some(Answer::Good)
    }

    /// Answers a command that its disk refuses, because another node has it.
    pub(super) fn conflicts(&mut self, id: usize, command: &Command) {
        let holder = self.disks.holder(&command.disk);
        let mut nodes = holder.into_iter().chain([command.node]);
        let excused = nodes.any(|node| self.unfenced.contains(&node));
        let answer = if excused { Answer::Excused } else { Answer::Conflict };
        self.is_answered(id, answer);
    }

    pub(super) fn is_answered(&mut self, id: usize, answer: Answer) {
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
        if answer == Answer::Conflict && !self.untold {
            panic!("{} gets a reservation conflict from {}", flow.initiator, flow.port);
        }
        let held = match (answer, command.asks) {
            (Answer::Good, Asks::Write(number)) => {
                flow.acked = number;
                flow.looks = number % 4 == 0;
                self.disks.written(&flow.disk, flow.place())
            }
            (Answer::Data(found), _) => {
                flow.looks = false;
                found
            }
            (Answer::Error, _) => {
                // The write was done or not: it looks.
                flow.looks = true;
                self.errors += 1;
                return self.sends_after(TRY_AGAIN, command);
            }
            _ => return self.sends_after(TRY_AGAIN, command),
        };
        flow.must_hold(command.flow, held);
        let time = self.takes(500, 8000);
        self.sends_after(time, command);
    }

    /// Has an initiator send its next command after some time.
    fn sends_after(&mut self, time: Duration, command: &Command) {
        let event = Event::Sends { flow: command.flow, epoch: command.epoch };
        self.after(time, event);
    }
}
