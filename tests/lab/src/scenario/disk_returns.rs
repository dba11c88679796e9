//! disk-returns: a disk leaves the node that serves it, and comes back under another
//! name. LIO would go on with a device that is gone. A monitor reports that, and the
//! group is served again with the disk under its new name. If the disk stays away, the
//! group's partner serves. Nobody is fenced.

use super::world::COMMAND;
use super::{Seen, World, under_load_on};
use crate::error::{Error, Result};
use crate::groups::{Group, Lun};
use crate::load::Pace;
use crate::{progress, shelf};

/// Plays disk-returns.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let disk = group.disks().pop().ok_or_else(|| Error::other("it has no disk"))?;
    let home = world.node(group.home)?;
    // Every command to the LUN whose disk leaves is an error, so that LUN has no load
    // meanwhile.
    let number = u16::try_from(group.disks().len()).unwrap_or(0).saturating_sub(1);
    let all = world.luns()?;
    let is_its = |lun: &Lun| lun.group == group.name && lun.number == number;
    let (its, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_its);
    let boots = world.boots()?;
    let seen = under_load_on(world, &others, Pace::Bursts, || {
        progress::during("a disk leaves and comes back: served again", || {
            shelf::take_away(home, &disk)?;
            shelf::find_again(home, &disk)?;
            served_again(world, group, group.home)
        })?;
        progress::during("it leaves and stays away: its partner serves", || {
            shelf::take_away(home, &disk)?;
            served_again(world, group, group.partner)
        })?;
        progress::during("it is back, and so is the group", || {
            shelf::find_again(home, &disk)?;
            home.run("crm_resource --cleanup && lab-idle", COMMAND)?;
            world.giveback()?;
            world.must_own(group, group.home)?;
            world.load.wait_flow()
        })?;
        Ok(vec![group.clone()])
    })?;
    if world.boots()? != boots {
        return Err(Error::other("a node was fenced"));
    }
    progress::during("its LUN: written and read back", || {
        world.load.probe(&its, 32)?;
        let after = world.load.account()?;
        after.complaint().map_or(Ok(()), |complaint| Err(Error::other(complaint)))
    })?;
    Ok(seen)
}

/// Waits until a monitor has reported the loss and a node serves the group from its disks
/// under their new names.
fn served_again(world: &World, group: &Group, node: &str) -> Result<()> {
    let name = group.name;
    let failed = format!(
        "until crm_mon -1 | grep -q '{name}.*which has left this node'; do sleep 0.5; done"
    );
    world.node(group.partner)?.run(&failed, COMMAND)?;
    world.wait_runs_on(group, node)?;
    world
        .node(group.partner)?
        .run("lab-idle; crm_resource --cleanup; lab-idle", COMMAND)?;
    world.must_be_on(group, node)?;
    world.must_own(group, node)?;
    world.load.wait_flow()
}
