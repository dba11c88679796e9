//! Edits of the groups' configurations, and what a reload makes of them.

use std::rc::Rc;
use std::time::Duration;

use understudy_core::verbs::Level;

use super::Schedule;
use super::parts::{Acting, Event};
use crate::agent::{Action, Answer, NAMES, keys};
use crate::cluster::{GROUPS, NODES, Stale};
use crate::common::initiators;
use crate::groups::{Config, SPARE, Wrong};

impl Acting {
    /// Returns whether this action has the configuration that was in force.
    pub(super) fn is_as_before(&self) -> bool {
        self.before.as_ref().is_none_or(|before| Rc::ptr_eq(before, &self.config))
    }
}

impl Schedule {
    /// Returns the configuration that an action gets. A monitor that recurs, and a stop, go by
    /// what was in force, unless the node has forgotten it.
    pub(super) fn told(
        &mut self,
        node: usize,
        group: usize,
        action: Action,
    ) -> Rc<Config> {
        let now = &self.configs[node][group];
        let told = match action {
            Action::Start | Action::Reload => now,
            Action::Stop | Action::Monitor(Level::Port) if self.rng.one_in(8) => now,
            _ => self.applied[node][group].as_ref().unwrap_or(now),
        };
        Rc::clone(told)
    }

    /// Returns which groups are served as they were configured before.
    pub(super) fn stale(&self) -> Stale {
        let is_stale = |node: usize, group: usize| {
            let applied = self.applied[node][group].as_ref();
            applied.is_some_and(|its| !Rc::ptr_eq(its, &self.configs[node][group]))
        };
        [0, 1].map(|node| [0, 1].map(|group| is_stale(node, group)))
    }

    /// Returns whether a group runs as it was configured before, or its configuration is wrong.
    pub(super) fn is_any_stale(&self) -> bool {
        if self.configs.iter().flatten().any(|config| config.wrong.is_some()) {
            return true;
        }
        let (stale, side) = (self.stale(), &self.sides[0]);
        let runs = |node: usize, group: usize| side.runs(node, group);
        (0..NODES)
            .any(|node| (0..GROUPS).any(|group| stale[node][group] && runs(node, group)))
    }

    /// Has somebody edit the configuration of a group, on one side of the cluster.
    pub(super) fn edits(&mut self) {
        let group = self.rng.below(GROUPS as u64) as usize;
        let side = self.rng.below(self.sides.len() as u64) as usize;
        let Some(side) = self.sides.get(side) else { return };
        let members: Vec<_> = (0..NODES).filter(|node| side.is_member(*node)).collect();
        let Some(before) = members.first().map(|node| &self.configs[*node][group]) else {
            return;
        };
        let spare = self.setups[group].disks.iter().find(|(lun, _)| *lun == SPARE);
        let (Some((_, spare)), None) = (spare, before.wrong) else { return };
        let after = match self.rng.below(8) {
            0 => before.spoilt(Wrong::Nonsense, spare),
            1 => before.spoilt(Wrong::Missing, spare),
            2 => before.spoilt(Wrong::Swapped, spare),
            3 => before.changed(None),
            _ => before.changed(Some(spare)),
        };
        self.tally.edits += 1;
        let name = &self.setups[group].name;
        self.say(|| match after.wrong {
            Some(wrong) => format!("{name} is edited, wrongly: {wrong:?}"),
            None => format!("{name} is edited: {:?}", after.setup.disks),
        });
        if after.wrong.is_some() {
            self.tally.wrong_edits += 1;
            self.good[group] = Rc::clone(before);
            let time = Duration::from_millis(self.rng.below(4000));
            self.after(time, Event::Repairs { group });
        }
        let after = Rc::new(after);
        members.iter().for_each(|node| self.configs[*node][group] = Rc::clone(&after));
    }

    /// Has somebody undo what is wrong with a group's configuration.
    pub(super) fn repairs(&mut self, group: usize) {
        let good = Rc::clone(&self.good[group]);
        for node in 0..NODES {
            if self.configs[node][group].wrong.is_some() {
                self.say(|| format!("{} is repaired", self.setups[group].name));
                self.configs[node][group] = Rc::clone(&good);
            }
        }
    }

    /// Has nodes that meet agree on one of their copies of the configuration.
    pub(super) fn agrees(&mut self) {
        let node = self.rng.below(NODES as u64) as usize;
        self.configs[1 - node] = self.configs[node].clone();
    }

