//! The agent dies after any operation, or any operation goes wrong in any way that it
//! can: then a stop ends clean, and a start serves. Every point and every fault is tried;
//! nothing is sampled. Groups have 1 to 8 LUNs on 1 and 2 ports. On NVMe namespaces they
//! have 1 and 2 LUNs. On a qla2xxx HBA they have 1 and 2 LUNs, with and without another group
//! on the same HBA whose initiators write all the while.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{INITIATORS, Node, Setup, initiators, pair, unless_killed};
use nix::errno::Errno;
use understudy_core::kernel::{Kernel, LANES};
use understudy_core::verbs::{Health, Level};
use understudy_sim::{Deed, Fault};

/// The action that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    /// A start after a stop, which with qla2xxx leaves a port and its empty target.
    Restart,
    Stop,
    Reload,
}

use Verb::{Reload, Restart, Start, Stop};

/// A case to try: a group on a node, at the moment before the verb.
struct Case {
    setup: Setup,
    verb: Verb,
    /// How many chains go on at once: the order in which operations are done.
    lanes: usize,
}

impl Case {
    fn all(lanes: &[usize]) -> Vec<Self> {
        let mut cases = Vec::new();
        for (luns, ports) in (1..=8).flat_map(|luns| [(luns, 1), (luns, 2)]) {
            let setup = Setup::new(luns, ports);
            cases.extend(Self::of(&setup, &[Start, Stop, Reload], lanes));
            // What a keeper adds is the same for each further LUN.
            if luns == 1 || luns == 3 {
                let setup = setup.clone().keeping();
                cases.extend(Self::of(&setup, &[Start, Stop, Reload], lanes));
            }
            if luns <= 2 {
                let setup = setup.clone().on_nvme();
                cases.extend(Self::of(&setup, &[Start, Stop, Reload], lanes));
            }
            let setup = setup.on_qla2xxx();
            if luns == 1 {
                let setup = setup.clone().keeping();
                cases.extend(Self::of(&setup, &[Start, Restart, Stop, Reload], lanes));
            }
            for setup in [setup.clone(), setup.with_another()] {
                if luns <= 2 {
                    let verbs = [Start, Restart, Stop, Reload];
                    cases.extend(Self::of(&setup, &verbs, lanes));
                }
            }
        }
        cases
    }

    fn of(setup: &Setup, verbs: &[Verb], lanes: &[usize]) -> Vec<Self> {
        let case = |verb: &Verb, lanes: &usize| Self {
            setup: setup.clone(),
            verb: *verb,
            lanes: *lanes,
        };
        verbs.iter().flat_map(|verb| lanes.iter().map(move |l| case(verb, l))).collect()
    }

    fn node(&self) -> Node {
        let (node, _) = pair(&self.setup);
        node.kernel.set_lanes(self.lanes);
        if let Some(another) = node.another() {
            another.start().unwrap();
            node.kernel.sleep(Duration::from_secs(1));
            let port = another.setup.ports[0].parse().unwrap();
            for (initiator, (lun, disk)) in initiators().iter().zip(&another.setup.disks)
            {
                node.san.borrow_mut().write_from(*initiator, port, *lun, disk);
            }
        }
        if self.verb != Start || self.setup.state.is_some() {
            node.start().unwrap();
        }
        if self.setup.state.is_some() {
            register(&node);
            if self.verb == Start {
                node.stop().unwrap();
            }
        }
        if self.verb == Restart {
            node.stop().unwrap();
        }
        if self.verb == Reload {
            // Until every initiator has found it.
            node.kernel.sleep(Duration::from_secs(1));
            let lun = |(lun, _): &(u16, String)| *lun;
            let luns = self.setup.disks.iter().map(lun).collect();
            node.san.borrow_mut().unused = (luns, initiators().into_iter().collect());
        }
        node
    }

