//! PERSISTENT RESERVE OUT on its way: LIO answers it when the keeper has written
//! (`core_scsi3_update_and_write_aptpl` in drivers/target/target_core_pr.c). A REGISTER whose
//! file was not written is answered with an error, but LIO holds it. With tcm_fc
//! the port takes in nothing else meanwhile: each processor does the work of a port group
//! one after another (`ft_add_tpg` in drivers/target/tcm_fc/tfc_conf.c), and a node here
//! has one processor. So no text of LIO's is written after a newer one here, which a real
//! node may do (`saved_reservations/reconciled.rs`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::configfs;
use super::san::{Event, Hba, San};
use understudy_core::kernel::Instant;
use understudy_core::kernel::state::Record;
use understudy_core::wwn::Wwn;

/// How long a keeper lets its device take for a change (`agent/src/keep.rs`).
const PATIENCE: Duration = Duration::from_secs(5);
/// The time until a device that stands still is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What an initiator asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub initiator: Wwn,
    pub port: Wwn,
    pub lun: u16,
    pub key: u64,
    /// The type of the reservation, if one is made too.
    pub reserve: Option<u8>,
}

/// Where LIO's text of a LUN goes.
#[derive(Debug, Clone)]
pub(super) enum Text {
    /// Nowhere, and it need not: LIO holds it alone.
    Held,
    /// Nowhere: LIO's file does not lead to a keeper.
    Nowhere,
    /// To the keeper of a directory, which writes it to a device.
    Saved { at: PathBuf, device: String, record: Record },
}

/// A command that waits for its keeper.
#[derive(Debug, Clone)]
pub(super) struct PrOut {
    pub node: usize,
    pub port: usize,
    pub initiator: Wwn,
    at: PathBuf,
    device: String,
    record: Record,
    since: Instant,
    /// When the keeper turns to it, as far as is known.
    due: Instant,
    /// Commands behind it.
    behind: Vec<usize>,
}

impl San {
    /// Has an initiator register a key through a port. Returns the number under which the
    /// answer comes ([`Self::answers`]); `None` where the command does not come to LIO.
    pub fn asks_to_register(
        &mut self,
        initiator: Wwn,
        port: Wwn,
        lun: u16,
        key: u64,
    ) -> Option<usize> {
        let (node, store) = self.session(initiator, port, lun)?;
        let (now, there) = (self.now, self.nodes.get_mut(node)?);
        let its = there.ports.iter_mut().find(|its| its.wwpn == port)?;
        let waits = |its: &PrOut| its.initiator == initiator;
        if now < its.barred_until || self.pr_outs.values().any(waits) {
            return None;
        }
        its.frames += 1;
        let port_id = its.id;
        configfs::count(&mut there.tree, port, initiator, lun);
        if configfs::is_transitioning(&there.tree, &store) {
            return None;
        }
        let asked = Asked { initiator, port, lun, key, reserve: None };
        self.next_id += 1;
        let id = self.next_id;
        match self.take_in(node, &store, &asked) {
            Text::Held => self.answers.push((id, Some(true))),
            Text::Nowhere => self.answers.push((id, Some(false))),
            Text::Saved { at, device, record } => {
                let time = self.takes(1, 60);
                let due = now.max(self.keeper_is_busy_until(node, &at)) + time;
                if let Some(keeper) = self.keeper_mut(node, &at) {
                    keeper.writes_until = due;
                }
                let (port, behind) = (port_id, Vec::new());
                let its = PrOut {
                    node,
                    port,
                    initiator,
                    at,
                    device,
                    record,
                    since: now,
                    due,
                    behind,
                };
                self.pr_outs.insert(id, its);
                self.changes += u64::from(due > now + time);
                self.saves_at(id, due);
            }
        }
        Some(id)
    }

