//! Scenarios on a group whose disks have two paths from each storage node, under
//! multipathd.

use super::world::COMMAND;
use super::{Seen, World, moves, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::{progress, second_path};

/// A script that fails unless each of a group's disks has this many registrations.
const KEYS: &str = "python3 - <<'PYTHON'
import understudy
served = {served.group: served for served in understudy.status().groups}['GROUP']
for lun in served.luns:
    keys = understudy.reservation(lun.node).keys
    assert len(keys) == COUNT, (lun.node, keys)
PYTHON";

/// path-lost: one of two paths is lost while the group is served. No command fails and
/// nothing moves. While the path is dead, the group goes to its partner and home, by
/// command and by a power cut of the partner.
pub fn lost(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let home = world.node(group.home)?;
    under_load(world, Pace::Full, || {
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
            healthy(world, group)?;
            unfenced(world, boots)
        })?;
        progress::during("away, and the partner's power is cut", || {
            world.go_to(group, group.partner)?;
            world.load.wait_flow()?;
            world.forget_move(group)?;
            let mark = world.mark()?;
            world.cut_power(group.partner)?;
            world.wait_served(mark, group, group.home)?;
            world.load.wait_flow()?;
            keys(world, group, 1)
        })?;
        progress::during("it comes back: no conflict", || {
            comes_back(world, group, home)
        })?;
        world.wait_whole()?;
        world.giveback()?;
        Ok(world.groups.to_vec())
    })
}

/// path-restored: a group starts with one path of two, and then the other comes. No write
/// by that path meets a reservation conflict. That also holds if multipathd has been
/// restarted meanwhile, and on a node that served the group before and serves it again.
pub fn restored(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let (home, partner) = (world.node(group.home)?, world.node(group.partner)?);
    let boots = world.boots()?;
    under_load(world, Pace::Full, || {
        progress::during("a start with one path, and then the other comes", || {
            second_path::cut(partner, group)?;
            world.go_to(group, group.partner)?;
            keys(world, group, 1)?;
            comes_back(world, group, partner)
        })?;
        progress::during("multipathd restarted while the path is dead", || {
            second_path::cut(partner, group)?;
            partner.run("systemctl restart multipathd", COMMAND)?;
            comes_back(world, group, partner)
        })?;
        progress::during("home; it dies and comes back where the group was", || {
            world.go_to(group, group.home)?;
            world.load.in_bursts(|| world.forget_move(group))?;
            second_path::cut(partner, group)?;
            // A path of the partner that registered itself would make one registration
            // more.
            comes_back(world, group, partner)
        })?;
        progress::during("away again, by both paths", || {
            moves::there_and_back(world, group)?;
            second_path::wait_used(home, group, 2)?;
            keys(world, group, 2)?;
            unfenced(world, boots)
        })?;
        Ok(vec![group.clone()])
    })
}

/// paths-blip: all paths of the node that serves are gone for some seconds, once while
/// the group is served, and once in the middle of a commanded move. Commands wait in
/// device mapper, where no counter shows them, and none fails.
pub fn blip(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let (home, boots) = (world.node(group.home)?, world.boots()?);
    under_load(world, Pace::Full, || {
        progress::during("all paths are gone for some seconds", || {
            second_path::blip(home, group, || Ok(()))?;
            world.load.wait_flow()?;
            world.must_be_on(group, group.home)?;
            keys(world, group, 2)?;
            healthy(world, group)
        })?;
        progress::during("again, and a move is commanded meanwhile", || {
            let mark = world.mark()?;
            second_path::blip(home, group, || world.order_move(group, group.partner))?;
            world.wait_served(mark, group, group.partner)?;
            world.load.wait_flow()?;
            world.must_own(group, group.partner)?;
            unfenced(world, boots)
        })?;
        progress::during("home again", || {
            world.go_to(group, group.home)?;
            world.load.wait_flow()?;
            world.load.in_bursts(|| world.forget_move(group))?;
            keys(world, group, 2)?;
            healthy(world, group)
        })?;
        Ok(vec![group.clone()])
    })
}

/// Cuts one path of the group that has two, moves the group there and back, and mends the
/// path. Returns the groups that moved.
pub fn cut(world: &World, _: &Group) -> Result<Vec<Group>> {
    let [_, group] = &world.groups;
    let home = world.node(group.home)?;
    second_path::cut(home, group)?;
    world.load.wait_flow()?;
    let moved = moves::there_and_back(world, group);
    second_path::mend(home, group)?;
    keys(world, group, 2)?;
    moved
}

/// Takes all paths of the group that has two away for some seconds, and moves the group
/// meanwhile. Returns the groups that moved.
pub fn gone(world: &World, _: &Group) -> Result<Vec<Group>> {
    let [_, group] = &world.groups;
    let mark = world.mark()?;
    second_path::blip(world.node(group.home)?, group, || {
        world.order_move(group, group.partner)
    })?;
    world.wait_served(mark, group, group.partner)?;
    world.load.wait_flow()?;
    world.go_to(group, group.home)?;
    world.load.wait_flow()?;
    world.load.in_bursts(|| world.forget_move(group))?;
    Ok(vec![group.clone()])
}

/// Mends a node's dead path. Checks that the group meets no conflict by it, and that each
/// disk has the registrations of two paths.
fn comes_back(world: &World, group: &Group, node: &Guest) -> Result<()> {
    second_path::mend(node, group)?;
    world.load.wait_flow()?;
    keys(world, group, 2)?;
    healthy(world, group)
}

fn unfenced(world: &World, boots: u32) -> Result<()> {
    match world.boots()? == boots {
        true => Ok(()),
        false => Err(Error::other("a node was fenced for a path")),
    }
}

/// Checks that each of a group's disks has this many registrations of the node that
/// serves it.
fn keys(world: &World, group: &Group, count: usize) -> Result<()> {
    let (node, _) = world.serving(group)?;
    let script = KEYS.replace("GROUP", group.name).replace("COUNT", &count.to_string());
    world.node(&node)?.run(&script, COMMAND).map(drop)
}

/// Checks that the monitor of level 10 finds nothing wrong.
fn healthy(world: &World, group: &Group) -> Result<()> {
    let (node, _) = world.serving(group)?;
    let monitor = format!(
        "OCF_CHECK_LEVEL=10 {} /usr/lib/ocf/resource.d/understudy/vport monitor",
        group.environment(group.name, &[])
    );
    world.node(&node)?.run(&monitor, COMMAND).map(drop)
}
