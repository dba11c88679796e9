//! A schedule: two nodes, their cluster, and everything that a seed makes happen to them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use understudy_core::kernel::sim::{Fault, Hba, Nexus, Rng, San, SharedSan};
use understudy_core::kernel::{Cause, Instant};
use understudy_core::verbs::Health;
use understudy_core::wwn::Wwn;

use crate::agent::{Action, Agent, Answer, NAMES, Step, TIMEOUT, keys};
use crate::cluster::{GROUPS, Known, NODES, Node, Side, Want};
use crate::common::{INITIATORS, Setup, initiators};
use crate::tally::Tally;

/// How long things go wrong; after that the cluster is left to itself.
const TROUBLE: Duration = Duration::from_secs(20);
/// How long the cluster then has to settle.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Schedule {
    san: SharedSan,
    rng: Rng,
    setups: [Rc<Setup>; GROUPS],
    wwpns: [Vec<Wwn>; GROUPS],
    /// What each initiator may have registered on each group's LUN, and through which
    /// port: the last registration that was answered, and all since that were not.
    registered: BTreeMap<(usize, u16, Wwn), Vec<Registered>>,
    sides: Vec<Side>,
    /// For each node and group, the agent that acts, and the orders that wait for it.
    agents: [[Option<Acting>; GROUPS]; NODES],
    queues: [[VecDeque<Order>; GROUPS]; NODES],
    agenda: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    next_id: u64,
    calm_at: Instant,
    /// Whether fencing may say that a node is off that is still running.
    may_lie: bool,
    /// For each node, whether its next agent is killed before its time is over.
    doomed: [bool; NODES],
    /// Whether a node's disks have at some time not answered for a while.
    stalled: bool,
    /// The paths that are dead now, of the disks' two: one of each disk and node at most. None
    /// where disks have one path.
    dead: Option<BTreeSet<(usize, String)>>,
    /// Whether no counter of a disk shows what is with it.
    unseen: bool,
    checked: u64,
    aloud: bool,
    pub tally: Tally,
}

/// A registered key and the port it was registered through, or no registration.
type Registered = Option<(Wwn, u64)>;

/// An agent at work, and what was seen of its group meanwhile.
struct Acting {
    id: u64,
    agent: Agent,
    /// Whether one of its operations may hang.
    hangs: bool,
    seen_serving: bool,
    seen_idle: bool,
}

/// What kind of disks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    Scsi,
    Nvme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    id: u64,
    node: usize,
    group: usize,
    action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// An agent goes on.
    Goes {
        node: usize,
        group: usize,
        id: u64,
    },
    /// An agent's time is over.
    Kill {
        node: usize,
        group: usize,
        id: u64,
    },
    /// An order reaches its node.
    Order(Order),
    /// A side stops waiting for an answer.
    Unheard(Order),
    /// Every side decides what to do.
    Thinks,
    /// Fencing answers.
    Fenced {
        side: u64,
        node: usize,
        lies: bool,
    },
    Boots {
        node: usize,
    },
    /// An initiator registers a key.
    Registers,
    /// A node's path to a disk works again.
    Returns {
        node: usize,
        disk: String,
        path: usize,
    },
    Trouble,
}

