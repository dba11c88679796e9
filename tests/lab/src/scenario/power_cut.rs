//! power-cut: a node that serves a group loses its power. Its partner notices that its
//! heartbeat is missing, fences it, takes its group over, and serves both groups through
//! one physical port. The node comes back, and its group is given back.

use super::world::wall;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::load::Pace;
use crate::progress;

/// The last event. After it the load ends.
pub const LAST: &str = "as before";

/// The story of a power cut for people: when things happened, and where.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// The node that served before the power cut, and the port's address there.
    pub before: (String, String),
    /// The node that serves after the takeover, and the port's address there.
    pub after: (String, String),
    /// The port's address after the giveback.
    pub home_again: String,
    /// The events and when each happened, in milliseconds since 1970.
    pub events: Vec<(u64, &'static str)>,
}

/// Plays power-cut.
pub fn run(world: &World) -> Result<Seen> {
    play(world, |_| {}).map(|(seen, _)| seen)
}

/// Cuts the power of a group's home. Returns the groups that moved.
pub fn strike(world: &World, group: &Group) -> Result<Vec<Group>> {
    act(world, group, &mut Story::default(), &|_| {})?;
    Ok(vec![group.clone()])
}

/// Plays power-cut, and calls `tell` at every event.
///
/// # Errors
/// The scenario does not end as it must.
pub fn play(world: &World, tell: impl Fn(&Story)) -> Result<(Seen, Story)> {
    // This group's home is the node whose fence strikes at once. The other node's fence
    // waits, for the case of a split.
    let [_, group] = &world.groups;
    let mut story = Story { before: world.serving(group)?, ..Story::default() };
    let seen = under_load(world, Pace::Full, || {
        act(world, group, &mut story, &tell)?;
        Ok(vec![group.clone()])
    })?;
    Ok((seen, story))
}

fn act(
    world: &World,
    group: &Group,
    story: &mut Story,
    tell: &dyn Fn(&Story),
) -> Result<()> {
    let event = |story: &mut Story, at, what| {
        story.events.push((at, what));
        tell(story);
    };
    let mark = world.mark()?;
    let victim = world.node(group.home)?;
    let boots = victim.boots();
    victim.power_off();
    event(story, wall(), "power cut");

    let step = progress::step(format!("{}: power cut, fenced", group.home));
    world.wait_fenced(group.home, boots)?;
    event(story, wall(), "fenced");
    step.done("");

    let step = progress::step(format!("{}: takes {} over", group.partner, group.name));
    let login = world.wait_served(mark, group, group.partner)?;
    event(story, (login.t * 1000.0) as u64, "taken over");
    world.load.wait_flow()?;
    step.done("");
    both_on_one_port(world, group.partner)?;
    story.after = world.serving(group)?;
    for other in &world.groups {
        if world.serving(other)?.0 != group.partner {
            let error = format!("{} is not on {}", other.name, group.partner);
            return Err(Error::other(error));
        }
    }

    let step = progress::step(format!("{}: boots and joins again", group.home));
    world.wait_whole()?;
    event(story, wall(), "node back");
    step.done("");

    let step = progress::step(format!("{}: {} given back", group.home, group.name));
    let login = world.move_to(group, group.home)?;
    event(story, (login.t * 1000.0) as u64, "given back");
    step.done("");
    story.home_again = world.serving(group)?.1;
    world.load.wait_flow()?;
    event(story, wall(), LAST);
    Ok(())
}

/// Checks that the virtual ports of both groups are on one physical port of a node.
fn both_on_one_port(world: &World, node: &str) -> Result<()> {
    let names = world.groups.each_ref().map(|group| group.wwpn().replace(':', ""));
    let script = format!(
        "for v in /sys/class/fc_vports/*; do
             grep -qsx -e 0x{} -e 0x{} $v/port_name || continue
             [ $(cat $v/vport_state) = Active ] && v=${{v##*/vport-}} && echo ${{v%%:*}}
         done | sort | uniq -c",
        names[0], names[1]
    );
    let said = world.node(node)?.run(&script, super::world::COMMAND)?;
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    match lines.as_slice() {
        [line] if line.starts_with("2 ") => Ok(()),
        _ => Err(Error::other(format!("vports on {node} by physical port: {said}"))),
    }
}
