//! What an initiator waits for when a group moves, and when its node dies. Every part of
//! the pause is taken from the guests' logs and the fabric's events, on this machine's
//! clock.

mod marks;
mod page;

use std::time::Duration;

use serde::Serialize;

use crate::error::Result;
use crate::groups::{self, Group, Lun};
use crate::lab::Lab;
use crate::load::Pace;
use crate::pause::{Completions, Gap};
use crate::plan::{ARRAYS, guests};
use crate::scenario::world::{COMMAND, ahead, wall};
use crate::scenario::{Seen, World};
use crate::shelf;
use crate::{install, progress, scenario};

use marks::{Marks, logged, phase};
pub use page::{document, table};

/// The numbers of LUNs that the group has which moves.
pub const SIZES: [u16; 3] = [4, 64, 256];
/// How many of the group's LUNs are under load. Few are enough to show a pause.
const LOADED: u16 = 4;
/// How often the group moves there and back.
const ROUNDS: usize = 3;
/// How long the initiator may take to find hundreds of LUNs.
const FIND: Duration = Duration::from_secs(300);

/// A pause, and what it was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pause {
    /// `move`, `power-cut` or, of a resource that does nothing, `dummy-move`.
    pub what: &'static str,
    /// How many LUNs the group has.
    pub luns: u16,
    /// How long the pause was: the median, if there were several.
    pub pause_ms: u64,
    /// How long each pause was, the shortest first.
    pub all_ms: Vec<u64>,
    /// The parts of the pause, in their order. If there were several pauses, these are
    /// the parts of the one that is the median.
    pub parts: Vec<Part>,
    /// The agent's lines in the log on how long its stops and starts took, in their
    /// order.
    pub agent: Vec<String>,
}

/// A part of a pause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// What took the time: a word of [`PARTS`].
    pub part: &'static str,
    /// How long the part took.
    pub ms: u64,
}

/// Every part of a pause, in the order in which they follow one another.
///
/// "command" is the time from a command to the stop. Only `dummy-move` has it: an
/// initiator is served during that time, so it does not wait.
pub const PARTS: [&str; 8] = [
    "command",
    "agent stop",
    "detection",
    "fencing",
    "Pacemaker",
    "agent start",
    "login",
    "first I/O",
];

/// Measures the pauses of groups of these sizes.
///
/// # Errors
/// The lab does not come up, or a move or takeover does not happen.
pub fn run(sizes: &[u16], tell: impl Fn(&[Pause]) -> Result<()>) -> Result<Vec<Pause>> {
    let most = sizes.iter().copied().max().unwrap_or(0);
    let disks = shelf::disks_and(most);
    let world = World::on(Lab::of(&guests(), &disks)?, install::packages)?;
    // This group's home is the node whose fence strikes at once. The other node's fence
    // waits, for the case of a split.
    let [_, group] = &world.groups;
    let mut pauses = vec![dummy(&world)?];
    for &luns in sizes {
        let loaded = progress::during(format!("{}: {luns} LUNs", group.name), || {
            grow(&world, group, luns)
        })?;
        pauses.extend(measure(&world, group, luns, &loaded)?);
        tell(&pauses)?;
    }
    Ok(pauses)
}

/// Gives a group this many LUNs while it is served, and has the initiator find them.
fn grow(world: &World, group: &Group, luns: u16) -> Result<Vec<Lun>> {
    let more = shelf::disks_and(luns).into_iter().filter(|d| d.name.starts_with("more"));
    let disks = group.disks().into_iter().chain(more).take(luns.into());
    world.set_parameter(group, "disks", &groups::specs(disks).join(" "))?;
    let host = world.lab.host()?;
    host.run(groups::SCAN, FIND)?;
    let mut found = groups::luns_of(host, group, luns.into(), FIND)?;
    found.retain(|lun| lun.number < LOADED);
    Ok(found)
}

/// Measures moves, then one power cut. Returns a pause for each of the two.
fn measure(
    world: &World,
    group: &Group,
    luns: u16,
    loaded: &[Lun],
) -> Result<[Pause; 2]> {
    let (host, mark) = (world.lab.host()?, world.mark()?);
    world.load.press(loaded, Pace::Full)?;
    let (mut moves, mut agent) = (Vec::new(), Vec::new());
    let step = progress::step(format!("{luns} LUNs: {ROUNDS} moves there and back"));
    for node in [group.partner, group.home].repeat(ROUNDS) {
        let from = wall();
        let login = world.move_to(group, node)?;
        world.load.wait_flow()?;
        let other = if node == group.home { group.partner } else { group.home };
        let stopped = Marks::of(world.node(other)?, group.name, "stop")?;
        let started = Marks::of(world.node(node)?, group.name, "start")?;
        agent.extend([stopped.phases, started.phases.clone()]);
        let ends = [("agent stop", stopped.result), ("Pacemaker", started.request)];
        let during = Gap { from, to: wall() };
        moves.push((during, followed(ends.to_vec(), &started, login.t)));
    }
    step.done("");

    let step = progress::step(format!("{luns} LUNs: power cut"));
    let (from, before) = (wall(), world.mark()?);
    world.node(group.home)?.power_off();
    let login = world.wait_served(before, group, group.partner)?;
    world.load.wait_flow()?;
    let survivor = world.node(group.partner)?;
    let started = Marks::of(survivor, group.name, "start")?;
    let fence = |what: &str| logged(survivor, what).map(|(at, _)| at);
    let targeting = format!("targeting {}", group.home);
    let ends = [
        ("detection", fence(&format!("Requesting peer fencing (reboot) {targeting}"))?),
        ("fencing", fence(&format!("Operation 'reboot' {targeting} by"))?),
        ("Pacemaker", started.request),
    ];
    let cut = (Gap { from, to: wall() }, followed(ends.to_vec(), &started, login.t));
    step.done("");
    world.wait_whole()?;
    world.giveback()?;
    world.load.read_back(true)?;
    let outcome = world.load.account()?;
    let seen = Seen { load: outcome.clone(), ..Seen::default() };
    scenario::judge(world, mark, &seen)?;

    let shift = ahead(host)?;
    let pause = |what, seen: &[(Gap, Ends)]| {
        Pause::of(what, luns, seen, &outcome.completions, group, shift)
    };
    let cut_agent = vec![started.phases];
    Ok([
        Pause { agent, ..pause("move", &moves) },
        Pause { agent: cut_agent, ..pause("power-cut", &[cut]) },
    ])
}

