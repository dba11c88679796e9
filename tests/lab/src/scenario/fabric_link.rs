//! The path fails, not the node: a storage node's link to the fabric loses its signal.

use std::thread;
use std::time::Duration;

use super::World;
use super::world::COMMAND;
use crate::error::Result;
use crate::groups::Group;
use crate::load::Load;
use crate::progress;

/// The cable to the fabric.
const CABLE: &str = "fc0";
/// Longer than a glitch of the signal, shorter than anything that notices a lost port.
const FLAP: Duration = Duration::from_secs(1);

/// The link is down for a moment. Whether the port comes back by itself or the node has
/// to be fenced is the kernel's business: the group is served in the end.
pub fn flap(world: &World, load: &Load, group: &Group) -> Result<Vec<Group>> {
    let home = world.node(group.home)?;
    let step = progress::step(format!("{}: fabric link flaps", group.home));
    home.set_link(CABLE, false)?;
    thread::sleep(FLAP);
    home.set_link(CABLE, true)?;
    settle(world, load)?;
    step.done("");
    Ok(vec![group.clone()])
}

/// The link stays down until the partner serves the group.
pub fn cut(world: &World, load: &Load, group: &Group) -> Result<Vec<Group>> {
    let home = world.node(group.home)?;
    let mark = world.mark()?;
    let step = progress::step(format!("{}: fabric link cut, moved", group.home));
    home.set_link(CABLE, false)?;
    let moved = world.wait_served(mark, group, group.partner);
    home.set_link(CABLE, true)?;
    moved?;
    step.done("");
    settle(world, load)?;
    Ok(vec![group.clone()])
}

fn settle(world: &World, load: &Load) -> Result<()> {
    load.wait_flow(world.lab.host()?)?;
    world.any_node()?.run("crm_resource --wait", COMMAND * 2)?;
    world.wait_whole()?;
    world.giveback()?;
    load.wait_flow(world.lab.host()?)
}