impl Schedule {
    pub fn new(seed: u64, hba: Hba, shelf: Shelf, aloud: bool) -> Self {
        let mut rng = Rng::new(seed);
        let setups = [0, 1].map(|home| setup(home, shelf, &mut rng));
        let names: Vec<_> = setups.iter().flat_map(Setup::all_disks).collect();
        let mut san = San::new(&names, &initiators());
        san.hba = hba;
        let dead = (rng.one_in(4) && shelf == Shelf::Scsi).then(BTreeSet::new);
        if dead.is_some() {
            san.disks.set_paths(2);
        }
        // qla2xxx waits for what it has given to LIO, and needs no account of it.
        let unseen = hba == Hba::Libfc && rng.one_in(4);
        san.unseen = unseen;
        let may_lie = rng.one_in(3);
        san.vary(rng.next_u64());
        san.forgive_conflicts = may_lie;
        let wwpns = setups.each_ref().map(|setup| {
            setup.ports.iter().map(|port| port.parse().unwrap()).collect::<Vec<Wwn>>()
        });
        for (setup, wwpns) in setups.iter().zip(&wwpns) {
            for (lun, disk) in &setup.disks {
                for (port, initiator) in wwpns.iter().zip(initiators()) {
                    san.write_from(initiator, *port, *lun, disk);
                }
            }
        }
        san.add_nodes(NODES);
        let calm_at = san.now() + TROUBLE;
        let mut side = Side::new(0, [0, 1]);
        if !rng.one_in(8) {
            // As after the first probes, which are always the same.
            (0..NODES).for_each(|node| side.fenced(node));
            side.nodes = [Node::Member; NODES];
        }
        let mut schedule = Self {
            san: Rc::new(RefCell::new(san)),
            rng,
            setups: setups.map(Rc::new),
            wwpns,
            registered: BTreeMap::new(),
            sides: vec![side],
            agents: Default::default(),
            queues: Default::default(),
            agenda: BinaryHeap::new(),
            next_id: 1,
            calm_at,
            may_lie,
            doomed: [false; NODES],
            stalled: false,
            dead,
            unseen,
            checked: 0,
            aloud,
            tally: Tally { schedules: 1, ..Tally::default() },
        };
        schedule.after(Duration::ZERO, Event::Thinks);
        let troubles = if schedule.dead.is_some() { 6 } else { 3 };
        for _ in 0..1 + schedule.rng.below(troubles) {
            let time = Duration::from_millis(schedule.rng.below(16_000));
            schedule.after(time, Event::Trouble);
        }
        if schedule.setups.iter().any(|setup| setup.state.is_some()) {
            schedule.after(Duration::from_secs(1), Event::Registers);
        }
        schedule
    }

    /// Runs the schedule to its end, and checks after every step.
    pub fn run(mut self) -> Tally {
        let end = self.calm_at + PATIENCE;
        while !self.is_settled() {
            let due = self.agenda.peek().map_or(end, |Reverse((due, ..))| *due);
            let sooner = self.san.borrow().next_due().filter(|next| *next < due);
            self.san.borrow_mut().advance(sooner.unwrap_or(due));
            assert!(self.now() < end, "the cluster does not settle: {:?}", self.sides);
            if sooner.is_none() {
                if let Some(Reverse((_, _, event))) = self.agenda.pop() {
                    self.happens(event);
                }
            }
            self.check();
        }
        let san = self.san.borrow();
        self.tally.writes = san.acknowledged().sum();
        self.tally.unguarded = san.unguarded;
        drop(san);
        self.tally
    }

    fn now(&self) -> Instant {
        self.san.borrow().now()
    }

    fn is_settled(&self) -> bool {
        self.now() > self.calm_at && self.sides.len() == 1 && self.sides[0].is_settled()
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.next_id += 1;
        self.agenda.push(Reverse((self.now() + time, self.next_id, event)));
    }

    /// Returns a random time between these milliseconds: mostly from the first part of
    /// the span, sometimes from all of it.
    fn takes(&mut self, least: u64, most: u64) -> Duration {
        self.san.borrow_mut().takes(least, most)
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.aloud {
            println!("{:9.3} {}", self.now().as_secs_f32(), what());
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Goes { node, group, id } => self.goes(node, group, id),
            Event::Kill { node, group, id } => self.kill(node, group, id),
            Event::Order(order) => self.arrives(order),
            Event::Unheard(order) => self.answered(order, None),
            Event::Thinks => {
                self.think();
                let time = self.takes(200, 3000);
                self.after(time, Event::Thinks);
            }
            Event::Fenced { side, node, lies } => self.fenced(side, node, lies),
            Event::Boots { node } => self.boots(node),
            Event::Registers => self.registers(),
            Event::Returns { node, disk, path } => self.path_returns(node, disk, path),
            Event::Trouble => self.trouble(),
        }
    }

