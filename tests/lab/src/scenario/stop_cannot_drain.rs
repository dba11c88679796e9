//! stop-cannot-drain: a disk hangs, so a commanded move cannot drain it. The stop fails
//! and says why, the node is fenced, and the partner takes over. When the disk answers
//! again, nothing is lost.

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::load::Pace;
use crate::{progress, shelf};

/// Plays stop-cannot-drain.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, Pace::Full, || strike(world, group))
}

/// Hangs a group's first disk, and commands a move. Returns the groups that moved.
pub fn strike(world: &World, group: &Group) -> Result<Vec<Group>> {
    let mark = world.mark()?;
    let home = world.node(group.home)?;
    let (boots, host) = (home.boots(), world.lab.host()?);
    let disks = group.disks();
    let disk = disks.first().ok_or_else(|| Error::other("a group without disks"))?;
    shelf::hang(host, disk)?;
    let step = progress::step(format!("{} hangs: the stop fails, fenced", disk.name));
    let stuck = shelf::wait_stuck(home, disk, COMMAND);
    let moved = stuck.and_then(|()| world.order_move(group, group.partner));
    let fenced = moved.and_then(|()| world.wait_fenced(group.home, boots));
    // Whatever happened, the disk must not stay as it is.
    shelf::resume(host, disk)?;
    fenced?;
    step.done("");

    let step = progress::step(format!("{}: takes {} over", group.partner, group.name));
    world.wait_served(mark, group, group.partner)?;
    world.load.wait_flow()?;
    step.done("");
    reason(world, group)?;
    world.back_home(group)?;
    Ok(vec![group.clone()])
}

/// Checks that the survivor's log has the agent's reason for the failed stop.
fn reason(world: &World, group: &Group) -> Result<()> {
    let script = format!(
        "grep -ah 'drain the LUNs: commands are still in flight' \
         /var/log/pacemaker/pacemaker.log | grep -a {} | tail -n 1",
        group.name
    );
    let said = world.node(group.partner)?.run(&script, COMMAND)?;
    if said.trim().is_empty() {
        return Err(Error::other("the stop's reason is not in the cluster's log"));
    }
    Ok(())
}
