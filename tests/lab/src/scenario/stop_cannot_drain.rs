//! stop-cannot-drain: a disk hangs, so that a commanded move cannot drain it. The stop
//! fails and says why, the node is fenced, the partner takes over; when the disk answers
//! again, nothing is lost.

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::{progress, shelf};

/// The scenario.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, |load| {
        let mark = world.mark()?;
        let home = world.node(group.home)?;
        let (boots, host) = (home.boots(), world.lab.host()?);
        let disks = group.disks();
        let disk = disks.first().ok_or_else(|| Error::other("a group without disks"))?;
        shelf::hang(host, disk)?;
        let step = progress::step(format!("{} hangs: the stop fails, fenced", disk.name));
        let name = group.name;
        let command = format!("crm_resource -r {name} --move -N {}", group.partner);
        world.node(group.partner)?.run(&command, COMMAND)?;
        let fenced = world.wait_fenced(group.home, boots);
        // Whatever came of it, the disk must not stay as it is.
        shelf::resume(host, disk)?;
        fenced?;
        step.done("");

        let step = progress::step(format!("{}: takes {name} over", group.partner));
        world.wait_served(mark, group, group.partner)?;
        load.wait_flow(host)?;
        step.done("");
        reason(world, group.name)?;

        let step = progress::step(format!("{}: boots, joins, gets it back", group.home));
        let clear = format!("crm_resource -r {name} --clear");
        world.node(group.partner)?.run(&clear, COMMAND)?;
        world.wait_whole()?;
        world.giveback()?;
        step.done("");
        Ok(vec![group.clone()])
    })
}

/// The survivor's log has the agent's reason for the failed stop.
fn reason(world: &World, group: &str) -> Result<()> {
    let script = format!(
        "grep -ah 'drain the LUNs: commands are still in flight' \
         /var/log/pacemaker/pacemaker.log | grep -a {group} | tail -n 1"
    );
    let [first, _] = &world.groups;
    let said = world.node(first.partner)?.run(&script, COMMAND)?;
    if said.trim().is_empty() {
        return Err(Error::other("the stop's reason is not in the cluster's log"));
    }
    Ok(())
}