    /// Starts what each side wants done.
    fn think(&mut self) {
        self.heal();
        let now = self.now();
        for at in 0..self.sides.len() {
            for want in self.sides[at].wants(now, &mut self.rng) {
                match want {
                    Want::Fence(node) => {
                        let lies =
                            self.may_lie && now < self.calm_at && self.rng.one_in(2);
                        let side = self.sides[at].id;
                        let time = self.takes(500, 12_000);
                        self.after(time, Event::Fenced { side, node, lies });
                    }
                    Want::Act { node, group, action } => {
                        self.order(at, node, group, action)
                    }
                }
            }
        }
    }

    fn order(&mut self, side: usize, node: usize, group: usize, action: Action) {
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
    fn is_heard(&mut self) -> bool {
        let lost = self.now() < self.calm_at && self.rng.one_in(50);
        self.tally.messages_lost += u64::from(lost);
        !lost
    }

    fn arrives(&mut self, order: Order) {
        let Order { id, node, group, action } = order;
        let side = self.sides.iter().find(|side| side.is_member(node));
        // An order that nobody waits for any longer is dropped.
        if side.is_some_and(|s| s.groups[group].on[node] == Known::Busy(id, action)) {
            self.queues[node][group].push_back(order);
            self.begin(node, group);
        }
    }

    /// Begins the next action on a group, if none is under way.
    fn begin(&mut self, node: usize, group: usize) {
        if self.agents[node][group].is_some() {
            return;
        }
        let Some(order) = self.queues[node][group].front() else { return };
        let (id, action) = (order.id, order.action);
        self.say(|| format!("{} {}: {action:?}", NAMES[node], self.setups[group].name));
        let fault = self.fault();
        let hangs = matches!(fault, Some((_, Fault::Hangs | Fault::HangsDone)));
        let agent = Agent::new(&self.san, node, &self.setups[group], action, fault);
        let acting = Acting { id, agent, hangs, seen_serving: false, seen_idle: false };
        self.agents[node][group] = Some(acting);
        self.see(node, group);
        let doomed = std::mem::take(&mut self.doomed[node]);
        let time = if doomed { self.takes(0, 8000) } else { TIMEOUT };
        self.after(time, Event::Kill { node, group, id });
        self.after(Duration::ZERO, Event::Goes { node, group, id });
    }

    /// Returns what goes wrong in one of an agent's operations, if anything does.
    fn fault(&mut self) -> Option<(usize, Fault)> {
        // Without an account, a command that no counter shows hangs a logout.
        if self.unseen || self.now() > self.calm_at || !self.rng.one_in(12) {
            return None;
        }
        self.tally.faults += 1;
        let at = self.rng.below(50) as usize;
        let fault = match self.rng.below(4) {
            0 => Fault::Fails(Cause::Errno(Errno::EIO as i32)),
            1 => Fault::Hangs,
            2 => Fault::DoesNothing,
            _ => Fault::HangsDone,
        };
        self.say(|| format!("operation {at} of this: {fault:?}"));
        Some((at, fault))
    }

    fn goes(&mut self, node: usize, group: usize, id: u64) {
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

    fn ended(&mut self, node: usize, group: usize, answer: Answer) {
        self.say(|| format!("{} {}: {answer:?}", NAMES[node], self.setups[group].name));
        self.see(node, group);
        let Some(acting) = self.agents[node][group].take() else { return };
        self.is_true(node, group, &acting, &answer);
        acting.agent.end();
        self.report(node, group, Some(answer));
    }

    fn kill(&mut self, node: usize, group: usize, id: u64) {
        let Some(acting) = self.agents[node][group].take_if(|acting| acting.id == id)
        else {
            return;
        };
        self.say(|| format!("{} {}: killed", NAMES[node], self.setups[group].name));
        self.tally.agents_killed += 1;
        acting.agent.end();
        self.report(node, group, Some(Answer::Failed("killed".into())));
    }

    /// Sends an answer to the side that asked, and begins what waits for it.
    fn report(&mut self, node: usize, group: usize, answer: Option<Answer>) {
        let Some(order) = self.queues[node][group].pop_front() else { return };
        if self.is_heard() {
            self.answered(order, answer.as_ref());
        }
        self.begin(node, group);
    }

    fn answered(&mut self, order: Order, answer: Option<&Answer>) {
        let Order { id, node, group, .. } = order;
        let side = self.sides.iter_mut().find(|side| side.is_member(node));
        if let Some(side) = side {
            side.learn(node, group, id, answer);
        }
    }

    /// Cuts the power of a node: nothing on it goes on.
    fn power_off(&mut self, node: usize) {
        for group in 0..GROUPS {
            self.queues[node][group].clear();
            if let Some(acting) = self.agents[node][group].take() {
                acting.agent.end();
            }
        }
        self.san.borrow_mut().crash(node);
        // A side that had only this node is gone with it; other sides miss the node.
        self.sides.iter_mut().for_each(|side| side.lose(node));
        self.sides.retain(|side| (0..NODES).any(|node| side.is_member(node)));
        let time = self.takes(2000, 10_000);
        self.after(time, Event::Boots { node });
    }

    fn fenced(&mut self, side: u64, node: usize, lies: bool) {
        // The side that asked may be dead by now, and its fencing with it.
        let Some(at) = self.sides.iter().position(|s| s.id == side) else { return };
        if self.sides[at].nodes[node] != Node::BeingFenced {
            return;
        }
        self.say(|| {
            format!("{} is fenced{}", NAMES[node], if lies { ", not" } else { "" })
        });
        self.tally.fenced += 1;
        self.tally.lies += u64::from(lies);
        if !lies && self.san.borrow().is_alive(node) {
            self.power_off(node);
        }
        if let Some(side) = self.sides.iter_mut().find(|s| s.id == side) {
            side.fenced(node);
        }
    }

    fn boots(&mut self, node: usize) {
        self.say(|| format!("{} boots", NAMES[node]));
        self.san.borrow_mut().boot(node);
    }

    /// Joins nodes that can hear each other into one side.
    fn heal(&mut self) {
        let alive = |node: usize| self.san.borrow().is_alive(node);
        if !(0..NODES).all(alive) {
            return;
        }
        let calm = self.now() > self.calm_at;
        match self.sides.as_mut_slice() {
            // Both were down: each waits for the other before it does anything.
            [] => {
                self.next_id += 1;
                self.sides.push(Side::new(self.next_id, [0, 1]));
            }
            [side] if calm || self.rng.one_in(8) => {
                let off = (0..NODES).find(|node| side.nodes[*node] == Node::Off);
                if let Some(node) = off {
                    side.join(node);
                }
            }
            [_] => {}
            // Two sides: they meet again after a while.
            _ if calm || self.rng.one_in(20) => {
                self.say(|| "the nodes hear each other again".into());
                self.next_id += 1;
                self.sides = vec![Side::new(self.next_id, [0, 1])];
            }
            _ => {}
        }
    }

    /// Has one of a node's two paths to a disk fail for a while, if both work.
    fn path_dies(&mut self, node: usize, group: usize) {
        let disks: Vec<_> = self.setups[group].all_disks().map(str::to_owned).collect();
        let disk = disks[self.rng.below(disks.len() as u64) as usize].clone();
        let path = self.rng.below(2) as usize;
        if self.dead.as_mut().is_some_and(|dead| dead.insert((node, disk.clone()))) {
            self.say(|| format!("{}: {disk}-{path} fails", NAMES[node]));
            self.san.borrow_mut().disks.set_dead(&disk, Nexus { node, path }, true);
            self.tally.paths_lost += 1;
            let time = Duration::from_millis(self.rng.below(30_000));
            self.after(time, Event::Returns { node, disk, path });
        }
    }

    fn path_returns(&mut self, node: usize, disk: String, path: usize) {
        self.say(|| format!("{}: {disk}-{path} works again", NAMES[node]));
        self.san.borrow_mut().disks.set_dead(&disk, Nexus { node, path }, false);
        if let Some(dead) = &mut self.dead {
            dead.remove(&(node, disk));
        }
    }

    /// Makes something go wrong, or has a group moved.
    fn trouble(&mut self) {
        let node = self.rng.below(NODES as u64) as usize;
        let group = self.rng.below(GROUPS as u64) as usize;
        let alive = self.san.borrow().is_alive(node);
        match self.rng.below(10) {
            0..=4 if self.dead.is_some() && self.rng.one_in(2) => {
                self.path_dies(node, group);
            }
            0 | 1 if alive => {
                self.say(|| format!("{} loses its power", NAMES[node]));
                self.tally.power_cuts += 1;
                self.power_off(node);
            }
            2 | 3 => self.part(),
            4 | 5 => self.doomed[node] = true,
            6 if alive => {
                self.say(|| format!("{} waits for its disks", NAMES[node]));
                let time = Duration::from_millis(self.rng.below(40_000));
                self.san.borrow_mut().stall(node, time);
                self.stalled = true;
            }
            _ => {
                self.say(|| format!("{} is to be moved", self.setups[group].name));
                for side in &mut self.sides {
                    side.groups[group].wanted = 1 - side.groups[group].wanted;
                }
            }
        }
    }

    /// Has an initiator register a key, for which it may get no answer.
    fn registers(&mut self) {
        let group = self.rng.below(GROUPS as u64) as usize;
        if self.setups[group].state.is_some() {
            let any = |of: usize, rng: &mut Rng| rng.below(of as u64) as usize;
            let port = self.wwpns[group][any(self.wwpns[group].len(), &mut self.rng)];
            let initiator = initiators()[any(INITIATORS.len(), &mut self.rng)];
            let luns = &self.setups[group].disks;
            let (lun, _) = luns[any(luns.len(), &mut self.rng)];
            let key = 1 + self.rng.below(1 << 40);
            let mut san = self.san.borrow_mut();
            let answered = san.register(initiator, port, lun, key, None);
            let may_be =
                self.registered.entry((group, lun, initiator)).or_insert(vec![None]);
            if answered {
                may_be.clear();
                self.tally.registered += 1;
            }
            may_be.push(Some((port, key)));
        }
        let time = self.takes(100, 3000);
        self.after(time, Event::Registers);
    }

    /// Asserts that what initiators were told is registered is there, on the node that
    /// serves.
    fn knows_what_was_registered(&self, group: usize) {
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

    /// Parts the nodes: they no longer hear each other, and each goes on by itself.
    fn part(&mut self) {
        let [side] = self.sides.as_slice() else { return };
        if !(0..NODES).all(|node| side.is_member(node)) {
            return;
        }
        self.say(|| "the nodes do not hear each other".into());
        self.tally.partitions += 1;
        let (mut one, mut other) = (side.clone(), side.clone());
        one.lose(1);
        other.lose(0);
        self.next_id += 1;
        other.id = self.next_id;
        self.sides = vec![one, other];
    }

    /// Notes whether a group is served or idle on a node while an agent acts on it.
    fn see(&mut self, node: usize, group: usize) {
        let san = self.san.borrow();
        let on = |wwpn: &Wwn| san.logged_in_at(*wwpn).contains(&node);
        let serving = self.wwpns[group].iter().all(on);
        let idle = !self.wwpns[group].iter().any(on);
        if let Some(acting) = &mut self.agents[node][group] {
            acting.seen_serving |= serving;
            acting.seen_idle |= idle;
        }
    }

    /// Asserts that an answer is true, or was true at some moment of the action.
    fn is_true(&mut self, node: usize, group: usize, acting: &Acting, answer: &Answer) {
        let name = &self.setups[group].name;
        let well = matches!(answer, Answer::Done | Answer::Health(Health::Running));
        let count = match acting.agent.action {
            Action::Start => &mut self.tally.starts,
            Action::Stop => &mut self.tally.stops,
            Action::Monitor(_) => &mut self.tally.monitors,
        };
        count[usize::from(!well)] += 1;
        let san = self.san.borrow();
        match (acting.agent.action, answer) {
            (Action::Start, Answer::Done) => {
                assert!(
                    acting.seen_serving,
                    "{name} was started on {node}, and is not there"
                );
                for disk in self.setups[group].all_disks().filter(|_| !self.may_lie) {
                    let owned = keys(node).own(&san.disks.reservation(disk));
                    assert!(owned, "{name} was started on {node} without owning {disk}");
                }
                if !self.may_lie {
                    self.knows_what_was_registered(group);
                }
            }
            (Action::Stop, Answer::Done) => {
                let left =
                    self.wwpns[group].iter().find(|wwpn| san.has_port(node, **wwpn));
                assert_eq!(left, None, "{name} was stopped on {node}");
                for disk in self.setups[group].all_disks() {
                    let left = san.disks.reservation(disk).keys;
                    let ours = left.iter().any(|key| keys(node).are(*key));
                    // A stop does not fail because a disk does not say whose it is.
                    let excused = acting.hangs || self.stalled;
                    assert!(!ours || excused, "{name}: a key on {disk}");
                    self.tally.keys_left += u64::from(ours);
                    assert!(!san.exports(node, disk), "{name}: {disk} is open on {node}");
                }
            }
            (Action::Monitor(_), Answer::Health(Health::Running)) => {
                assert!(
                    acting.seen_serving,
                    "{name} is not Active on {node}, but running"
                );
            }
            (Action::Monitor(_), Answer::Health(Health::NotRunning)) => {
                assert!(acting.seen_idle, "{name} is Active on {node}, and not running");
            }
            _ => {}
        }
    }

    /// Asserts what must hold at every moment.
    fn check(&mut self) {
        if self.checked == self.san.borrow().changes {
            return;
        }
        self.checked = self.san.borrow().changes;
        for (node, group) in (0..NODES).flat_map(|n| (0..GROUPS).map(move |g| (n, g))) {
            self.see(node, group);
        }
        let san = self.san.borrow();
        for disk in san.disks.names() {
            let writers = san.writers(disk);
            assert!(writers.len() < 2, "{disk} can be written to by both nodes");
        }
        for wwpn in self.wwpns.iter().flatten() {
            let doubled = san.logged_in_at(*wwpn).len() > 1;
            assert!(!doubled || self.tally.lies > 0, "{wwpn} is logged in twice");
            self.tally.doubled += u64::from(doubled);
        }
    }
}

/// Returns a group at home on a node, with one or two LUNs, one or two ports, and
/// sometimes a state disk for what initiators register.
fn setup(home: usize, shelf: Shelf, rng: &mut Rng) -> Setup {
    let disk = |which: &str| match shelf {
        Shelf::Scsi => format!("sd{}{which}", NAMES[home]),
        Shelf::Nvme => format!("nvme{home}n{which}"),
    };
    let (luns, ports) = (1 + rng.below(4) / 3, 1 + rng.below(4) / 3);
    Setup {
        name: format!("group-{}", NAMES[home]),
        wwnn: format!("20:00:00:25:b5:00:00:0{}", NAMES[home]),
        ports: (1..=ports)
            .map(|n| format!("20:0{n}:00:25:b5:00:00:0{}", NAMES[home]))
            .collect(),
        disks: (0..luns).map(|n| (n as u16, disk(&n.to_string()))).collect(),
        initiators: INITIATORS.map(str::to_owned).to_vec(),
        hba: Hba::Libfc,
        beside: None,
        home: NAMES[home].into(),
        state: rng.one_in(4).then(|| disk("s")),
    }
}
