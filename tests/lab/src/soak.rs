//! The long run: faults of every kind, in an order that a seed decides, under verified
//! load.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::groups::{self, Group, Lun};
use crate::load::{Outcome, Pace};
use crate::pause::Gap;
use crate::progress;
use crate::scenario::{Fault, On, World, autopsy, qlogic, world::wall};

/// How many faults strike under one load. What that load wrote is read back all the time,
/// and once more at its end.
const EPISODE: u32 = 10;

/// The results of a soak.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The seed that decided the order of the faults.
    pub seed: u64,
    /// Faults from which the lab recovered.
    pub faults: u32,
    /// Faults from which the lab recovered, by their kind.
    pub by_kind: BTreeMap<&'static str, Kind>,
    /// The median of the faults' pauses at the initiator, in seconds. The longest pause
    /// of each fault counts.
    pub pause_median_s: f64,
    /// The longest pause of all faults, in seconds.
    pub pause_worst_s: f64,
    /// Requests that failed.
    pub io_errors: u64,
    /// Blocks that did not hold what was written to them.
    pub lost_writes: u64,
    /// Kernels that hung through a defect of their own, until their node was fenced.
    pub hung_kernels: usize,
    /// Faults that the lab did not get over by itself. The run ends at the first.
    pub helped_by_hand: u32,
    /// Why the run ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip)]
    pauses: Vec<f64>,
}

/// The results of one kind of fault.
#[derive(Debug, Default, Serialize)]
pub struct Kind {
    /// How many faults of this kind struck.
    pub faults: u32,
    /// How many nodes were fenced because of them.
    pub fenced: u32,
    /// The longest pause, in seconds.
    pub pause_worst_s: f64,
    /// The nodes that were fenced, each with the cluster's reason.
    pub reasons: BTreeSet<String>,
}

/// A fault from which the lab recovered.
struct Struck {
    kind: &'static str,
    groups: Vec<&'static str>,
    when: Gap,
    fenced: u32,
    reasons: BTreeSet<String>,
}

/// Strikes with `faults` faults of these kinds, and stops at the first result that must
/// not be. Calls `tell` whenever a load has been checked.
///
/// # Errors
/// The load cannot be started or read, or `tell` fails.
pub fn run(
    world: &World,
    seed: u64,
    faults: u32,
    kinds: &[Fault],
    tell: impl Fn(&Report) -> Result<()>,
) -> Result<Report> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut report = Report { seed, ..Report::default() };
    let on_hbas = kinds.iter().any(|fault| fault.on == On::Hba).then(groups::on_qlogic);
    if let Some(group) = &on_hbas {
        qlogic::begin(world, std::slice::from_ref(group))?;
    }
    // A reset of a chip lets a kept port in, for a moment.
    let claimed = on_hbas.as_ref().map(Group::port).transpose()?;
    while report.faults < faults && report.error.is_none() {
        let mark = world.mark()?;
        world.load.press(&luns(world, on_hbas.as_ref())?, Pace::Bursts)?;
        let mut episode = Vec::new();
        let mut error = None;
        for number in 1..=EPISODE.min(faults - report.faults) {
            match strike(world, &mut random, kinds, report.faults + number) {
                Ok(struck) => episode.push(struck),
                Err(why) => {
                    error = Some(why);
                    report.helped_by_hand += 1;
                    break;
                }
            }
        }
        let outcome = world.load.read_back(true).and_then(|()| world.load.account());
        let unclaimed = world.must_be_unclaimed(mark, claimed);
        match unclaimed.and_then(|()| world.check_invariants()) {
            // A link that fails under load wedges tcm_fc: what counts is that the node
            // is fenced for it.
            Ok(hung) => report.hung_kernels = hung.len(),
            Err(broken) => error = error.or(Some(broken)),
        }
        report.error = error.map(|error| error.to_string());
        match outcome {
            Ok(outcome) => report.add(&episode, &outcome),
            Err(error) => report.error = report.error.or(Some(error.to_string())),
        }
        if report.io_errors + report.lost_writes > 0 {
            report.error.get_or_insert_with(|| "the load has found errors".into());
        }
        tell(&report)?;
    }
    Ok(report)
}

/// Returns the LUNs of all groups, of the one that HBAs serve as well.
fn luns(world: &World, on_hbas: Option<&Group>) -> Result<Vec<Lun>> {
    let its = on_hbas.map(|group| qlogic::luns(world, std::slice::from_ref(group)));
    Ok([world.luns()?, its.transpose()?.unwrap_or_default()].concat())
}

