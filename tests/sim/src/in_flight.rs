//! Commands that are under way: what counters show of them, and what ends them.

use std::collections::BTreeMap;

use super::commands::{Command, Stage};
use super::san::{Hba, San};
use super::transport::Port;
use understudy_core::fc::address;
use understudy_core::kernel::account::{Account, Commands};
use understudy_core::kernel::{Instant, paths};
use understudy_core::wwn::Wwn;

impl San {
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
        let mut pr_outs = self.pr_outs.values();
        let waits = pr_outs.any(|its| its.node == node && its.port == port.id);
        let command = command.map(|command| format!("a command ({:?})", command.stage));
        command.or(waits.then(|| "a PERSISTENT RESERVE OUT".into()))
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
            self.is_submitted(self.next_id);
        }
    }

    /// Returns how many commands a node has given to a disk.
    pub(super) fn in_flight(&self, node: usize, disk: &str) -> usize {
        let there = self.nodes.get(node);
        let kept_busy = there.is_some_and(|there| self.now < there.busy_until);
        let switch = paths::block(disk, "queue/iostats");
        let read = there.and_then(|there| there.tree.read(&switch).ok());
        if read.is_some_and(|text| text.trim() == "0") {
            return 0;
        }
        let disk = there.map_or(disk, |there| there.first_name(disk));
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
            let address = |name: Wwn| {
                let number = self.initiators.iter().position(|its| *its == name);
                0x01_0300 + number.unwrap_or_default() as u32
            };
            for its in self.pr_outs.values() {
                if its.node == node && its.port == port.id {
                    open.entry((target, address(its.initiator))).or_default().0 += 1;
                }
            }
            for command in self.commands.values().filter(its) {
                let lost = command.stage == Stage::Lost;
                if !lost && !(Stage::Arrived..=Stage::InDisk).contains(&command.stage) {
                    continue;
                }
                let Some(flow) = self.flows.get(command.flow) else { continue };
                let initiator = address(flow.initiator);
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
                true => self.is_carried_out(self.next_id, &command),
                false => self.conflicts(self.next_id, &command),
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
