//! The scenarios: faults and commands in a real cluster, under verified load.

mod agent_killed;
pub mod autopsy;
mod bad_configuration;
mod busy;
mod cold_start;
mod commanded;
mod contract;
mod crash_points;
mod disk_returns;
mod fabric_link;
mod fabric_lost;
mod faults;
mod flushes;
mod foreign_keys;
mod giveback;
mod grown;
mod heartbeat_cut;
mod identity;
mod initiator;
mod luns;
mod moves;
mod neighbours;
mod nvme_disks;
mod package;
mod partner_activates;
mod path_lost;
mod physical_port;
mod power_cut;
pub mod qlogic;
mod readme;
mod renumbered;
mod reservations;
mod same_name;
mod shutdowns;
mod stop_cannot_drain;
mod stranger;
mod survivor;
mod three_nodes;
mod two_fabric_takeover;
mod two_fabrics;
pub mod world;
mod zoned;

use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use understudy_fabric::wwn::Wwn;

use crate::error::{Error, Result};
use crate::groups::{Group, Lun};
use crate::load::{Outcome, Pace};
use crate::progress;
use crate::report::Row;
pub use faults::{FAULTS, Fault, On};
pub use power_cut::{LAST, Story, play};
use world::Mark;
pub use world::World;

/// When a scenario is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// By `make test`, which is to stay under an hour.
    First,
    /// By `make test-all`, before an issue is called resolved.
    Second,
}

/// A scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// The name in reports and on the command line.
    pub name: &'static str,
    /// When it is run.
    pub rank: Rank,
    /// Whether the scenario needs one node only. It is then played beside the next one.
    pub aside: bool,
    /// Whether the kernel of a node may hang, because a link is lost or a chip is reset
    /// under load. Every later scenario finds that in the guest's console.
    may_hang: bool,
    run: fn(&World) -> Result<Seen>,
}

/// What a scenario has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The longest pause of a group that moved, in seconds; none where nothing moved.
    pub pause: Option<f64>,
    /// What the load has seen.
    pub load: Outcome,
    /// Whether the kernel of a node may have hung, now or earlier.
    pub may_hang: bool,
    /// The name that a port may have claimed while it was logged in: a reset of an HBA let
    /// that port in, or the fabric did not know yet that the other port's light is off.
    pub claimed: Option<Wwn>,
}

/// The scenarios that need a second fabric. They share it.
const TWO_FABRICS: [&str; 2] = ["two-fabric-takeover", "fabric-lost"];

/// Every scenario, in the order in which they are run. Those that disturb least come
/// first, and those in which a kernel may hang come last.
pub const SCENARIOS: [Scenario; 52] = [
    first("bad-configuration", bad_configuration::run),
    first("same-name-twice", same_name::run),
    first("agent-contract", contract::run),
    aside("crash-points", crash_points::run),
    first("readme-examples", readme::run),
    first("move-and-giveback", moves::three_rounds),
    first("identity-byte-for-byte", identity::run),
    first("commanded-takeover", commanded::run),
    second("twenty-moves", moves::twenty),
    first("flush-heavy-move", flushes::run),
    second("busy-moves", busy::run),
    first("luns-added-and-removed", luns::run),
    second("luns-renumbered", renumbered::run),
    first("initiator-added", initiator::run),
    first("disk-grown", grown::run),
    second("giveback-policy", giveback::run),
    first("disk-returns", disk_returns::run),
    first("foreign-keys", foreign_keys::run),
    second("zoned-fabric", zoned::run),
    first("package-upgrade", package::upgrade),
    first("package-remove", package::remove),
    second("neighbour-restarts", neighbours::restarts),
    second("firewall-reloads", neighbours::firewall),
    second("reboot-while-serving", shutdowns::reboots),
    first("both-links-cut", fabric_link::both),
    first("reservations-survive", reservations::run),
    first("power-cut", power_cut::run),
    first("heartbeat-cut", heartbeat_cut::run),
    first("agent-killed", agent_killed::run),
    first("stop-cannot-drain", stop_cannot_drain::run),
    first(TWO_FABRICS[0], two_fabric_takeover::run),
    first(TWO_FABRICS[1], fabric_lost::run),
    first("physical-port-identity", physical_port::run),
    first("path-lost", path_lost::lost),
    second("path-restored", path_lost::restored),
    second("paths-blip", path_lost::blip),
    second("nvme-disks", nvme_disks::run),
    second("partner-activates", partner_activates::run),
    second("survivor-cannot-read", survivor::run),
    second("cold-start", cold_start::run),
    second("three-nodes", three_nodes::run),
    first("qlogic-moves", qlogic::moves::run),
    first("qlogic-power-cut", qlogic::power_cut::run),
    second("qlogic-two-groups", qlogic::two_groups::run),
    second("qlogic-initiators", qlogic::initiators::run),
    second("qlogic-module-reload", qlogic::module_reload::run),
    second("qlogic-crash-points", qlogic::crash_points::run),
    second("qlogic-identity", qlogic::identity::run),
    second("qlogic-reservations-survive", qlogic::reservations::run),
    may_hang(first("qlogic-chip-reset", qlogic::chip_reset::run)),
    may_hang(second("qlogic-link-cut", qlogic::link_cut::run)),
    may_hang(first("fc-link-cut", fabric_link::run)),
];

