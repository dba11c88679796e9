//! Faults that stay: one kind of operation on one disk fails each time, on one node. Then a
//! stop there succeeds, and leaves no key on the disks that answer. So the group can be
//! served by the partner, and no node is fenced.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Node, Setup, initiators, pair_by_paths};
use understudy_core::kernel::{Kernel, Op};
use understudy_core::verbs::{Health, Level};
use understudy_sim::{Deed, Fault};

/// What meets the fault first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    /// A start after the partner has lost its power, and left its keys.
    Takeover,
    Reload,
    Monitor,
    Stop,
}

const VERBS: [Verb; 5] =
    [Verb::Start, Verb::Takeover, Verb::Reload, Verb::Monitor, Verb::Stop];

/// Returns the node that meets the fault, and its partner.
fn nodes(setup: &Setup, paths: usize, verb: Verb) -> (Node, Node) {
    let (a, b) = pair_by_paths(setup, paths);
    match verb {
        Verb::Start => {}
        Verb::Takeover => {
            b.start().unwrap();
            b.kernel.sleep(Duration::from_secs(1));
            b.san.borrow_mut().crash(1);
            b.kernel.sleep(Duration::from_secs(5));
            b.san.borrow_mut().boot(1);
        }
        _ => {
            a.start().unwrap();
            a.kernel.sleep(Duration::from_secs(1));
        }
    }
    let luns = setup.disks.iter().map(|(lun, _)| *lun).collect();
    a.san.borrow_mut().unused = (luns, initiators().into_iter().collect());
    a.kernel.plan(None);
    (a, b)
}

fn act(verb: Verb, node: &mut Node) -> bool {
    match verb {
        Verb::Start | Verb::Takeover => node.start().is_ok(),
        Verb::Reload => node.reload(&node.setup.changed()).is_ok(),
        Verb::Monitor => node.health(Level::Disk) == Health::Running,
        Verb::Stop => node.stop().is_ok(),
    }
}

/// Returns one operation of each kind on each disk, of a verb that nothing goes wrong with.
fn kinds(setup: &Setup, paths: usize, verb: Verb) -> Vec<Op> {
    let (mut a, _) = nodes(setup, paths, verb);
    assert!(act(verb, &mut a), "{verb:?}");
    let mut kinds = BTreeMap::new();
    for deed in a.kernel.deeds() {
        let Some(disk) = deed.disk().map(|disk| disk.display().to_string()) else {
            continue;
        };
        if let Deed::Op(op) = deed {
            let text = op.to_string();
            kinds.entry((text.split(' ').next().map(str::to_owned), disk)).or_insert(op);
        }
    }
    kinds.into_values().collect()
}

fn strike(setup: &Setup, paths: usize, verb: Verb, op: &Op, fault: &Fault) {
    let name =
        format!("{verb:?}, {paths} paths, state {:?}: {op}: {fault:?}", setup.state);
    let (mut a, mut b) = nodes(setup, paths, verb);
    a.kernel.make_lasting(Some((op.clone(), fault.clone())));
    let served = act(verb, &mut a) && verb != Verb::Stop;
    a.kernel.sleep(Duration::from_secs(1));
    if served {
        assert_eq!(a.health(Level::Port), Health::Running, "{name}");
    }
    a.stop().unwrap_or_else(|failure| panic!("{name}: then stop: {failure}"));
    let deed = Deed::Op(op.clone());
    let disk = deed.disk().and_then(|disk| disk.file_name()?.to_str());
    let excused = format!("a key on {}", disk.unwrap_or_default());
    let mut left = a.leavings();
    left.retain(|what| *what != excused);
    assert_eq!(left, [""; 0], "{name}");
    b.setup = a.setup.clone();
    b.start().unwrap_or_else(|failure| panic!("{name}: then the partner: {failure}"));
    assert!(b.owns_all(), "{name}");
}

/// A hang is no such fault: one process hangs, and the next ones wait for it or fail (`late`).
fn stays(fault: &Fault) -> bool {
    !matches!(fault, Fault::Hangs | Fault::HangsDone)
}

#[test]
fn a_fault_that_stays_fails_no_stop() {
    let mut points = 0;
    for (setup, paths) in [
        (Setup::new(1, 1), 1),
        (Setup::new(3, 2), 1),
        (Setup::new(3, 1).keeping(), 1),
        (Setup::new(3, 1), 2),
        (Setup::new(2, 1).on_qla2xxx(), 1),
    ] {
        for verb in VERBS {
            for op in kinds(&setup, paths, verb) {
                for fault in Deed::Op(op.clone()).faults().iter().filter(|f| stays(f)) {
                    strike(&setup, paths, verb, &op, fault);
                    points += 1;
                }
            }
        }
    }
    println!("{points} points");
    assert!(points > 500, "{points}");
}
