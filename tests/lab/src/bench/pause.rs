//! What an initiator waits for when a group moves, and when its node dies. Every part of
//! the pause is taken from the guests' logs and the fabric's events, on this machine's
//! clock.

use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::groups::{self, Group, Lun};
use crate::guest::Guest;
use crate::lab::Lab;
use crate::load::Pace;
use crate::pause::{Completions, Gap};
use crate::plan::{ARRAYS, guests};
use crate::scenario::world::{COMMAND, ahead, wall};
use crate::scenario::{Seen, World};
use crate::shelf;
use crate::{install, progress, scenario};

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

/// When Pacemaker asked for an action of a resource, and when it got the result.
struct Marks {
    request: u64,
    result: u64,
    /// The agent's line in the log on how long each phase took.
    phases: String,
}

impl Marks {
    fn of(node: &Guest, resource: &str, action: &str) -> Result<Self> {
        let (request, _) = logged(
            node,
            &format!("Requesting local execution of {action} operation for {resource} "),
        )?;
        let (result, _) =
            logged(node, &format!("Result of {action} operation for {resource} "))?;
        let told = format!("vport({resource}) {action}: INFO: ");
        let said = logged(node, &format!("{told}.* in "));
        let said = said.map_or_else(|_| String::new(), |(_, line)| line);
        let phases = said.split_once(&told).map_or("", |(_, phases)| phases);
        Ok(Self { request, result, phases: phases.into() })
    }
}

/// Returns the time of a phase in the agent's line, such as `... in 589 ms: look 40, ...,
/// login 227 ]`.
fn phase(line: &str, name: &str) -> Option<u64> {
    let (_, phases) = line.split_once(" ms: ")?;
    let mut words = phases.split([' ', ',']).filter(|word| !word.is_empty());
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

/// Returns the last line of Pacemaker's log that contains a text, and when it was
/// written.
fn logged(node: &Guest, text: &str) -> Result<(u64, String)> {
    let script = format!(
        "line=$(grep -a \"{text}\" /var/log/pacemaker/pacemaker.log | tail -n 1)
         [ -n \"$line\" ] || {{ echo \"no '{text}' in Pacemaker's log\"; exit 1; }}
         date -d \"$(echo \"$line\" | cut -c 1-19)\" +%s%3N
         echo \"$line\""
    );
    let said = node.run(&script, COMMAND)?;
    let (at, line) = said.split_once('\n').unwrap_or_default();
    let at: i64 = at.parse().map_err(|_| Error::other(format!("no time: {said}")))?;
    let at = u64::try_from(at - ahead(node)?).unwrap_or(0);
    Ok((at, line.trim().to_owned()))
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

/// Returns the pauses for a terminal: a row for each, a column for each part, in seconds.
#[must_use]
pub fn table(pauses: &[Pause]) -> String {
    let line = |cells: Vec<String>| {
        let mut cells = cells.into_iter();
        let what = cells.next().unwrap_or_default();
        let rest: String = cells.map(|cell| format!("{cell:>7}")).collect();
        format!("{what:<10}{rest}\n")
    };
    std::iter::once(heads()).chain(pauses.iter().map(cells)).map(line).collect()
}

/// Returns the page docs/pause.md. `machine` says what it ran on.
#[must_use]
pub fn document(pauses: &[Pause], machine: &str) -> String {
    let mut page = format!(
        "# What an initiator waits for\n\n\
         While a group moves to another node, its port is away. An initiator's requests\n\
         wait for that time, and none of them fails. This page says how long the pause\n\
         is, and what takes the time.\n\n\
         `make bench` measured the figures and wrote this page. {machine}\n\
         All times are in seconds. The group has one port. {LOADED} of its LUNs are under\n\
         load, and the initiator reaches them by one path.\n\n\
         ![Each pause, by its parts](pause.svg)\n\n\
         - `dummy-move`: a commanded move of `ocf:pacemaker:Dummy`, a resource that does\n  \
         nothing. Pacemaker needs this time for any move.\n\
         - `move`: a commanded move of the group, {ROUNDS} times there and back. The row is the\n  \
         median of these {} pauses, with its parts.\n\
         - `power-cut`: the node that serves the group loses its power. This was done once\n  \
         for each number of LUNs.\n\n",
        ROUNDS * 2
    );
    page += TABLE;
    for (i, cells) in std::iter::once(heads()).chain(pauses.iter().map(cells)).enumerate()
    {
        page += &format!("| {} |\n", cells.join(" | "));
        if i == 0 {
            page += &format!("| :-- |{}\n", " --: |".repeat(cells.len() - 1));
        }
    }
    page += BEYOND;
    page
}

/// What each column of the page's table is.
const TABLE: &str = "\
A group's pause begins with the last request that was answered before it, and ends with the
next one that is answered. Its parts follow one another. A part that had ended before its
turn came has 0.00.

| part | what takes the time |
| --- | --- |
| order | from the command to the stop. Only `dummy-move` has it: a group is served until its stop begins |
| stop | the stop: commands in flight are answered, the port logs out, LUNs and keys are removed |
| detect | until the partner misses the lost node's heartbeat and asks for the fence |
| fence | until the power switch has turned the lost node off and says so |
| Pacem. | from the end of the stop or fence to the start: Pacemaker's own time |
| start | the start: disks are owned, the target is built, the port is made |
| login | until the fabric has let the port log in |
| I/O | until an initiator has found the port again and its first request is answered |

";

/// What the page's figures leave out.
const BEYOND: &str = "
Some pauses are longer than these:

- With multipath an initiator looks only every few seconds whether a lost path is back.
- A stop that fails is followed by a fence and a start, after the stop's own timeout at the
  latest.
- A hardware switch may take half a minute to notice that a port is dead, and until then a
  start waits for the name.

[fabrics.md](fabrics.md) says what initiators have to bear, and how to set them.
";

fn heads() -> Vec<String> {
    let parts = ["order", "stop", "detect", "fence", "Pacem.", "start", "login", "I/O"];
    ["", "LUNs", "pause"].into_iter().chain(parts).map(String::from).collect()
}

fn cells(pause: &Pause) -> Vec<String> {
    let seconds = |ms: u64| format!("{:.2}", ms as f64 / 1000.0);
    let part = |name: &&str| {
        let part = pause.parts.iter().find(|part| part.part == *name);
        part.map_or_else(|| "-".into(), |part| seconds(part.ms))
    };
    let mut cells =
        vec![pause.what.into(), pause.luns.to_string(), seconds(pause.pause_ms)];
    cells.extend(PARTS.iter().map(part));
    cells
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
        let all = [pause];
        assert!(table(&all).lines().all(|line| line.len() <= 80 && line.len() > 70));
        assert!(document(&all, "Here.").contains("\n| move | 4 | 0.02 | - | - |"));
    }

    #[test]
    fn a_phase_is_found_in_the_agents_line() {
        let line = "[ vport(g) start: INFO: taken over in 589 ms: look 40, login 227 ]";
        assert_eq!(phase(line, "login"), Some(227));
        assert_eq!(phase(line, "own"), None);
    }
}
