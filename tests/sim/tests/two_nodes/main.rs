//! Two nodes, one truth. Each schedule is a seed: two nodes with a group each, shared
//! disks with reservations, a fabric, initiators that write, and a cluster manager that
//! starts, stops, probes, fences late, loses messages and falls apart. Both nodes' agents
//! go on one operation at a time, each held up as the seed decides; some of the
//! operations fail or hang. In a quarter of the schedules each SCSI disk has two paths
//! from each node, and one of the two may fail or leave, and come back under another
//! name; in another quarter the nodes do not see each other's ports. On an idle node
//! something else may have a disk for a while. A disk may leave a node and come back
//! under another name: its initiators meet errors until the group is started again, and
//! no monitor says meanwhile that all is well. The keeper of what initiators register may
//! die or stand still, which a monitor of level 10 or 20 has to say.
//!
//! In one schedule of eight somebody edits the groups' configurations: a LUN or an initiator
//! comes or goes, or something is wrong that a reload has to refuse, until it is repaired. Nodes
//! that do not hear each other have each their own copy.
//!
//! After every step: no disk can be written to by both nodes; no WWPN is logged in twice,
//! unless one of the two should have been fenced and was not; a stop that succeeded left
//! nothing; a monitor that said "running" or "not running" was right, and from level 10 on
//! the node owned the disks; where a start succeeded, every registration that was
//! acknowledged to an initiator is there; a LUN number keeps its disk; a reload that succeeded
//! has put its configuration into force and left nothing of a LUN that went, and one that failed
//! before it did anything has left all as it was. An action that fails has a reason: in one schedule
//! of eight groups are moved and nothing goes wrong, so that none may fail; in the others
//! what was wrong must be something that the action met. The simulation itself fails a test
//! in which a port logs out with commands in flight, or a LUN is unmapped under a live port.
//! It also fails one in which an initiator would see an error or the data of another LUN, or
//! would lose a write that was acknowledged.
//!
//! `UNDERSTUDY_SEED=N` runs that schedule alone, and prints what happens;
//! `UNDERSTUDY_SCHEDULES=N` says below which seed to run all, and `UNDERSTUDY_FROM=N` at which
//! to begin.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod agent;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod groups;
mod schedule;
mod tally;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use groups::Shelf;
use schedule::Schedule;
use tally::Tally;
use understudy_sim::Hba;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn no_schedule_splits_or_lies() {
    schedules(Hba::Libfc, Shelf::Scsi, 100_000);
}

/// Schedules on nodes whose ports are on qla2xxx HBAs, both groups' on the same one.
#[test]
fn no_schedule_on_qla2xxx_splits_or_lies() {
    schedules(Hba::Qla2xxx, Shelf::Scsi, 10_000);
}

/// Schedules with NVMe namespaces in place of SCSI disks.
#[test]
fn no_schedule_on_nvme_splits_or_lies() {
    schedules(Hba::Libfc, Shelf::Nvme, 5_000);
}

/// Runs the schedules of all seeds below a number, on every core.
fn schedules(hba: Hba, shelf: Shelf, usual: u64) {
    let end = number("UNDERSTUDY_SCHEDULES").unwrap_or(usual);
    let first = number("UNDERSTUDY_FROM").unwrap_or(0);
    if let Some(seed) = number("UNDERSTUDY_SEED") {
        println!("{:#?}", Schedule::new(seed, hba, shelf, true).run());
        return;
    }
    let next = AtomicU64::new(first);
    let total = Mutex::new(Tally::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let run = || Schedule::new(seed, hba, shelf, false).run();
                    match catch_unwind(AssertUnwindSafe(run)) {
                        Ok(schedule) => tally += schedule,
                        Err(_) => {
                            next.store(end, Ordering::Relaxed);
                            panic!("schedule {seed} on {hba:?} and {shelf:?} failed; UNDERSTUDY_SEED={seed} repeats it");
                        }
                    }
                }
                *total.lock().unwrap() += tally;
            });
        }
    });
    let tally = total.into_inner().unwrap();
    let schedules = end.saturating_sub(first);
    println!("{tally:#?}");
    assert_eq!(tally.schedules, schedules);
    for (happened, one_in) in [
        (tally.calm, 20),
        (tally.zoned, 10),
        (tally.held, 100),
        (tally.disks_alone, 40),
        (tally.unspoilt, 1),
        (tally.disks_left, 8),
        (tally.left_in_service, 20),
        (tally.left_in_action, 100),
        (tally.renamed, 20),
        (tally.errors, 10),
        (tally.keepers_died, 200),
        (tally.keepers_still, 200),
        (tally.stuck, 2000),
        (tally.starts[1], 100),
        (tally.edited, 10),
        (tally.reloads[0], 10),
        (tally.reloads[1], 40),
        (tally.wrong_edits, 25),
        (tally.luns_gone, 100),
        (tally.stops[1], 100),
        (tally.monitors[1], 10),
        (tally.agents_killed, 20),
        (tally.faults, 10),
        (tally.messages_lost, 10),
        (tally.power_cuts, 10),
        // The kernel alone sees the paths of a namespace.
        (if shelf == Shelf::Scsi { tally.paths_lost } else { schedules }, 20),
        (if shelf == Shelf::Scsi { tally.paths_left } else { schedules }, 40),
        (tally.partitions, 10),
        (tally.fenced, 10),
        (tally.lies, 20),
        (tally.registered, 1),
        (tally.doubled, 500),
    ] {
        let enough = happened > schedules / one_in;
        assert!(enough, "{happened} of something is too few: {tally:#?}");
    }
}
