//! What must be true in a schedule, at every moment and of every answer.

use std::rc::Rc;

use understudy_core::verbs::{Health, Level};
use understudy_core::wwn::Wwn;

use super::{Acting, Schedule};
use crate::agent::{Action, Answer, NAMES, keys};
use crate::cluster::{GROUPS, NODES};
use crate::common::initiators;
use crate::groups::Config;

impl Schedule {
    /// Notes whether a group is served or idle on a node while an agent acts on it.
    pub(super) fn see(&mut self, node: usize, group: usize) {
        let san = self.san.borrow();
        let on = |wwpn: &Wwn| san.logged_in_at(*wwpn).contains(&node);
        let serving = self.wwpns[group].iter().all(on);
        let idle = !self.wwpns[group].iter().any(on);
        if let Some(acting) = &mut self.agents[node][group] {
            acting.seen_serving |= serving;
            acting.seen_idle |= idle;
            acting.seen_less |= !serving;
            let owns = |disk| keys(node).own(&san.disks.reservation(disk));
            let config = Rc::clone(&acting.config);
            let disks = config.setup.all_disks();
            for (seen, disk) in acting.seen_owned.iter_mut().zip(disks) {
                *seen = *seen || owns(disk);
            }
        }
    }

    /// Asserts that an answer is true, or was true at some moment of the action.
    pub(super) fn is_true(
        &mut self,
        node: usize,
        group: usize,
        acting: &Acting,
        answer: &Answer,
    ) {
        let name = &self.setups[group].name;
        let action = acting.agent.action;
        let well = matches!(answer, Answer::Done | Answer::Health(Health::Running));
        let count = match action {
            Action::Start => &mut self.tally.starts,
            Action::Stop => &mut self.tally.stops,
            Action::Reload => &mut self.tally.reloads,
            Action::Monitor(_) => &mut self.tally.monitors,
        };
        count[usize::from(!well)] += 1;
        self.tally.unspoilt += u64::from(!self.is_spoilt);
        self.is_refused(node, group, acting, answer);
        match (action, answer) {
            (Action::Reload, Answer::Done) => self.is_changed(node, group, acting),
            (Action::Start, Answer::Done) => {
                assert!(
                    acting.seen_serving,
                    "{name} was started on {node}, and is not there"
                );
                self.is_owned(node, group, acting);
                // A node that should have been fenced may have answered an initiator.
                if self.tally.lies == 0 {
                    self.knows_what_was_registered(group);
                    self.is_kept(node, group);
                }
            }
            (Action::Stop, Answer::Done) => self.is_left(node, group, acting),
            (Action::Monitor(level), Answer::Health(Health::Running)) => {
                assert!(
                    acting.seen_serving,
                    "{name} is not Active on {node}, but running"
                );
                assert!(
                    !acting.clings || !self.clings(node, group),
                    "{name} is running on {node}, from a disk that has left"
                );
                if level >= Level::Owner {
                    assert!(
                        !acting.was_unkept || !self.is_unkept(node, group),
                        "{name} is running on {node}, and its keeper has died"
                    );
                    self.is_owned(node, group, acting);
                }
            }
            (Action::Monitor(_), Answer::Health(Health::NotRunning)) => {
                assert!(acting.seen_idle, "{name} is Active on {node}, and not running");
            }
            _ => self.is_needed(node, group, acting, answer),
        }
    }

    /// Asserts that a node owns each disk of a group, or did at some moment of the action if
    /// one that was not fenced may have taken a disk meanwhile. Not all at once: of two nodes
    /// that both were not fenced, each may take a disk from the other in turn.
    fn is_owned(&self, node: usize, group: usize, acting: &Acting) {
        let (name, san) = (&self.setups[group].name, self.san.borrow());
        let owns = |disk| keys(node).own(&san.disks.reservation(disk));
        let owned = match acting.beside_undead {
            // A disk that does not answer in time is not taken for another's.
            true => {
                acting.seen_owned.iter().all(|seen| *seen) || acting.hangs || self.stalled
            }
            false => acting.config.setup.all_disks().all(owns),
        };
        let action = acting.agent.action;
        assert!(owned, "{action:?} of {name} on {node} succeeded, and it is not owned");
    }