/// Returns a scenario of the first rank.
const fn first(name: &'static str, run: fn(&World) -> Result<Seen>) -> Scenario {
    Scenario { name, rank: Rank::First, aside: false, may_hang: false, run }
}

/// Returns a scenario of the second rank.
const fn second(name: &'static str, run: fn(&World) -> Result<Seen>) -> Scenario {
    Scenario { rank: Rank::Second, ..first(name, run) }
}

/// Returns a scenario of the first rank that is played beside the next one.
const fn aside(name: &'static str, run: fn(&World) -> Result<Seen>) -> Scenario {
    Scenario { aside: true, ..first(name, run) }
}

/// Returns a scenario in which the kernel of a node may hang.
const fn may_hang(scenario: Scenario) -> Scenario {
    Scenario { may_hang: true, ..scenario }
}

/// Runs scenarios side by side in a whole lab, and judges each. They leave the lab whole.
pub fn run(world: &World, scenarios: &[Scenario]) -> Vec<Row> {
    thread::scope(|scope| {
        let one = |scenario: &Scenario| {
            let scenario = *scenario;
            (scenario.name, scope.spawn(move || run_one(world, scenario)))
        };
        let all: Vec<_> = scenarios.iter().map(one).collect();
        let panicked = |name| judged(world, name, || Err(Error::other("it panicked")));
        let row = |(name, one): (_, ScopedJoinHandle<Row>)| {
            one.join().unwrap_or_else(|_| panicked(name))
        };
        all.into_iter().map(row).collect()
    })
}

fn run_one(world: &World, scenario: Scenario) -> Row {
    judged(world, scenario.name, || {
        whole(world, scenario)?;
        let mark = world.mark()?;
        let mut seen = (scenario.run)(world)?;
        seen.may_hang = scenario.may_hang;
        // A scenario that had no load of its own ran beside the load that was there, or
        // paused it.
        seen.load.add(world.load.account()?);
        Ok((mark, seen))
    })
}

/// Reads back every block that was written to the groups' disks since the lab began.
/// Returns a row of the result.
pub fn everything_read_back(world: &World) -> Row {
    judged(world, "everything-read-back", || {
        two_fabrics::end(world)?;
        let mark = world.mark()?;
        let seen = progress::during("load: every block read back", || {
            world.load.press(&world.luns()?, Pace::Full)?;
            world.load.read_back(true)?;
            let load = world.load.account()?;
            // A kernel may have hung in the last scenario, which says so itself.
            Ok::<_, Error>(Seen { load, may_hang: true, ..Seen::default() })
        })?;
        Ok((mark, seen))
    })
}

