//! Actions of agents, from the order to the answer.

use std::time::Duration;

use understudy_sim::Fault;

use super::Schedule;
use super::parts::{Acting, Course, Event, Order};
use crate::agent::{Action, Agent, Answer, NAMES, Step, TIMEOUT};
use crate::cluster::Known;

impl Schedule {
    pub(super) fn order(
        &mut self,
        side: usize,
        node: usize,
        group: usize,
        action: Action,
    ) {
        self.next_id += 1;
        let (id, side) = (self.next_id, &mut self.sides[side]);
        side.groups[group].on[node] = Known::Busy(id, action);
        let order = Order { id, node, group, action };
        // Orders to a node do not overtake each other: they take equally long.
        if self.is_heard() {
            self.after(Duration::from_millis(20), Event::Order(order));
        }
        self.after(TIMEOUT + TIMEOUT / 4, Event::Unheard(order));
    }

    /// Whether a message gets through.
    pub(super) fn is_heard(&mut self) -> bool {
        let lost = self.course == Course::All
            && self.now() < self.calm_at
            && self.rng.one_in(50);
        self.is_spoilt |= lost;
        self.tally.messages_lost += u64::from(lost);
        !lost
    }

    pub(super) fn arrives(&mut self, order: Order) {
        let Order { id, node, group, action } = order;
        let side = self.sides.iter().find(|side| side.is_member(node));
        // An order that nobody waits for any longer is dropped.
        if side.is_some_and(|s| s.groups[group].on[node] == Known::Busy(id, action)) {
            self.queues[node][group].push_back(order);
            self.begin(node, group);
        }
    }

    /// Begins the next action on a group, if none is under way.
    pub(super) fn begin(&mut self, node: usize, group: usize) {
        if self.agents[node][group].is_some() {
            return;
        }
        let Some(order) = self.queues[node][group].front() else { return };
        let (id, action) = (order.id, order.action);
        self.say(|| format!("{} {}: {action:?}", NAMES[node], self.setups[group].name));
        let fault = self.fault();
        let hangs = matches!(fault, Some((_, Fault::Hangs | Fault::HangsDone)));
        let held =
            matches!(action, Action::Start | Action::Reload) && self.held[node][group];
        let disturbed = fault.is_some() || held || self.is_disturbed(node);
        let beside_undead = !self.san.borrow().unfenced.is_empty();
        let (lacks, clings) = (self.lacks(node, group), self.clings(node, group));
        let was_unkept = self.is_unkept(node, group);
        let doomed = std::mem::take(&mut self.doomed[node]);
        self.is_spoilt |= doomed;
        let config = self.told(node, group, action);
        let before = self.applied[node][group].clone();
        let was_whole = before
            .as_ref()
            .filter(|_| action == Action::Reload)
            .is_some_and(|before| self.is_whole(node, group, before));
        let is_open = |disk| self.san.borrow().exports(node, disk);
        let was_open = self.setups[group].all_disks().any(is_open);
        let agent = Agent::new(&self.san, node, &config, action, fault);
        let disks = config.setup.all_disks().count();
        self.agents[node][group] = Some(Acting {
            id,
            agent,
            config,
            before,
            was_whole,
            was_open,
            hangs,
            doomed,
            disturbed,
            lacks,
            clings,
            unkept: was_unkept,
            was_unkept,
            stuck: false,
            beside_undead,
            seen_serving: false,
            seen_idle: false,
            seen_less: false,
            seen_owned: vec![false; disks],
        });
        self.see(node, group);
        self.note_stuck();
        let time = if doomed { self.takes(0, 8000) } else { TIMEOUT };
        self.after(time, Event::Kill { node, group, id });
        self.after(Duration::ZERO, Event::Goes { node, group, id });
        self.disk_may_leave(node, group);
    }

    pub(super) fn goes(&mut self, node: usize, group: usize, id: u64) {
        let acting = self.agents[node][group].as_mut().filter(|acting| acting.id == id);
        let Some(acting) = acting else { return };
        match acting.agent.step() {
            Step::Until(time) => {
                let time = time.saturating_sub(self.now());
                self.after(time, Event::Goes { node, group, id });
            }
            Step::Ended(answer) => self.ended(node, group, answer),
        }
    }

    pub(super) fn ended(&mut self, node: usize, group: usize, answer: Answer) {
        self.say(|| format!("{} {}: {answer:?}", NAMES[node], self.setups[group].name));
        self.see(node, group);
        let Some(acting) = self.agents[node][group].take() else { return };
        self.is_true(node, group, &acting, &answer);
        self.is_put_into_force(node, group, &acting, &answer);
        let fails = matches!(answer, Answer::Failed(_));
        if fails && acting.stuck && acting.agent.action == Action::Stop {
            // The node is fenced for it.
            self.is_spoilt = true;
            self.tally.stuck += 1;
        }
        acting.agent.end();
        self.report(node, group, Some(answer));
    }

    pub(super) fn kill(&mut self, node: usize, group: usize, id: u64) {
        let Some(acting) = self.agents[node][group].take_if(|acting| acting.id == id)
        else {
            return;
        };
        self.say(|| format!("{} {}: killed", NAMES[node], self.setups[group].name));
        self.tally.agents_killed += 1;
        let answer = Answer::Failed("killed".into());
        if !acting.doomed {
            self.is_needed(node, group, &acting, &answer);
        }
        acting.agent.end();
        self.start_is_killed(node, group);
        self.report(node, group, Some(answer));
    }

    /// Sends an answer to the side that asked, and begins what waits for it.
    pub(super) fn report(&mut self, node: usize, group: usize, answer: Option<Answer>) {
        let Some(order) = self.queues[node][group].pop_front() else { return };
        if self.is_heard() {
            self.answered(order, answer.as_ref());
        }
        self.begin(node, group);
    }

    pub(super) fn answered(&mut self, order: Order, answer: Option<&Answer>) {
        let Order { id, node, group, .. } = order;
        let side = self.sides.iter_mut().find(|side| side.is_member(node));
        if let Some(side) = side {
            side.learn(node, group, id, answer);
        }
    }
}
