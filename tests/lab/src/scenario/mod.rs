//! The scenarios: what can go wrong, done for real under verified load.

mod agent_killed;
mod bad_configuration;
mod commanded;
mod contract;
mod crash_points;
mod fabric_link;
mod fabric_lost;
mod giveback;
mod grown;
mod heartbeat_cut;
mod identity;
mod initiator;
mod luns;
mod moves;
mod package;
mod physical_port;
mod power_cut;
mod readme;
mod reservations;
mod stop_cannot_drain;
mod stranger;
mod two_fabric_takeover;
mod two_fabrics;
pub mod world;

use std::time::Instant;

use crate::error::{Error, Result};
use crate::groups::{Group, Lun};
use crate::load::{Load, Outcome, Pace};
use crate::progress;
use crate::report::Row;
pub use power_cut::{LAST, Story, play};
use world::Mark;
pub use world::World;

/// A scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name, in reports and on the command line.
    pub name: &'static str,
    run: fn(&World) -> Result<Seen>,
}

/// What a scenario has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The longest pause of a group that moved, in seconds; none where nothing moved.
    pub pause: Option<f64>,
    /// The load's outcome.
    pub load: Outcome,
    /// Whether the kernel of a node may have hung: of a link that is lost under load.
    pub may_hang: bool,
}

/// Those that share a second fabric.
const TWO_FABRICS: [&str; 2] = ["two-fabric-takeover", "fabric-lost"];

/// Every scenario, in the order in which they are run: the quiet ones first.
pub const SCENARIOS: [Scenario; 24] = [
    Scenario { name: "bad-configuration", run: bad_configuration::run },
    Scenario { name: "agent-contract", run: contract::run },
    Scenario { name: "crash-points", run: crash_points::run },
    Scenario { name: "readme-examples", run: readme::run },
    Scenario { name: "move-and-giveback", run: moves::three_rounds },
    Scenario { name: "identity-byte-for-byte", run: identity::run },
    Scenario { name: "commanded-takeover", run: commanded::run },
    Scenario { name: "twenty-moves", run: moves::twenty },
    Scenario { name: "luns-added-and-removed", run: luns::run },
    Scenario { name: "initiator-added", run: initiator::run },
    Scenario { name: "disk-grown", run: grown::run },
    Scenario { name: "giveback-policy", run: giveback::run },
    Scenario { name: "package-upgrade", run: package::upgrade },
    Scenario { name: "package-remove", run: package::remove },
    Scenario { name: "both-links-cut", run: fabric_link::both },
    Scenario { name: "reservations-survive", run: reservations::run },
    Scenario { name: "power-cut", run: power_cut::run },
    Scenario { name: "heartbeat-cut", run: heartbeat_cut::run },
    Scenario { name: "agent-killed", run: agent_killed::run },
    Scenario { name: "stop-cannot-drain", run: stop_cannot_drain::run },
    Scenario { name: TWO_FABRICS[0], run: two_fabric_takeover::run },
    Scenario { name: TWO_FABRICS[1], run: fabric_lost::run },
    Scenario { name: "physical-port-identity", run: physical_port::run },
    // Last: a kernel may hang in it, and that is read from a guest's console ever after.
    Scenario { name: "fc-link-cut", run: fabric_link::run },
];

/// What goes wrong, or is commanded, under load; the lab is whole again at its end. Gives
/// back the groups that moved.
pub type Fault = fn(&World, &Load, &Group) -> Result<Vec<Group>>;

/// Every fault by its name.
pub const FAULTS: [(&str, Fault); 8] = [
    ("commanded-move", moves::there_and_back),
    ("power-cut", power_cut::strike),
    ("heartbeat-cut", |world, load, _| heartbeat_cut::strike(world, load)),
    ("start-killed", agent_killed::in_a_start),
    ("stop-killed", agent_killed::in_a_stop),
    ("disk-hang", stop_cannot_drain::strike),
    ("link-cut", fabric_link::cut),
    ("link-flap", fabric_link::flap),
];

/// Runs one scenario from a whole lab to a whole lab, and judges it.
pub fn run(world: &World, scenario: Scenario) -> Row {
    progress::note(&format!("-- {}", scenario.name));
    let began = Instant::now();
    let played = whole(world, scenario).and_then(|()| {
        let mark = world.mark()?;
        Ok((mark, (scenario.run)(world)?))
    });
    let (seen, verdict) = match played {
        Ok((mark, seen)) => {
            let verdict = judge(world, mark, &seen.load, seen.may_hang);
            (seen, verdict)
        }
        Err(error) => (Seen::default(), Err(error)),
    };
    let seconds = began.elapsed().as_secs_f64();
    let error = verdict.err().map(|error| error.to_string());
    if let Some(error) = &error {
        eprintln!("{}: {error}", scenario.name);
    }
    Row {
        scenario: scenario.name.to_owned(),
        ok: error.is_none(),
        pause_s: seen.pause,
        io_errors: seen.load.io_errors,
        lost_writes: seen.load.lost_writes,
        seconds,
        error,
    }
}

/// The lab is as a scenario expects it.
fn whole(world: &World, scenario: Scenario) -> Result<()> {
    if TWO_FABRICS.contains(&scenario.name) { Ok(()) } else { two_fabrics::end(world) }
}

/// What must hold after anything under load: no error, no lost write, no hung kernel.
///
/// # Errors
/// It does not hold.
pub fn judge(world: &World, since: Mark, load: &Outcome, may_hang: bool) -> Result<()> {
    let Outcome { io_errors, lost_writes, .. } = load;
    if io_errors + lost_writes > 0 {
        let error = format!("fio: {io_errors} I/O errors, {lost_writes} lost writes");
        return Err(Error::other(error));
    }
    match world.check_invariants(since)?.into_iter().next() {
        Some(hung) if !may_hang => Err(Error::other(hung)),
        _ => Ok(()),
    }
}

/// Runs `act` under load on every LUN, lets the load end and be checked, and takes the
/// pause of the groups that `act` says have moved.
fn under_load(
    world: &World,
    pace: Pace,
    act: impl FnOnce(&Load) -> Result<Vec<Group>>,
) -> Result<Seen> {
    under_load_on(world, &world.luns()?, pace, act)
}

/// The same on these LUNs alone.
fn under_load_on(
    world: &World,
    luns: &[Lun],
    pace: Pace,
    act: impl FnOnce(&Load) -> Result<Vec<Group>>,
) -> Result<Seen> {
    let load = progress::during("load: requests complete on every LUN", || {
        Load::start(&world.lab, luns, pace)
    })?;
    let moved = act(&load)?;
    let outcome = progress::during("load: every write read back", || {
        load.wait_flow(world.lab.host()?)?;
        load.stop()
    })?;
    let pauses = moved.iter().map(|g| outcome.completions.longest_gap(g.name).seconds());
    let pause = pauses.reduce(f64::max);
    Ok(Seen { pause, load: outcome, may_hang: false })
}
