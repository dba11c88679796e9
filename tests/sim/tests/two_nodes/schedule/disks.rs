//! Disks that leave a node and come back, under another name if theirs is still in use: a
//! cable that is reseated, a link that is lost for long.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Course, Event, Schedule};
use crate::agent::NAMES;

impl Schedule {
    /// Has a disk of a group leave a node for a while.
    pub(super) fn disk_leaves(&mut self, node: usize, group: usize) {
        let disks: Vec<_> = self.setups[group].all_disks().map(str::to_owned).collect();
        let disk = disks[self.rng.below(disks.len() as u64) as usize].clone();
        let name = self.san.borrow().name_of(node, &disk);
        let key = (node, disk);
        // A node that is off has none.
        let Some(name) = name.filter(|_| !self.away.contains_key(&key)) else { return };
        self.say(|| format!("{}: {} leaves, as {name}", NAMES[node], key.1));
        self.tally.disks_left += 1;
        if let Some(acting) = &mut self.agents[node][group] {
            acting.lacks.insert(key.1.clone());
            self.tally.left_in_action += 1;
        } else if self.san.borrow().exports(node, &key.1) {
            self.tally.left_in_service += 1;
        }
        self.san.borrow_mut().leaves(node, &name);
        self.next_id += 1;
        let id = self.next_id;
        let time = self.takes(10, 30_000);
        self.after(time, Event::ComesBack { node, disk: key.1.clone(), id });
        self.away.insert(key, id);
    }

    /// Has a disk of a group leave between the operations of an action that begins, now and
    /// then.
    pub(super) fn disk_may_leave(&mut self, node: usize, group: usize) {
        let may = self.course != Course::Moves && self.dead.is_none();
        if may && self.now() < self.calm_at && self.rng.one_in(40) {
            let time = self.takes(0, 4000);
            self.after(time, Event::Leaves { node, group });
        }
    }

    /// Brings a disk back, unless the node was off meanwhile and has found it at its boot.
    pub(super) fn disk_comes_back(&mut self, node: usize, disk: String, id: u64) {
        if self.away.get(&(node, disk.clone())) != Some(&id) {
            return;
        }
        let name = self.san.borrow_mut().comes_back_as(node, &disk);
        self.say(|| format!("{}: {disk} is back, as {name:?}", NAMES[node]));
        self.tally.renamed += u64::from(name.as_ref() != Some(&disk));
        // udev needs a moment.
        let time = self.takes(1, 1000);
        self.after(time, Event::IsNamed { node, disk, id });
    }

    /// Has udev link to a disk that has come back.
    pub(super) fn disk_is_named(&mut self, node: usize, disk: String, id: u64) {
        let key = (node, disk);
        if self.away.get(&key) == Some(&id) {
            self.san.borrow_mut().is_named(node, &key.1);
            self.away.remove(&key);
        }
    }

    /// Returns the disks of a group that are not on a node, or not under their lasting
    /// names.
    pub(super) fn lacks(&self, node: usize, group: usize) -> BTreeSet<String> {
        let all = self.setups[group].all_disks().map(str::to_owned);
        all.filter(|disk| self.away.contains_key(&(node, disk.clone()))).collect()
    }

    /// Returns whether a node has a disk of a group open that has left it: initiators meet
    /// errors until the group is stopped there.
    pub(super) fn clings(&self, node: usize, group: usize) -> bool {
        let san = self.san.borrow();
        self.setups[group].all_disks().any(|disk| san.clings(node, disk))
    }

    /// Forgets which disks were away from a node: it finds all at its boot.
    pub(super) fn finds_all(&mut self, node: usize) {
        self.away.retain(|(its, _), _| *its != node);
    }

    /// Has more trouble come where disks alone make any.
    pub(super) fn disks_alone(&mut self) {
        self.tally.disks_alone += 1;
        for _ in 0..2 {
            let time = Duration::from_millis(self.rng.below(16_000));
            self.after(time, Event::Trouble);
        }
    }
}