/// Runs `play`, judges it, and returns a row of the result.
fn judged(world: &World, name: &str, play: impl FnOnce() -> Result<(Mark, Seen)>) -> Row {
    progress::note(&format!("-- {name}"));
    let (began, journal) = (Instant::now(), autopsy::journal_length(world));
    let (seen, verdict) = match play() {
        Ok((mark, seen)) => {
            let verdict = judge(world, mark, &seen);
            (seen, verdict)
        }
        Err(error) => {
            // What the load has seen by then may be why.
            let load = world.load.account().unwrap_or_default();
            let complaint = load.complaint().map(|text| format!("\nthe load: {text}"));
            let error = format!("{error}{}", complaint.unwrap_or_default());
            (Seen { load, ..Seen::default() }, Err(Error::other(error)))
        }
    };
    let mut error = verdict.err().map(|error| error.to_string());
    if let Some(error) = error.as_mut().filter(|_| seen.load.io_errors > 0) {
        let why = autopsy::failed_commands(world, journal);
        error.push_str(&format!("\nthe initiator's kernel:\n{why}"));
    }
    if let Some(error) = &error {
        eprintln!("{name}: {error}");
        autopsy::write(world, name, error);
    }
    Row {
        scenario: name.to_owned(),
        ok: error.is_none(),
        pause_s: seen.pause,
        io_errors: seen.load.io_errors,
        lost_writes: seen.load.lost_writes,
        seconds: began.elapsed().as_secs_f64(),
        error,
    }
}

/// Ends the second fabric, unless the scenario needs it.
fn whole(world: &World, scenario: Scenario) -> Result<()> {
    if TWO_FABRICS.contains(&scenario.name) { Ok(()) } else { two_fabrics::end(world) }
}

/// Checks what must hold after anything that is done under load: no error, no lost write,
/// no name claimed twice, no hung kernel.
///
/// # Errors
/// One of these does not hold.
pub fn judge(world: &World, since: Mark, seen: &Seen) -> Result<()> {
    if let Some(complaint) = seen.load.complaint() {
        return Err(Error::other(complaint));
    }
    world.must_be_unclaimed(since, seen.claimed)?;
    match world.check_invariants()?.into_iter().next() {
        Some(hung) if !seen.may_hang => Err(Error::other(hung)),
        _ => Ok(()),
    }
}

/// Runs `act` under load on every LUN. Then has every write read back, and measures the
/// pause of the groups that `act` returns, which have moved.
fn under_load(
    world: &World,
    pace: Pace,
    act: impl FnOnce() -> Result<Vec<Group>>,
) -> Result<Seen> {
    under_load_on(world, &world.luns()?, pace, act)
}

/// Runs `act` as [`under_load`] does, with load on these LUNs only.
fn under_load_on(
    world: &World,
    luns: &[Lun],
    pace: Pace,
    act: impl FnOnce() -> Result<Vec<Group>>,
) -> Result<Seen> {
    let load = &world.load;
    progress::during("load: requests complete on every LUN", || load.press(luns, pace))?;
    let boots = world.boots()?;
    let moved = act()?;
    // Writes that a node had in hand when it lost its power may reach a disk late. So
    // every block is read then, and not only those that this scenario has written.
    let all = world.boots()? != boots;
    let what =
        if all { "load: every block read back" } else { "load: every write read back" };
    let outcome = progress::during(what, || {
        load.wait_flow()?;
        load.read_back(all)?;
        load.set_pace(Pace::Bursts)?;
        load.account()
    })?;
    if outcome.verified == 0 {
        return Err(Error::other("no block was read back: nothing was checked"));
    }
    let pauses = moved.iter().map(|g| outcome.completions.longest_gap(g.name).seconds());
    let pause = pauses.reduce(f64::max);
    Ok(Seen { pause, load: outcome, ..Seen::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_in_which_a_kernel_may_hang_come_last() {
        let after = SCENARIOS.iter().skip_while(|scenario| !scenario.may_hang);
        let mut blamed = after.filter(|scenario| !scenario.may_hang);
        assert_eq!(blamed.next().map(|scenario| scenario.name), None);
    }
}