    /// Takes note of what is in force on a node after an action.
    pub(super) fn is_put_into_force(
        &mut self,
        node: usize,
        group: usize,
        acting: &Acting,
        answer: &Answer,
    ) {
        let config = Some(Rc::clone(&acting.config));
        match (acting.agent.action, answer) {
            (Action::Start | Action::Reload, Answer::Done)
            | (Action::Reload, Answer::Refused(_)) => self.applied[node][group] = config,
            (Action::Stop, Answer::Done) => self.applied[node][group] = None,
            _ => {}
        }
        // A keeper that stands still lets a reload do its work, and fail at the end of its time.
        let excused = acting.disturbed
            || acting.unkept
            || !acting.lacks.is_empty()
            || acting.clings;
        if let (Action::Reload, false, true, Some(before)) =
            (acting.agent.action, excused, acting.was_whole, &acting.before)
        {
            let is_as_it_was =
                matches!(answer, Answer::Done) || self.is_whole(node, group, before);
            assert!(
                is_as_it_was,
                "{} on {} lacks something since {answer:?}",
                self.setups[group].name, NAMES[node]
            );
        }
        self.numbers_are_kept(node, group);
    }

    /// Asserts that a configuration that is wrong is not put into force, and that a reload which
    /// would put another disk behind a number has the group go on as it was.
    pub(super) fn is_refused(
        &self,
        node: usize,
        group: usize,
        acting: &Acting,
        answer: &Answer,
    ) {
        let (name, action) = (&self.setups[group].name, acting.agent.action);
        let (true, Some(wrong)) =
            (matches!(action, Action::Start | Action::Reload), acting.config.wrong)
        else {
            return;
        };
        assert_ne!(*answer, Answer::Done, "{action:?} of {name} on {node}, by {wrong:?}");
        let is_swap = action == Action::Reload && wrong == Wrong::Swapped;
        let excused = acting.disturbed || !acting.lacks.is_empty();
        assert!(
            !is_swap || excused || matches!(answer, Answer::Refused(_)),
            "a reload of {name} on {node} would have it restarted: {answer:?}"
        );
    }

    /// Asserts that a reload has put a configuration into force, and left nothing of a LUN that
    /// went.
    pub(super) fn is_changed(&mut self, node: usize, group: usize, acting: &Acting) {
        let (name, config) = (&self.setups[group].name, &acting.config);
        let excused = !acting.lacks.is_empty() || acting.clings;
        assert!(
            excused || !acting.was_whole || self.is_whole(node, group, config),
            "{name} was reloaded on {node}, and is not whole"
        );
        let san = self.san.borrow();
        for (_, disk) in &self.setups[group].disks {
            let is_in = config.setup.disks.iter().any(|(_, its)| its == disk);
            let ours = keys(node);
            if is_in {
                continue;
            }
            assert!(!san.exports(node, disk), "{name}: {disk} is open since it left");
            let is_ours =
                san.disks.reservation(disk).keys.iter().any(|key| ours.are(*key));
            let excused = acting.lacks.contains(disk);
            // A node that dies while it gives a disk up leaves its key there, and after that
            // no configuration names the disk.
            let had = acting.before.as_ref().is_some_and(|before| before.has_spare());
            assert!(!is_ours || excused || !had, "{name}: a key on {disk} since it left");
            self.tally.luns_gone += u64::from(had);
        }
    }

    /// Asserts that every LUN number of a group leads to its disk, where it leads anywhere.
    fn numbers_are_kept(&self, node: usize, group: usize) {
        let san = self.san.borrow();
        for (lun, disk) in self.setups[group].disks.iter().filter(|_| self.is_edited) {
            for port in &self.wwpns[group] {
                let found = san.disk_behind(node, *port, initiators()[0], *lun);
                let name = &self.setups[group].name;
                assert!(
                    found.as_ref().is_none_or(|found| found == disk),
                    "LUN {lun} of {name} is {found:?} on {node}, not {disk}"
                );
            }
        }
    }

    /// Asserts at the end that nobody serves a LUN that has left its group.
    pub(super) fn nobody_serves_what_left(&self) {
        let san = self.san.borrow();
        for (node, group) in (0..NODES).flat_map(|n| (0..GROUPS).map(move |g| (n, g))) {
            let config = &self.configs[node][group];
            let spare = self.setups[group].disks.iter().find(|(lun, _)| *lun == SPARE);
            let Some((_, disk)) = spare.filter(|_| !config.has_spare()) else { continue };
            assert!(!san.exports(node, disk), "{disk} has left, and is open on {node}");
        }
    }
}
