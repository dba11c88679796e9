//! Scenarios in which the path fails and not the node: a storage node's link to the
//! fabric loses its signal.

use std::thread;
use std::time::Duration;

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::Side;
use crate::progress;

/// How long a flap lasts: longer than a glitch of the signal, shorter than anything that
/// notices a lost port takes.
const FLAP: Duration = Duration::from_secs(1);

/// fc-link-cut: a watch that is restarted moves nothing, and a flap moves nothing. A link
/// that stays down moves the group that runs on it, and the link's return moves nothing.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, Pace::Full, || {
        let mark = world.mark()?;
        progress::during("watch started again, nothing moves", || {
            let restart = format!("crm_resource -r {} --restart", groups::WATCH);
            world.node(group.home)?.run(&restart, COMMAND)?;
            world.must_be_unnoticed(mark)
        })?;
        let boots = world.node(group.home)?.boots();
        let mark = world.mark()?;
        flap(world, group)?;
        let moved = world.events(mark, Side::A)?.into_iter().any(|event| {
            event.wwpn == group.port().ok()
                && event.link.as_deref() == Some(group.partner)
        });
        // Where the kernel hung on it, the node was fenced.
        if moved && world.node(group.home)?.boots() == boots {
            return Err(Error::other("a flap of the link moved the group"));
        }
        cut(world, group)
    })
}

/// both-links-cut: a group goes to the node that has a port online. When no node has one,
/// it stays where it is, and is served there again once the link is back. There is no
/// load, under which the kernel would hang and the node be fenced.
pub fn both(world: &World) -> Result<Seen> {
    let [a, b] = &world.groups;
    // Pacemaker stays busy for good with a watch whose first monitor says "degraded".
    // Nobody could then wait until Pacemaker has done all.
    world.load.pause()?;
    let attribute = groups::ports_online(Side::A);
    for name in [a.home, b.home] {
        world.wait_attribute(name, &attribute, "1")?;
    }
    let boots = |name| world.node(name).map(Guest::boots);
    let before = (boots(a.home)?, boots(b.home)?);
    let at = |node: &str| {
        [a, b].into_iter().try_for_each(|group| world.must_run_on(group, node))
    };
    let cut = progress::during("one link cut: its group goes to the other", || {
        world.node(b.home)?.set_link(Side::A.interface(), false)?;
        world.wait_attribute(b.home, &attribute, "0")?;
        at(a.home)
    });
    let cut = cut.and_then(|()| {
        progress::during("the other one cut: nothing moves", || {
            world.node(a.home)?.set_link(Side::A.interface(), false)?;
            world.wait_lost(a.home, Side::A)?;
            at(a.home)
        })
    });
    let mark = world.mark()?;
    for name in [a.home, b.home] {
        world.node(name)?.set_link(Side::A.interface(), true)?;
    }
    cut?;
    progress::during("links back: both served where they are", || {
        world.wait_served(mark, a, a.home)?;
        world.wait_served(mark, b, a.home)?;
        world.wait_whole()
    })?;
    if (boots(a.home)?, boots(b.home)?) != before {
        return Err(Error::other("a node was fenced"));
    }
    under_load(world, Pace::Bursts, || {
        world.giveback()?;
        world.load.wait_flow()?;
        Ok(vec![b.clone()])
    })
}

/// Takes the link down for a moment, and checks that the group is served in the end. The
/// kernel decides whether the port comes back by itself or the node has to be fenced.
/// Returns the groups that moved.
pub fn flap(world: &World, group: &Group) -> Result<Vec<Group>> {
    let home = world.node(group.home)?;
    let step = progress::step(format!("{}: fabric link flaps", group.home));
    home.set_link(Side::A.interface(), false)?;
    thread::sleep(FLAP);
    home.set_link(Side::A.interface(), true)?;
    settle(world, group)?;
    step.done("");
    Ok(vec![group.clone()])
}

/// Takes the link down until the partner serves the group. Returns the groups that moved.
pub fn cut(world: &World, group: &Group) -> Result<Vec<Group>> {
    let home = world.node(group.home)?;
    let mark = world.mark()?;
    let step = progress::step(format!("{}: fabric link cut, moved", group.home));
    home.set_link(Side::A.interface(), false)?;
    let moved = world.wait_served(mark, group, group.partner);
    home.set_link(Side::A.interface(), true)?;
    moved?;
    step.done("");
    let step = progress::step(format!("{}: fabric link back, nothing moves", group.home));
    world.load.wait_flow()?;
    world.wait_whole()?;
    // The link's return is reported to the cluster once it has lasted.
    world.wait_attribute(group.home, &groups::ports_online(Side::A), "1")?;
    world.must_be_on(group, group.partner)?;
    step.done("");
    settle(world, group)?;
    Ok(vec![group.clone()])
}

/// Waits until both nodes are as before, and brings the group home. The partner is asked
/// for that, because home may have been fenced and still be booting.
fn settle(world: &World, group: &Group) -> Result<()> {
    world.load.wait_flow()?;
    world.node(group.partner)?.run("lab-idle", COMMAND * 2)?;
    world.wait_whole()?;
    world.giveback()?;
    world.load.wait_flow()
}
