//! What a start, a monitor and a stop cost, compared with the bare kernel operations and
//! with other agents. All are measured in one run on one guest.
//!
//! The guest has a physical port on the fabric, a thousand RAM disks, and a cluster of its
//! own, which a start asks about the group. It has no initiator, so that nothing but the
//! target is measured. [`pause`] measures what an initiator waits for.

mod contenders;
pub mod pause;
mod picture;
mod table;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::lab::{Lab, wait_port};
use crate::{cluster, install, paths, plan, progress};

pub use picture::{draw, stack};
pub use table::{document, summary};

use contenders::Contender;

/// The group's node name.
pub const WWNN: &str = "20:00:75:64:00:00:00:0e";
/// The group's port name.
pub const WWPN: &str = "20:01:75:64:00:00:00:0e";
/// The initiator that may see the LUNs; it does not exist.
pub const INITIATOR: &str = "20:00:52:54:00:75:03:0e";
/// The numbers of LUNs that are measured.
pub const LUNS: [usize; 5] = [1, 16, 64, 256, 1024];
/// How often each number of LUNs is measured.
pub const ROUNDS: usize = 5;

/// Returns the disk behind a LUN, by a name that does not change.
#[must_use]
pub fn disk(lun: usize) -> String {
    format!("{NAMES}{lun}")
}

/// The beginning of the names of the RAM disks. The kernel's own names are refused.
const NAMES: &str = "/dev/disk/by-id/lab-ram";

/// A measurement of a command.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Time until the command ended.
    pub ms: f64,
    /// Processor time of the command and of everything that it started.
    pub cpu_ms: f64,
    /// How many processes ran, the command included.
    pub processes: usize,
    /// The memory of the largest of these processes.
    pub peak_kib: i64,
}

/// What a contender did at one number of LUNs: medians of its rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The contender's name.
    pub contender: &'static str,
    /// How many LUNs the group had.
    pub luns: usize,
    /// `start`, `monitor` or `stop`.
    pub action: &'static str,
    /// The median of the wall time.
    pub median_ms: f64,
    /// The shortest wall time.
    pub min_ms: f64,
    /// The longest wall time.
    pub max_ms: f64,
    /// The median of the processor time.
    pub cpu_ms: f64,
    /// How many processes ran, the command included.
    pub processes: usize,
    /// The memory of the largest of these processes, at its highest in any round.
    pub peak_kib: i64,
    /// How often the action was measured.
    pub rounds: usize,
}

/// The results of a bench.
#[derive(Debug, Default)]
pub struct Report {
    /// A row for each contender, size and action.
    pub rows: Vec<Row>,
    /// What was left out, and why.
    pub remarks: Vec<String>,
}

/// Runs all contenders, or those of these names. `slow` is how long the contenders that
/// start a process for each LUN may take together. `tell` gets the report after each
/// measurement.
///
/// # Errors
/// The guest does not come up, or a contender fails.
pub fn run(
    slow: Duration,
    names: &[&str],
    tell: impl Fn(&Report) -> Result<()>,
) -> Result<Report> {
    let lab = Lab::of(&[plan::bench()], &[])?;
    let guest = lab.guest(plan::BENCH)?;
    progress::during("boot: one guest with its port Online", || {
        guest.wait_up(BOOT)?;
        wait_port(guest, BOOT)
    })?;
    let share = lab.folders().share();
    progress::during("cluster: one node online", || {
        paths::write(&share.join(COROSYNC), cluster::alone(plan::BENCH))?;
        guest.run(CLUSTER, BOOT)?;
        cluster::wait_online(guest, 1, BOOT)
    })?;
    progress::during("agent and a thousand RAM disks", || {
        install::packages(&lab, &[plan::BENCH])?;
        let most = LUNS.into_iter().max().unwrap_or(1);
        guest.run(&prepare(most), BOOT).map(drop)
    })?;
    let mut report = Report::default();
    let mut clock = Clock { left: slow, before: None };
    let wanted = |c: &Contender| names.is_empty() || names.contains(&c.name);
    for contender in contenders::all().into_iter().filter(wanted) {
        clock.before = None;
        guest.run(contender.prepare, BOOT)?;
        for luns in LUNS {
            paths::write(&share.join(contenders::FILE), (contender.file)(luns))?;
            if !measure(guest, &contender, luns, &mut clock, &mut report)? {
                break;
            }
            tell(&report)?;
        }
    }
    Ok(report)
}

/// The time that is left to the contenders that start a process for each LUN.
struct Clock {
    left: Duration,
    /// The number of LUNs that was measured last, and how long its rounds took.
    before: Option<(usize, Duration)>,
}

impl Clock {
    /// Returns whether the rounds for this many LUNs would take longer than what is left.
    /// They take at least as long for each LUN as the last ones did, so rounds that would
    /// be cut short are not begun.
    fn is_out(&self, luns: usize) -> bool {
        let expected =
            self.before.map(|(before, took)| took.mul_f64(luns as f64 / before as f64));
        expected.is_some_and(|expected| expected > self.left)
    }
}

/// How long the guest may take to boot, or to install a package.
const BOOT: Duration = Duration::from_secs(180);
/// How long one action of one contender may take.
const ACTION: Duration = Duration::from_secs(3600);

/// The file in the guest's shared folder that makes the guest a cluster of one node.
const COROSYNC: &str = "corosync.conf";

/// A script that starts the cluster.
const CLUSTER: &str = "set -e
    cp /lab/corosync.conf /etc/corosync/
    systemctl start corosync pacemaker
    until crm_attribute --name stonith-enabled --update false; do sleep 0.5; done";

