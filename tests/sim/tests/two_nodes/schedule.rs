//! A schedule: two nodes, their cluster, and everything that a seed makes happen to them.

mod checks;
mod disks;
mod keepers;
mod registrations;
mod trouble;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use understudy_core::kernel::Instant;
use understudy_core::wwn::Wwn;
use understudy_sim::{Fault, Hba, Rng, San, SharedSan};

use crate::agent::{Action, Agent, Answer, NAMES, Step, TIMEOUT};
use crate::cluster::{GROUPS, Known, NODES, Node, Side, Want};
use crate::common::{Setup, initiators};
use crate::groups::{Shelf, setup};
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
    course: Course,
    /// Whether anything has gone wrong so far, so that an answer may be a failure and a node
    /// fenced. A disk that leaves is no reason for that, nor is a keeper that dies.
    is_spoilt: bool,
    /// Whether fencing may say that a node is off that is still running.
    may_lie: bool,
    /// For each node, whether its next agent is killed before its time is over.
    doomed: [bool; NODES],
    /// Whether a node's disks have at some time not answered for a while.
    stalled: bool,
    /// For each node, until when its disks do not answer.
    stalled_until: [Instant; NODES],
    /// The paths that are dead now, of the disks' two: one of each disk and node at most. None
    /// where disks have one path.
    dead: Option<BTreeSet<(usize, String)>>,
    /// The disks that are not on a node, or that udev does not link to yet; each with the id
    /// of that absence.
    away: BTreeMap<(usize, String), u64>,
    /// For each node and group, whether something else on the node has a disk of the group.
    held: [[bool; GROUPS]; NODES],
    /// Whether no counter of a disk shows what is with it.
    unseen: bool,
    checked: u64,
    aloud: bool,
    pub tally: Tally,
}

/// A registered key and the port it was registered through, or no registration.
type Registered = Option<(Wwn, u64)>;

/// What may happen in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Groups are moved, and nothing goes wrong.
    Moves,
    /// Disks leave and come back, too.
    Disks,
    /// Anything.
    All,
}

/// An agent at work, and what was seen of its group meanwhile.
struct Acting {
    id: u64,
    agent: Agent,
    /// Whether one of its operations may hang.
    hangs: bool,
    /// Whether it is killed before its time is over.
    doomed: bool,
    /// Whether something was wrong that may have it fail.
    disturbed: bool,
    /// Whether a disk of the group was not on the node at some moment.
    lacks: bool,
    /// Whether a disk of the group had left the node before and was still open.
    clings: bool,
    /// Whether the group's keeper had died at some moment, and before.
    unkept: bool,
    was_unkept: bool,
    /// Whether a node ran meanwhile that should have been fenced.
    beside_undead: bool,
    /// Whether every port of the group was logged in at some moment, none was, and not every
    /// one was.
    seen_serving: bool,
    seen_idle: bool,
    seen_less: bool,
    /// For each disk of the group, whether the node owned it at some moment.
    seen_owned: Vec<bool>,
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
    /// A disk of a group leaves a node.
    Leaves {
        node: usize,
        group: usize,
    },
    /// A disk that has left a node comes back.
    ComesBack {
        node: usize,
        disk: String,
        id: u64,
    },
    /// udev links to a disk that has come back.
    IsNamed {
        node: usize,
        disk: String,
        id: u64,
    },
    /// Something else on a node lets a disk of a group go.
    LetsGo {
        node: usize,
        group: usize,
        disk: String,
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
        let course = match rng.below(16) {
            0 | 1 => Course::Moves,
            2 if dead.is_none() => Course::Disks,
            _ => Course::All,
        };
        // A stop may wait in vain for a command that is with a disk for so long.
        let is_slow = course == Course::All && rng.one_in(2);
        if !is_slow {
            san.queues = Duration::from_secs(2);
        }
        san.vary(rng.next_u64());
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
        san.zoned = rng.one_in(4);
        let zoned = u64::from(san.zoned);
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
            course,
            is_spoilt: is_slow,
            may_lie,
            doomed: [false; NODES],
            stalled: false,
            stalled_until: [Instant::ZERO; NODES],
            dead,
            away: BTreeMap::new(),
            held: Default::default(),
            unseen,
            checked: 0,
            aloud,
            tally: Tally {
                schedules: 1,
                calm: u64::from(course == Course::Moves),
                zoned,
                ..Tally::default()
            },
        };
        schedule.after(Duration::ZERO, Event::Thinks);
        let troubles = if schedule.dead.is_some() { 6 } else { 3 };
        for _ in 0..1 + schedule.rng.below(troubles) {
            let time = Duration::from_millis(schedule.rng.below(16_000));
            schedule.after(time, Event::Trouble);
        }
        if course == Course::Disks {
            schedule.disks_alone();
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
        self.tally.errors = san.errors;
        drop(san);
        self.tally
    }

    fn now(&self) -> Instant {
        self.san.borrow().now()
    }

    fn is_settled(&self) -> bool {
        // Of a disk or a keeper that has gone in the meantime a monitor has still to say so.
        self.now() > self.calm_at
            && self.sides.len() == 1
            && self.sides[0].is_settled()
            && !(0..NODES).any(|node| {
                (0..GROUPS)
                    .any(|group| self.clings(node, group) || self.is_unkept(node, group))
            })
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
            Event::Leaves { node, group } => self.disk_leaves(node, group),
            Event::ComesBack { node, disk, id } => self.disk_comes_back(node, disk, id),
            Event::IsNamed { node, disk, id } => self.disk_is_named(node, disk, id),
            Event::LetsGo { node, group, disk } => self.lets_go(node, group, &disk),
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
                        assert!(
                            self.is_spoilt,
                            "{} is fenced for no reason",
                            NAMES[node]
                        );
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
        let lost = self.course == Course::All
            && self.now() < self.calm_at
            && self.rng.one_in(50);
        self.is_spoilt |= lost;
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
        let held = action == Action::Start && self.held[node][group];
        let disturbed = fault.is_some() || held || self.is_disturbed(node);
        let beside_undead = !self.san.borrow().unfenced.is_empty();
        let (lacks, clings) = (self.lacks(node, group), self.clings(node, group));
        let was_unkept = self.is_unkept(node, group);
        let doomed = std::mem::take(&mut self.doomed[node]);
        self.is_spoilt |= doomed;
        let agent = Agent::new(&self.san, node, &self.setups[group], action, fault);
        self.agents[node][group] = Some(Acting {
            id,
            agent,
            hangs,
            doomed,
            disturbed,
            lacks,
            clings,
            unkept: was_unkept,
            was_unkept,
            beside_undead,
            seen_serving: false,
            seen_idle: false,
            seen_less: false,
            seen_owned: vec![false; self.setups[group].all_disks().count()],
        });
        self.see(node, group);
        let time = if doomed { self.takes(0, 8000) } else { TIMEOUT };
        self.after(time, Event::Kill { node, group, id });
        self.after(Duration::ZERO, Event::Goes { node, group, id });
        self.disk_may_leave(node, group);
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
        let answer = Answer::Failed("killed".into());
        if !acting.doomed {
            self.is_needed(node, group, &acting, &answer);
        }
        acting.agent.end();
        self.report(node, group, Some(answer));
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
}
