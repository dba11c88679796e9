//! Keepers of what initiators register: a keeper may die, and its mount stays; it may stand
//! still, and then every question to it waits.

use std::time::Duration;

use understudy_sim::Hba;

use super::Schedule;
use crate::agent::NAMES;
use crate::cluster::{GROUPS, NODES};

/// For how long a keeper stands still that does so for good.
const FOR_GOOD: Duration = Duration::from_secs(100_000);

impl Schedule {
    /// Has the keeper of a group on a node die or stand still, if there is one.
    pub(super) fn keeper_fails(&mut self, node: usize, group: usize) {
        let Some(disk) = self.setups[group].state.clone() else { return };
        let mut san = self.san.borrow_mut();
        let failed = match self.rng.below(4) {
            0 | 1 if san.keeper_dies(node, &disk) => {
                self.tally.keepers_died += 1;
                "dies"
            }
            kind @ (2 | 3) => {
                let for_a_while = Duration::from_millis(self.rng.below(30_000));
                let time = if kind == 2 { for_a_while } else { FOR_GOOD };
                if !san.keeper_stands_still(node, &disk, time) {
                    return;
                }
                self.tally.keepers_still += 1;
                // Nothing counts commands there, so a stop has to hear the keeper.
                self.is_spoilt |= san.hba == Hba::Qla2xxx;
                "stands still"
            }
            _ => return,
        };
        drop(san);
        self.say(|| format!("{}: the keeper on {disk} {failed}", NAMES[node]));
        if let Some(acting) = &mut self.agents[node][group] {
            acting.unkept = true;
        }
    }

    /// Returns whether a group's keeper on a node has died, or stands still.
    pub(super) fn is_unkept(&self, node: usize, group: usize) -> bool {
        let (disk, san) = (self.setups[group].state.as_ref(), self.san.borrow());
        disk.is_some_and(|disk| {
            san.has_dead_keeper(node, disk) || san.has_still_keeper(node, disk)
        })
    }

    /// Returns whether a registration that came by a port of a group waits for a keeper that
    /// stands still. Such a command may not be ended: LIO would answer some of its kind with
    /// success, and nobody would have saved them.
    pub(super) fn is_stuck(&self, node: usize, group: usize) -> bool {
        let san = self.san.borrow();
        self.setups[group].state.is_some()
            && self.wwpns[group]
                .iter()
                .any(|wwpn| san.waits_for_still_keeper(node, *wwpn))
    }

    /// Ends what a start has left that was killed.
    pub(super) fn start_is_killed(&mut self, node: usize, group: usize) {
        if let Some(disk) = &self.setups[group].state {
            self.san.borrow_mut().start_is_killed(node, disk);
        }
    }

    /// Takes note of registrations that wait for keepers that stand still: stops fail for
    /// them.
    pub(super) fn note_stuck(&mut self) {
        if self.unanswered.is_empty() {
            return;
        }
        for (node, group) in (0..NODES).flat_map(|n| (0..GROUPS).map(move |g| (n, g))) {
            if self.agents[node][group].is_some() && self.is_stuck(node, group) {
                if let Some(acting) = &mut self.agents[node][group] {
                    acting.stuck = true;
                }
            }
        }
    }

    /// Asserts that the keeper of a group that was started on a node knows what is on the
    /// state disk: else it takes nothing more.
    pub(super) fn is_kept(&self, node: usize, group: usize) {
        let (name, san) = (&self.setups[group].name, self.san.borrow());
        let Some(disk) = &self.setups[group].state else { return };
        let is_sound = san.has_dead_keeper(node, disk) || san.keeper_knows(node, disk);
        assert!(
            is_sound,
            "{name} was started on {node}, and its keeper knows too little"
        );
    }
}