fn prepare(disks: usize) -> String {
    format!(
        "set -e
         cp /lab/common/understudy-lab-meter /run/
         modprobe brd rd_nr={disks} rd_size=1024
         udevadm settle
         mkdir -p /dev/disk/by-id
         for ram in /dev/ram*; do ln -s $ram {NAMES}${{ram#/dev/ram}}; done
         test -b {}",
        disk(disks - 1)
    )
}

/// Measures a contender with this many LUNs. Returns whether more LUNs make sense.
fn measure(
    guest: &Guest,
    contender: &Contender,
    luns: usize,
    clock: &mut Clock,
    report: &mut Report,
) -> Result<bool> {
    let name = contender.name;
    let step = progress::step(format!("{name}: {luns} LUNs"));
    let mut best: Option<(usize, Vec<Row>)> = None;
    for lanes in contender.lanes {
        let Some(rows) = rounds(guest, contender, luns, *lanes, clock)? else {
            report.remarks.push(format!(
                "{name} was left out from {luns} LUNs on: {ROUNDS} rounds would have \
                 taken more than the time that was left"
            ));
            step.done("left out: no time");
            return Ok(false);
        };
        let whole = |rows: &[Row]| rows.iter().map(|row| row.median_ms).sum::<f64>();
        if best.as_ref().is_none_or(|(_, before)| whole(&rows) < whole(before)) {
            best = Some((*lanes, rows));
        }
    }
    let Some((lanes, rows)) = best else { return Ok(true) };
    if contender.lanes.len() > 1 {
        report.remarks.push(format!("{name} at {luns} LUNs: {lanes} threads were best"));
    }
    let told = rows.iter().map(|r| format!("{} {:.0}", r.action, r.median_ms));
    step.done(&told.collect::<Vec<_>>().join(", "));
    report.rows.extend(rows);
    Ok(true)
}

/// Measures all rounds. Returns nothing where they would take longer than what is left.
fn rounds(
    guest: &Guest,
    contender: &Contender,
    luns: usize,
    lanes: usize,
    clock: &mut Clock,
) -> Result<Option<Vec<Row>>> {
    let name = contender.name;
    let mut samples: BTreeMap<&'static str, Vec<Sample>> = BTreeMap::new();
    if contender.is_slow && clock.is_out(luns) {
        return Ok(None);
    }
    let first = Instant::now();
    for round in 1..=ROUNDS {
        let begun = Instant::now();
        for (action, script) in (contender.actions)(luns, lanes) {
            let said = guest.run(&script, ACTION)?;
            let sample = serde_json::from_str(said.trim())
                .map_err(|e| Error::other(format!("{name} {action}: {e}: {said}")))?;
            samples.entry(action).or_default().push(sample);
        }
        if contender.is_slow {
            clock.left = clock.left.saturating_sub(begun.elapsed());
            let rest = begun.elapsed() * u32::try_from(ROUNDS - round).unwrap_or(0);
            if rest > clock.left {
                return Ok(None);
            }
        }
    }
    if contender.is_slow {
        clock.before = Some((luns, first.elapsed()));
    }
    let rows = samples.iter().map(|(action, s)| Row::of(name, luns, action, s));
    Ok(Some(rows.collect()))
}

impl Row {
    fn of(
        contender: &'static str,
        luns: usize,
        action: &'static str,
        samples: &[Sample],
    ) -> Self {
        let sorted = |of: fn(&Sample) -> f64| {
            let mut all: Vec<f64> = samples.iter().map(of).collect();
            all.sort_unstable_by(f64::total_cmp);
            all
        };
        let median = |all: &[f64]| all.get(all.len() / 2).copied().unwrap_or(0.0);
        let ms = sorted(|s| s.ms);
        let worst = |of: fn(&Sample) -> i64| samples.iter().map(of).max().unwrap_or(0);
        Self {
            contender,
            luns,
            action,
            median_ms: median(&ms),
            min_ms: ms.first().copied().unwrap_or(0.0),
            max_ms: ms.last().copied().unwrap_or(0.0),
            cpu_ms: median(&sorted(|s| s.cpu_ms)),
            processes: samples.iter().map(|s| s.processes).max().unwrap_or(0),
            peak_kib: worst(|s| s.peak_kib),
            rounds: samples.len(),
        }
    }
}

impl Report {
    /// Returns the row of a contender.
    #[must_use]
    pub fn row(&self, contender: &str, luns: usize, action: &str) -> Option<&Row> {
        self.rows.iter().find(|row| {
            row.contender == contender && row.luns == luns && row.action == action
        })
    }

    /// Returns how long start and stop take together, in milliseconds.
    #[must_use]
    pub fn both(&self, contender: &str, luns: usize) -> Option<f64> {
        let of = |action| Some(self.row(contender, luns, action)?.median_ms);
        Some(of("start")? + of("stop")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_will_not_fit_is_not_begun() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let clock = |left| Clock { left: minutes(left), before: Some((16, minutes(25))) };
        assert!(clock(33).is_out(64));
        assert!(!clock(101).is_out(64));
        assert!(!Clock { left: minutes(1), before: None }.is_out(1));
    }

    #[test]
    fn a_row_has_the_median_and_the_spread() {
        let sample =
            |ms, processes| Sample { ms, cpu_ms: ms / 2.0, processes, peak_kib: 1 };
        let samples = [sample(30.0, 2), sample(10.0, 3), sample(20.0, 2)];
        let row = Row::of("limit", 4, "start", &samples);
        assert_eq!((row.min_ms, row.median_ms, row.max_ms), (10.0, 20.0, 30.0));
        assert_eq!((row.cpu_ms, row.processes, row.rounds), (10.0, 3, 3));
    }
}