fn strike(
    world: &World,
    random: &mut fastrand::Rng,
    kinds: &[Fault],
    number: u32,
) -> Result<Struck> {
    let Fault { name: kind, on, strike } = kinds
        .get(random.usize(..kinds.len()))
        .ok_or_else(|| Error::other("there are no faults"))?;
    let [a, b] = &world.groups;
    let group = if random.bool() { a } else { b };
    let group = match on {
        On::Software => group.clone(),
        On::Hba => groups::on_qlogic(),
    };
    if *on == On::Hba {
        qlogic::bring_home(world, &group)?;
    }
    progress::note(&format!("-- fault {number}: {kind}, {}", group.name));
    let began = Instant::now();
    let (from, boots, before) = (wall(), world.boots()?, autopsy::fences(world));
    let moved = strike(world, &group)?;
    world.load.wait_flow()?;
    let fenced = world.boots()? - boots;
    let lines = autopsy::fences(world);
    let reasons: BTreeSet<_> =
        lines.difference(&before).filter_map(|line| autopsy::reason(line)).collect();
    reasons.iter().for_each(|reason| progress::note(&format!("   fenced: {reason}")));
    if fenced > 0 && reasons.is_empty() {
        return Err(Error::other("a node was fenced, and the cluster says no reason"));
    }
    progress::note(&format!("   over after {:.0} s", began.elapsed().as_secs_f64()));
    let groups = moved.iter().map(|group| group.name).collect();
    Ok(Struck { kind, groups, when: Gap { from, to: wall() }, fenced, reasons })
}

impl Report {
    fn add(&mut self, episode: &[Struck], outcome: &Outcome) {
        self.io_errors += outcome.io_errors;
        self.lost_writes += outcome.lost_writes;
        for struck in episode {
            let pause = |group: &&str| outcome.completions.gap_within(group, struck.when);
            let gaps = struck.groups.iter().map(pause);
            let longest = gaps.map(|gap| gap.seconds()).fold(0.0, f64::max);
            self.faults += 1;
            self.pauses.push(longest);
            let kind = self.by_kind.entry(struck.kind).or_default();
            kind.faults += 1;
            kind.fenced += struck.fenced;
            kind.reasons.extend(struck.reasons.iter().cloned());
            kind.pause_worst_s = kind.pause_worst_s.max(longest);
        }
        self.pauses.sort_unstable_by(f64::total_cmp);
        self.pause_median_s =
            self.pauses.get(self.pauses.len() / 2).copied().unwrap_or(0.0);
        self.pause_worst_s = self.pauses.last().copied().unwrap_or(0.0);
    }

    /// Returns the results for people, 80 columns at most.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<24} {:>8} {:>8} {:>14}\n",
            "fault", "times", "fenced", "worst pause s"
        );
        for (name, kind) in &self.by_kind {
            text += &format!(
                "{name:<24} {:>8} {:>8} {:>14.1}\n",
                kind.faults, kind.fenced, kind.pause_worst_s
            );
        }
        for (name, kind) in &self.by_kind {
            for reason in &kind.reasons {
                text += &format!("{name}: fenced {reason}\n");
            }
        }
        text += &format!(
            "\nseed {}: {} faults, pause {:.1} s (median), {:.1} s (worst),\n\
             {} I/O errors, {} lost writes, {} hung kernels, helped by hand {} times\n",
            self.seed,
            self.faults,
            self.pause_median_s,
            self.pause_worst_s,
            self.io_errors,
            self.lost_writes,
            self.hung_kernels,
            self.helped_by_hand
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_those_within_each_fault() {
        let mut outcome = Outcome { verified: 1, ..Outcome::default() };
        outcome
            .completions
            .add("group-a", "1000, 0\n3000, 2000000000\n9000, 6000000000\n9100, 0\n");
        let struck = |kind, from, to| Struck {
            kind,
            groups: vec!["group-a"],
            when: Gap { from, to },
            fenced: 1,
            reasons: BTreeSet::from(["array-a: a reason".to_owned()]),
        };
        let mut report = Report::default();
        report.add(&[struck("one", 500, 3500), struck("two", 3500, 9050)], &outcome);
        assert_eq!((report.faults, report.pause_worst_s), (2, 6.0));
        assert_eq!(report.by_kind["one"].pause_worst_s, 2.0);
        assert!(report.table().contains("one: fenced array-a: a reason"));
        assert!(report.table().lines().all(|line| line.chars().count() <= 80));
    }
}