    /// Runs the verb, and returns whether it succeeded.
    fn act(&self, node: &mut Node) -> bool {
        match self.verb {
            Start | Restart => node.start().is_ok(),
            Stop => node.stop().is_ok(),
            Reload => node.reload(&self.setup.changed()).is_ok(),
        }
    }

    /// Returns every operation of the verb, when nothing goes wrong.
    fn deeds(&self) -> Vec<Deed> {
        let mut node = self.node();
        node.kernel.plan(None);
        assert!(self.act(&mut node));
        node.kernel.deeds()
    }

    fn name(&self, fault: &Fault, at: usize, deed: &Deed) -> String {
        let Setup { disks, ports, hba, beside, .. } = &self.setup;
        let alone = if beside.is_some() { "beside another" } else { "alone" };
        format!(
            "{:?} on {hba:?}, {alone}, {} LUNs, {} ports, {} lanes, state {:?}: \
             operation {at} ({deed:?}): {fault:?}",
            self.verb,
            disks.len(),
            ports.len(),
            self.lanes,
            self.setup.state,
        )
    }

    /// Lets one operation go wrong, and asserts that the answer is true.
    fn strike(&self, fault: Fault, at: usize, deed: &Deed, name: &str) {
        let mut node = self.node();
        // A stop does not fail because an entry of the database cannot be removed, or
        // because a disk does not say whose it is. The key on such a disk may stay.
        let entry = |what: &String| {
            *deed == Deed::Discard && what.starts_with("/run/understudy/ports/")
        };
        let hangs = matches!(fault, Fault::Hangs | Fault::HangsDone);
        node.kernel.plan(Some((at, fault)));
        let answer = unless_killed(|| self.act(&mut node));
        node.kernel.plan(None);
        match (self.verb, answer) {
            (Start | Restart | Reload, Some(true)) => {
                assert_eq!(node.health(Level::Disk), Health::Running, "{name}");
                assert!(node.owns_all(), "{name}");
            }
            (Stop, Some(true)) => {
                let mut left = node.leavings();
                left.retain(|what| !hangs || !what.starts_with("a key on"));
                left.retain(|what| !entry(what));
                assert_eq!(left, [""; 0], "{name}");
            }
            _ => {}
        }
        recovers(&node, name);
    }
}

/// Asserts that a stop now ends clean, and that a start then serves.
fn recovers(node: &Node, name: &str) {
    node.stop().unwrap_or_else(|failure| panic!("{name}: then stop: {failure}"));
    assert_eq!(node.leavings(), [""; 0], "{name}");
    assert!(!node.is_hurried(), "{name}");
    assert_eq!(node.health(Level::Port), Health::NotRunning, "{name}");
    node.start().unwrap_or_else(|failure| panic!("{name}: then start: {failure}"));
    assert_eq!(node.health(Level::Disk), Health::Running, "{name}");
    if let Some(another) = node.another() {
        assert_eq!(another.health(Level::Disk), Health::Running, "{name}");
        let written = || node.san.borrow().acknowledged().sum::<u64>();
        let before = written();
        node.kernel.sleep(Duration::from_secs(1));
        assert!(written() > before, "{name}");
    }
    if node.setup.state.is_some() {
        assert_eq!(registered(node), registration(node), "{name}");
    }
}

/// Returns the LUN on which something is registered, if the group still has it. A reload
/// leaves that LUN alone where there are enough of them.
fn subject(setup: &Setup) -> Option<u16> {
    let its = |name: &str| setup.disks.iter().find(|(_, its)| its == name);
    its("sdb").or_else(|| its("sda")).map(|(lun, _)| *lun)
}

/// Returns the registration that [`register`] makes, in the words of LIO.
fn registration(node: &Node) -> Vec<String> {
    let (Some(lun), port) = (subject(&node.setup), &node.setup.ports[0]) else {
        return Vec::new();
    };
    vec![format!(
        "initiator_fabric=fc,initiator_node={},sa_res_key=7,res_holder=1,res_type=8,\
         res_scope=0,res_all_tg_pt=0,mapped_lun={lun},target_fabric=fc,target_node={port},\
         tpgt=1,port_rtpi=1,target_lun={lun}",
        INITIATORS[1]
    )]
}

