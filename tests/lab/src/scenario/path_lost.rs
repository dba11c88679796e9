//! path-lost: two paths from each storage node to each disk of a group, under multipathd. One
//! is lost while the group is served: no command fails and nothing moves. With it dead, the
//! group goes away and comes home, by command and by a power cut of its partner. It comes
//! back, and no write by it meets a conflict.

use super::world::COMMAND;
use super::{Seen, World, moves, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::load::Pace;
use crate::shelf::Disk;
use crate::{progress, second_path};

/// Fails where the keys of a group's disks are not as many as this on each.
const KEYS: &str = "python3 - <<'PYTHON'
import understudy
served = {served.group: served for served in understudy.status().groups}['GROUP']
for lun in served.luns:
    keys = understudy.reservation(lun.node).keys
    assert len(keys) == COUNT, (lun.node, keys)
PYTHON";

/// Plays the scenario.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let (shelf, home) = (world.lab.host()?, world.node(group.home)?);
    let partner = world.node(group.partner)?;
    let [disks, state_disk] =
        ["disks", "state"].map(|name| group.parameter(name).unwrap_or_default());
    let seen = under_load(world, Pace::Full, || {
        world.load.in_bursts(|| {
            progress::during("a second path on both nodes, and multipathd", || {
                name(world, group, &by_wwid(group), &state(group))?;
                second_path::start(shelf, partner, group)?;
                world.go_to(group, group.partner)?;
                world.load.wait_flow()?;
                second_path::start(shelf, home, group)?;
                world.go_to(group, group.home)?;
                world.forget_move(group)?;
                world.load.wait_flow()?;
                keys(world, group, 2)
            })
        })?;
        let boots = world.boots()?;
        progress::during("a path is lost: nothing is noticed", || {
            let mark = world.mark()?;
            second_path::cut(home, group)?;
            healthy(world, group)?;
            world.must_be_unnoticed(mark)?;
            world.load.wait_flow()
        })?;
        progress::during("away and home with it dead", || {
            moves::there_and_back(world, group)?;
            keys(world, group, 1)?;
            healthy(world, group)
        })?;
        progress::during("it comes back: no conflict", || {
            second_path::mend(home, group)?;
            world.load.wait_flow()?;
            keys(world, group, 2)?;
            healthy(world, group)
        })?;
        if world.boots()? != boots {
            return Err(Error::other("a node was fenced for a path"));
        }
        progress::during("lost again, then the partner's power is cut", || {
            world.go_to(group, group.partner)?;
            world.forget_move(group)?;
            second_path::cut(home, group)?;
            let mark = world.mark()?;
            world.cut_power(group.partner)?;
            world.wait_served(mark, group, group.home)?;
            world.load.wait_flow()?;
            keys(world, group, 1)?;
            world.wait_whole()
        })?;
        progress::during("both paths, then one again", || {
            second_path::mend(home, group)?;
            keys(world, group, 2)?;
            second_path::hang_up(shelf, partner)?;
            world.go_to(group, group.partner)?;
            world.load.wait_flow()?;
            second_path::end(shelf, home, group)?;
            world.go_to(group, group.home)?;
            world.forget_move(group)?;
            name(world, group, &disks, &state_disk)?;
            world.giveback()?;
            world.must_own(group, group.home)
        })?;
        Ok(vec![group.clone()])
    })?;
    Ok(seen)
}

/// Sets the names of a group's disks. The new name of a state disk is a new start.
fn name(world: &World, group: &Group, disks: &str, state: &str) -> Result<()> {
    world.set_parameter(group, "disks", disks)?;
    world.set_parameter(group, "state", state)?;
    world.load.wait_flow()
}

/// Checks that so many registrations of its node are on each of a group's disks.
fn keys(world: &World, group: &Group, count: usize) -> Result<()> {
    let (node, _) = world.serving(group)?;
    let script = KEYS.replace("GROUP", group.name).replace("COUNT", &count.to_string());
    world.node(&node)?.run(&script, COMMAND).map(drop)
}

/// Checks that the monitor of level 10 finds no fault.
fn healthy(world: &World, group: &Group) -> Result<()> {
    let (node, _) = world.serving(group)?;
    let monitor = format!(
        "OCF_CHECK_LEVEL=10 {} /usr/lib/ocf/resource.d/understudy/vport monitor",
        group.environment(
            group.name,
            &[("disks", &by_wwid(group)), ("state", &state(group))]
        )
    );
    world.node(&node)?.run(&monitor, COMMAND).map(drop)
}

/// Returns the group's disks as the parameter has them, by what they report themselves: a
/// map or its only path, whichever is there.
fn by_wwid(group: &Group) -> String {
    let named = |(lun, disk): (u16, Disk)| format!("{lun}={}", wwid(&disk));
    (0..).zip(group.disks()).map(named).collect::<Vec<_>>().join(" ")
}

/// Returns the group's state disk, by what it reports itself.
fn state(group: &Group) -> String {
    group.state_disk().as_ref().map(wwid).unwrap_or_default()
}

fn wwid(disk: &Disk) -> String {
    format!("naa.6001405{}", disk.serial())
}