    /// Asserts that a stop has left nothing.
    fn is_left(&mut self, node: usize, group: usize, acting: &Acting) {
        let (name, san) = (&self.setups[group].name, self.san.borrow());
        let left = self.wwpns[group].iter().find(|wwpn| san.has_port(node, **wwpn));
        assert_eq!(left, None, "{name} was stopped on {node}");
        let keeper = self.setups[group].state.as_ref();
        let keeper = keeper.is_some_and(|disk| san.has_keeper(node, disk));
        assert!(!keeper, "{name}: a keeper on {node}");
        for disk in self.setups[group].all_disks() {
            let left = san.disks.reservation(disk).keys;
            let ours = left.iter().any(|key| keys(node).are(*key));
            // A stop does not fail because a disk does not say whose it is.
            // A configuration that cannot be read does not say which disks they are.
            let unclear = acting.disturbed || acting.config.wrong.is_some();
            // After a boot nothing shows that a LUN was here which has left the group since.
            let told = acting.before.iter().chain([&acting.config]);
            let is_its =
                told.flat_map(|config| config.setup.all_disks()).any(|its| its == disk);
            // Where no disk was open, keys may stay on those that do not answer.
            let idle = acting.before.is_none() || !acting.was_open;
            let idle = idle && unclear || !is_its;
            let excused = acting.lacks.contains(disk) || idle;
            assert!(!ours || excused, "{name}: a key on {disk}");
            self.tally.keys_left += u64::from(ours);
            assert!(!san.exports(node, disk), "{name}: {disk} is open on {node}");
        }
    }

    /// Asserts that there was a reason for an answer that is not good. As long as nothing has
    /// gone wrong, there is none.
    pub(super) fn is_needed(
        &self,
        node: usize,
        group: usize,
        acting: &Acting,
        answer: &Answer,
    ) {
        let (name, action) = (&self.setups[group].name, acting.agent.action);
        let (san, disks) = (self.san.borrow(), || acting.config.setup.all_disks());
        let all = || self.setups[group].all_disks();
        let serves = self.wwpns[group].iter().any(|wwpn| san.has_port(node, *wwpn))
            || all().any(|disk| san.exports(node, disk));
        let owns = |disk| keys(node).own(&san.disks.reservation(disk));
        let lacks = !acting.lacks.is_empty();
        let needed = match action {
            Action::Start | Action::Reload if lacks => true,
            Action::Start | Action::Reload if acting.config.wrong.is_some() => true,
            Action::Monitor(_) if !acting.is_as_before() => true,
            Action::Monitor(_) if acting.config.wrong.is_some() => true,
            Action::Reload if acting.clings => true,
            Action::Monitor(_) if lacks || self.clings(node, group) => true,
            // A monitor of level 0 asks no keeper.
            Action::Monitor(level) if acting.unkept && level > Level::Port => true,
            Action::Start | Action::Reload if acting.unkept => true,
            Action::Stop if acting.stuck => true,
            _ if !self.is_spoilt => false,
            _ if acting.disturbed => true,
            Action::Start | Action::Reload => false,
            Action::Stop => serves,
            Action::Monitor(_) => {
                acting.seen_less
                    || !disks().all(owns)
                    || !self.is_whole(node, group, &acting.config)
            }
        };
        assert!(
            needed,
            "{action:?} of {name} on {} failed for no reason: {answer:?}",
            NAMES[node]
        );
    }

    /// Returns whether every initiator can use every LUN of a configuration on a node.
    pub(super) fn is_whole(&self, node: usize, group: usize, config: &Config) -> bool {
        let san = self.san.borrow();
        let serves = |port: Wwn, lun: u16| {
            initiators().into_iter().all(|its| san.serves(node, port, its, lun))
        };
        let mut luns = config.setup.disks.iter().map(|(lun, _)| *lun);
        luns.all(|lun| self.wwpns[group].iter().all(|port| serves(*port, lun)))
    }

    /// Asserts what must hold at every moment.
    pub(super) fn check(&mut self) {
        if self.checked == self.san.borrow().changes {
            return;
        }
        self.checked = self.san.borrow().changes;
        for (node, group) in (0..NODES).flat_map(|n| (0..GROUPS).map(move |g| (n, g))) {
            self.see(node, group);
        }
        self.note_stuck();
        self.lay_to_rest();
        let san = self.san.borrow();
        for disk in san.disks.names() {
            let writers = san.writers(disk);
            assert!(writers.len() < 2, "{disk} can be written to by both nodes");
        }
        for wwpn in self.wwpns.iter().flatten() {
            let at = san.logged_in_at(*wwpn);
            let excused = || at.iter().any(|node| san.unfenced.contains(node));
            assert!(at.len() < 2 || excused(), "{wwpn} is logged in twice");
            self.tally.doubled += u64::from(at.len() > 1);
        }
    }
}