fn registered(node: &Node) -> Vec<String> {
    let (port, initiator) = (node.setup.ports[0].parse().unwrap(), initiators()[1]);
    let san = node.san.borrow();
    subject(&node.setup).map_or(Vec::new(), |lun| san.registered(port, initiator, lun))
}

/// Has an initiator register on the LUN of [`subject`] through the first port, and
/// reserve it.
fn register(node: &Node) {
    let (port, initiator) = (node.setup.ports[0].parse().unwrap(), initiators()[1]);
    let lun = subject(&node.setup).unwrap();
    node.kernel.sleep(Duration::from_secs(1));
    assert!(node.san.borrow_mut().register(initiator, port, lun, 7, Some(8)));
    assert_eq!(registered(node), registration(node));
}

/// Side by side, and one after the other: two orders in which chains are cut short.
const ORDERS: [usize; 2] = [LANES, 1];

#[test]
fn the_agent_may_die_after_any_operation() {
    let mut points = 0;
    for case in Case::all(&ORDERS) {
        for (at, deed) in case.deeds().iter().enumerate() {
            case.strike(Fault::Dies, at, deed, &case.name(&Fault::Dies, at, deed));
            points += 1;
        }
    }
    println!("{points} points");
    assert!(points > 5_000, "{points}");
}

#[test]
fn a_verb_goes_on_where_a_killed_one_ended() {
    for case in Case::all(&ORDERS) {
        for (at, deed) in case.deeds().iter().enumerate() {
            let name = case.name(&Fault::Dies, at, deed);
            let mut node = case.node();
            node.kernel.plan(Some((at, Fault::Dies)));
            assert!(unless_killed(|| case.act(&mut node)).is_none(), "{name}");
            assert!(case.act(&mut node), "{name}: and again");
            match case.verb {
                Stop => assert_eq!(node.leavings(), [""; 0], "{name}"),
                _ => {
                    assert_eq!(node.health(Level::Disk), Health::Running, "{name}");
                    assert!(node.owns_all(), "{name}");
                    if node.setup.state.is_some() {
                        assert_eq!(registered(&node), registration(&node), "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn any_operation_may_fail_in_any_way() {
    let mut points = 0;
    for case in Case::all(&[LANES]) {
        for (at, deed) in case.deeds().iter().enumerate() {
            for fault in deed.faults() {
                let name = case.name(&fault, at, deed);
                case.strike(fault, at, deed, &name);
                points += 1;
            }
        }
    }
    println!("{points} points");
    assert!(points > 20_000, "{points}");
}

/// A read that fails hides nothing that is there: a stop does not report that nothing is
/// left, and a monitor does not report that nothing runs.
#[test]
fn any_read_may_fail() {
    let case = Case { setup: Setup::new(2, 2), verb: Stop, lanes: LANES };
    for errno in [Errno::EIO, Errno::ENOMEM, Errno::EMFILE] {
        for at in 0.. {
            let node = case.node();
            node.kernel.plan_read(at, errno);
            let said = node.health(Level::Port);
            if node.kernel.reads() <= at {
                break;
            }
            assert_ne!(said, Health::NotRunning, "a monitor's read {at}: {errno}");
        }
        for at in 0.. {
            let node = case.node();
            node.kernel.plan_read(at, errno);
            let stopped = node.stop().is_ok();
            if node.kernel.reads() <= at {
                break;
            }
            let name = format!("a stop's read {at}: {errno}");
            assert!(
                !stopped || node.leavings().is_empty(),
                "{name}: {:?}",
                node.leavings()
            );
            recovers(&node, &name);
        }
    }
}