    /// Has the keeper write what a command waits for, unless it stands still or its device
    /// does. It has written by then what it was asked for before: FUSE gives its one thread
    /// a request at a time, the oldest first (`fuse_dev_do_read` in fs/fuse/dev.c).
    pub(super) fn saves(&mut self, id: usize) {
        let Some(PrOut { node, at, device, record, since, .. }) = self.pr_outs.get(&id)
        else {
            return;
        };
        let mut before = self.pr_outs.range(..id).map(|(_, its)| its);
        if let Some(first) = before.find(|its| its.node == *node && its.at == *at) {
            return self.saves_at(id, first.due);
        }
        let (node, at, device) = (*node, at.clone(), device.clone());
        let (record, waited) = (record.clone(), self.now.saturating_sub(*since));
        let keeper = self.nodes.get(node).and_then(|node| node.keepers.get(&at));
        let Some(keeper) = keeper.filter(|keeper| !keeper.is_dead) else {
            // FUSE asks no process that has ended (`fuse_get_req` in fs/fuse/dev.c).
            return self.ends(id, Some(false));
        };
        let still = keeper.still_until;
        if self.now < still {
            return self.saves_at(id, still);
        }
        if let Some(time) = self.stalled(node).filter(|_| waited < PATIENCE) {
            let time = time.min(LOOK_AGAIN);
            let until = self.now + time;
            if let Some(keeper) = self.keeper_mut(node, &at) {
                keeper.writes_until = keeper.writes_until.max(until);
            }
            return self.saves_at(id, until);
        }
        let first = self.nodes.get(node).map_or("", |node| node.first_name(&device));
        let may_write = self.stalled(node).is_none() && self.disks.accepts(first, node);
        let is_saved = may_write && self.save(node, &at, &device, record);
        self.ends(id, Some(is_saved));
    }

    /// Has the keeper turn to a command at some moment.
    fn saves_at(&mut self, id: usize, due: Instant) {
        if let Some(its) = self.pr_outs.get_mut(&id) {
            its.due = due;
        }
        self.after(due.saturating_sub(self.now), Event::Saves { pr_out: id });
    }

    /// Answers every command that waits for a keeper with an error: there is none any longer
    /// (`fuse_abort_conn`).
    pub(super) fn refuse(&mut self, node: usize, at: &Path) {
        let its = self.pr_outs.iter().filter(|(_, its)| its.node == node && its.at == at);
        let ids: Vec<_> = its.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.ends(id, Some(false)));
    }

    /// Returns when a keeper gives up the change that it works on; `None` if it has none.
    pub(super) fn pr_out_before_keeper(&self, node: usize, at: &Path) -> Option<Instant> {
        let mut its = self.pr_outs.values();
        let first = its.find(|its| its.node == node && its.at == at)?;
        Some(first.since + PATIENCE)
    }

    /// Forgets the commands of a node whose power is gone.
    pub(super) fn forget_pr_outs_of(&mut self, node: usize) {
        let its = self.pr_outs.iter().filter(|(_, its)| its.node == node);
        let ids: Vec<_> = its.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.ends(id, None));
    }

    fn ends(&mut self, id: usize, answer: Option<bool>) {
        let Some(PrOut { node, port, behind, .. }) = self.pr_outs.remove(&id) else {
            return;
        };
        self.answers.push((id, answer));
        let there = self.nodes.get_mut(node).and_then(|node| node.port_mut(port));
        there.into_iter().for_each(|port| port.frames += 1);
        for command in behind {
            let time = self.takes(0, 20);
            self.after(time, Event::Goes { command });
        }
    }

    /// Has a command wait behind a PERSISTENT RESERVE OUT of its port, if there is one.
    pub(super) fn waits_behind(&mut self, id: usize, node: usize, port: usize) -> bool {
        if self.nodes.get(node).is_none_or(|node| node.hba != Hba::Libfc) {
            return false;
        }
        let mut all = self.pr_outs.values_mut();
        let first = all.find(|its| its.node == node && its.port == port);
        first.map(|its| its.behind.push(id)).is_some()
    }

    /// Returns whether a command of a port waits for a keeper that stands still.
    pub fn waits_for_still_keeper(&self, node: usize, wwpn: Wwn) -> bool {
        let there = self.nodes.get(node);
        let port = there.and_then(|node| node.port(wwpn)).map(|port| port.id);
        self.pr_outs.values().any(|its| {
            let keeper = there.and_then(|node| node.keepers.get(&its.at));
            its.node == node
                && Some(its.port) == port
                && keeper.is_some_and(|keeper| self.now < keeper.still_until)
        })
    }
}