/// When each part of a pause ended, in milliseconds on this machine's clock.
type Ends = Vec<(&'static str, u64)>;

/// Appends the ends of the agent's start and of the port's login, which every pause has.
fn followed(mut ends: Ends, started: &Marks, login: f64) -> Ends {
    // The agent waits for the login too. Its own time ends where that wait begins.
    let waited = phase(&started.phases, "login").unwrap_or(0);
    ends.push(("agent start", started.result.saturating_sub(waited)));
    ends.push(("login", (login * 1000.0) as u64));
    ends
}

/// Measures the move of a resource that does nothing: what Pacemaker alone needs for it.
fn dummy(world: &World) -> Result<Pause> {
    let node = world.any_node()?;
    let create = "cibadmin -M --allow-create -o resources -X '<resources>\
                  <primitive id=\"dummy\" class=\"ocf\" provider=\"pacemaker\" \
                  type=\"Dummy\"/></resources>' && lab-idle";
    node.run(create, COMMAND)?;
    let [a, b] = ARRAYS;
    let go = |to: &str| {
        // A move to the node that the resource runs on would be an error.
        let script = format!(
            "crm_resource -r dummy --locate | grep -q '{to}' ||
                 crm_resource -r dummy --move -N {to}
             lab-idle"
        );
        node.run(&script, COMMAND).map(drop)
    };
    let step = progress::step("dummy: moved there and back");
    go(a)?;
    let mut all = Vec::new();
    for (from, to) in [(a, b), (b, a)].repeat(ROUNDS) {
        let begin = wall();
        go(to)?;
        let stopped = Marks::of(world.node(from)?, "dummy", "stop")?;
        let started = Marks::of(world.node(to)?, "dummy", "start")?;
        let ends = vec![
            ("command", stopped.request),
            ("agent stop", stopped.result),
            ("Pacemaker", started.request),
            ("agent start", started.result),
        ];
        all.push(parts(begin, &ends));
    }
    let remove = "crm_resource -r dummy --clear; \
                  crm_resource -r dummy --meta -p target-role -v Stopped; \
                  lab-idle; cibadmin -D -X '<primitive id=\"dummy\"/>'";
    node.run(remove, COMMAND)?;
    step.done("");
    Ok(Pause::median("dummy-move", 0, all))
}

/// Returns the parts of a pause that began at `begin`. Each lasts from the end of the one
/// before to its own.
fn parts(begin: u64, ends: &[(&'static str, u64)]) -> Vec<Part> {
    let mut last = begin;
    let part = |(part, end): &(&'static str, u64)| {
        // Clocks of guests are read to some milliseconds: no part is less than nothing.
        let ms = end.saturating_sub(last);
        last = last.max(*end);
        Part { part, ms }
    };
    ends.iter().map(part).collect()
}

impl Pause {
    /// Returns the median pause of those in `seen`. Each is given as the time in which it
    /// lies, and the ends of its parts. `ahead` is how far the initiator's clock is
    /// ahead, in milliseconds.
    fn of(
        what: &'static str,
        luns: u16,
        seen: &[(Gap, Ends)],
        completions: &Completions,
        group: &Group,
        ahead: i64,
    ) -> Self {
        let theirs = |at: u64| at.saturating_add_signed(ahead);
        let all = seen.iter().map(|(time, ends)| {
            let time = Gap { from: theirs(time.from), to: theirs(time.to) };
            let gap = completions.gap_within(group.name, time);
            let ours = |at: u64| at.saturating_add_signed(-ahead);
            let mut ends = ends.clone();
            ends.push(("first I/O", ours(gap.to)));
            parts(ours(gap.from), &ends)
        });
        Self::median(what, luns, all.collect())
    }

    fn median(what: &'static str, luns: u16, mut all: Vec<Vec<Part>>) -> Self {
        let whole = |parts: &Vec<Part>| parts.iter().map(|part| part.ms).sum::<u64>();
        all.sort_by_key(whole);
        let all_ms: Vec<u64> = all.iter().map(whole).collect();
        let middle = all.len() / 2;
        Self {
            what,
            luns,
            pause_ms: all_ms.get(middle).copied().unwrap_or(0),
            all_ms,
            parts: all.get(middle).cloned().unwrap_or_default(),
            agent: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_one_another_and_none_is_negative() {
        let ends = [("agent stop", 150), ("Pacemaker", 140), ("agent start", 400)];
        let ms: Vec<u64> = parts(100, &ends).iter().map(|part| part.ms).collect();
        assert_eq!(ms, [50, 0, 250]);
    }

    #[test]
    fn the_median_brings_its_own_parts() {
        let of = |ms| vec![Part { part: "login", ms }];
        let pause = Pause::median("move", 4, vec![of(30), of(10), of(20)]);
        assert_eq!((pause.pause_ms, pause.all_ms.clone()), (20, vec![10, 20, 30]));
        assert_eq!(pause.parts, of(20));
    }
}
