//! A schedule: two nodes, their cluster, and everything that a seed makes happen to them.

mod actions;
mod checks;
mod disks;
mod edits;
mod keepers;
mod parts;
mod registrations;
mod trouble;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use understudy_core::kernel::Instant;
use understudy_core::wwn::Wwn;
use understudy_sim::{Hba, Rng, San, SharedSan};

use parts::{Acting, Course, Event, Order};

use crate::agent::NAMES;
use crate::cluster::{GROUPS, NODES, Node, Side, Want};
use crate::common::{Setup, initiators};
use crate::groups::{Config, GUEST, SPARE, Shelf, disk, setup};
use crate::tally::Tally;

/// How long things go wrong; after that the cluster is left to itself.
const TROUBLE: Duration = Duration::from_secs(20);
/// How long the cluster then has to settle.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Schedule {
    san: SharedSan,
    rng: Rng,
    /// Each group with every disk that it may have.
    setups: [Setup; GROUPS],
    /// What each node's copy of the cluster's configuration says of each group, and what a
    /// start or a reload has put into force there.
    configs: [[Rc<Config>; GROUPS]; NODES],
    applied: [[Option<Rc<Config>>; GROUPS]; NODES],
    /// What to return to where a configuration is wrong.
    good: [Rc<Config>; GROUPS],
    /// Whether configurations are edited.
    is_edited: bool,
    wwpns: [Vec<Wwn>; GROUPS],
    /// What each initiator may have registered on each group's LUN, and through which
    /// port: the last registration that was answered, and all since that were not.
    registered: BTreeMap<Nexus, Vec<Registered>>,
    /// Registrations that are not answered yet, by the simulation's number.
    unanswered: BTreeMap<usize, Nexus>,
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

/// A group's LUN and an initiator.
type Nexus = (usize, u16, Wwn);

/// A registered key and the port it was registered through, or no registration.
type Registered = Option<(Wwn, u64)>;

impl Schedule {
    pub fn new(seed: u64, hba: Hba, shelf: Shelf, aloud: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut setups = [0, 1].map(|home| setup(home, shelf, &mut rng));
        let configs = setups.clone().map(|setup| Rc::new(Config { setup, wrong: None }));
        let is_edited = rng.one_in(8);
        for (home, setup) in setups.iter_mut().enumerate().filter(|_| is_edited) {
            setup.disks.push((SPARE, disk(home, shelf, "2")));
        }
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
            for (lun, disk) in setup.disks.iter().filter(|(lun, _)| *lun != SPARE) {
                for (port, initiator) in wwpns.iter().zip(initiators()) {
                    san.write_from(initiator, *port, *lun, disk);
                }
            }
        }
        san.unused = ([SPARE].into(), [GUEST.parse().unwrap()].into());
        san.zoned = rng.one_in(4);
        let zoned = u64::from(san.zoned);
        if hba == Hba::Qla2xxx && rng.one_in(4) {
            san.ages_out = Duration::from_millis(rng.below(8_000));
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
            setups,
            good: configs.clone(),
            configs: [configs.clone(), configs],
            applied: Default::default(),
            is_edited,
            wwpns,
            registered: BTreeMap::new(),
            unanswered: BTreeMap::new(),
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
                edited: u64::from(is_edited),
                ..Tally::default()
            },
        };
        schedule.after(Duration::ZERO, Event::Thinks);
        let troubles = if schedule.dead.is_some() { 6 } else { 3 };
        for _ in 0..1 + schedule.rng.below(troubles) {
            let time = Duration::from_millis(schedule.rng.below(16_000));
            schedule.after(time, Event::Trouble);
        }
        for _ in 0..if is_edited { 1 + schedule.rng.below(4) } else { 0 } {
            let time = Duration::from_millis(schedule.rng.below(18_000));
            schedule.after(time, Event::Edits);
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
            self.hear_answers();
            self.check();
        }
        self.nobody_serves_what_left();
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
            && !self.is_any_stale()
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
            Event::IsForgotten { node, disk, name } => {
                self.san.borrow_mut().path_is_forgotten(node, &disk, &name);
            }
            Event::Leaves { node, group } => self.disk_leaves(node, group),
            Event::ComesBack { node, disk, id } => self.disk_comes_back(node, disk, id),
            Event::IsNamed { node, disk, id } => self.disk_is_named(node, disk, id),
            Event::LetsGo { node, group, disk } => self.lets_go(node, group, &disk),
            Event::Trouble => self.trouble(),
            Event::Edits => self.edits(),
            Event::Repairs { group } => self.repairs(group),
        }
    }

    /// Starts what each side wants done.
    fn think(&mut self) {
        self.heal();
        let (now, stale) = (self.now(), self.stale());
        for at in 0..self.sides.len() {
            for want in self.sides[at].wants(now, &mut self.rng, &stale) {
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
}
