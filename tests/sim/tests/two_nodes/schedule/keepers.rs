//! Keepers of what initiators register: a keeper may die, and its mount stays.

use super::{Course, Schedule};
use crate::agent::NAMES;

impl Schedule {
    /// Has the keeper of a group on a node die, if there is one.
    pub(super) fn keeper_dies(&mut self, node: usize, group: usize) {
        let Some(disk) = self.setups[group].state.clone() else { return };
        if self.course != Course::Moves && self.san.borrow_mut().keeper_dies(node, &disk)
        {
            self.say(|| format!("{}: the keeper on {disk} dies", NAMES[node]));
            self.tally.keepers_died += 1;
            if let Some(acting) = &mut self.agents[node][group] {
                acting.unkept = true;
            }
        }
    }

    /// Returns whether a group's keeper on a node has died.
    pub(super) fn is_unkept(&self, node: usize, group: usize) -> bool {
        let disk = self.setups[group].state.as_ref();
        disk.is_some_and(|disk| self.san.borrow().has_dead_keeper(node, disk))
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
