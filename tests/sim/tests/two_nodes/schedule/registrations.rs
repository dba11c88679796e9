//! What initiators register in groups with a state disk.

use understudy_sim::Rng;

use super::{Event, Registered, Schedule};
use crate::cluster::GROUPS;
use crate::common::{INITIATORS, initiators};
use crate::groups::SPARE;

impl Schedule {
    /// Has an initiator register a key, for which it may get no answer.
    pub(super) fn registers(&mut self) {
        let group = self.rng.below(GROUPS as u64) as usize;
        if self.setups[group].state.is_some() {
            let any = |of: usize, rng: &mut Rng| rng.below(of as u64) as usize;
            let port = self.wwpns[group][any(self.wwpns[group].len(), &mut self.rng)];
            let initiator = initiators()[any(INITIATORS.len(), &mut self.rng)];
            let luns = self.setups[group].disks.iter().filter(|(lun, _)| *lun != SPARE);
            let luns: Vec<u16> = luns.map(|(lun, _)| *lun).collect();
            let lun = luns[any(luns.len(), &mut self.rng)];
            let key = 1 + self.rng.below(1 << 40);
            let sent = self.san.borrow_mut().asks_to_register(initiator, port, lun, key);
            if let Some(id) = sent {
                let nexus = (group, lun, initiator);
                let may_be = self.registered.entry(nexus).or_insert(vec![None]);
                may_be.push(Some((port, key)));
                self.unanswered.insert(id, nexus);
                self.hear_answers();
            }
        }
        let time = self.takes(100, 3000);
        self.after(time, Event::Registers);
    }

    /// Takes note of the answers that initiators get. An initiator has one command under way.
    pub(super) fn hear_answers(&mut self) {
        let answers = std::mem::take(&mut self.san.borrow_mut().answers);
        for (id, answer) in answers {
            let nexus = self.unanswered.remove(&id);
            let may_be = nexus.and_then(|nexus| self.registered.get_mut(&nexus));
            if let (Some(true), Some(may_be)) = (answer, may_be) {
                may_be.drain(..may_be.len() - 1);
                self.tally.registered += 1;
            }
        }
    }

    /// Asserts that what initiators were told is registered is there, on the node that
    /// serves.
    pub(super) fn knows_what_was_registered(&self, group: usize) {
        let san = self.san.borrow();
        for ((_, lun, initiator), may_be) in
            self.registered.iter().filter(|((its, ..), _)| *its == group)
        {
            let known = san.registered(self.wwpns[group][0], initiators()[0], *lun);
            let its = format!("initiator_node={initiator},");
            let mut its = known.iter().filter(|line| line.contains(&its));
            let (its, again) = (its.next(), its.next());
            assert_eq!(again, None, "{initiator} is registered twice on {lun}");
            let is = |key: &Registered| match (its, key) {
                (Some(line), Some((port, key))) => {
                    line.contains(&format!("sa_res_key={key},"))
                        && line.contains(&format!("target_node={port},"))
                }
                (its, key) => its.is_none() && key.is_none(),
            };
            assert!(may_be.iter().any(is), "{lun}: {its:?} and not one of {may_be:?}");
        }
    }
}
