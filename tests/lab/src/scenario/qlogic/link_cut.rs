//! qlogic-link-cut: the HBA that serves a group loses its light. A flap moves nothing,
//! unless the driver has lost a command in it; then the node is fenced. An HBA that stays
//! dark moves the group to the partner, and the light's return moves nothing.

use understudy_fabric::control::What;

use super::super::world::COMMAND;
use super::super::{Seen, World, two_fabrics, under_load_on};
use super::{BASE, begin, end, recover, wait_port};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::{Hba, owner};
use crate::{hba, progress};

/// Plays qlogic-link-cut. A stop may hang on a command that outlived its session with the
/// light (docs/qla2xxx.md); the node is then fenced.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, std::slice::from_ref(&group))?;
    let seen = under_load_on(world, &luns, Pace::Full, || {
        flap(world, &group)?;
        cut(world, &group)?;
        Ok(vec![group.clone()])
    })?;
    end(world, std::slice::from_ref(&group))?;
    Ok(Seen { claimed: Some(group.port()?), ..seen })
}

/// Turns the light off and on again. Returns the groups that may have moved.
pub fn strike_flap(world: &World, group: &Group) -> Result<Vec<Group>> {
    flap(world, group)?;
    Ok(vec![group.clone()])
}

/// Turns the light off until the partner serves. Returns the groups that moved.
pub fn strike_cut(world: &World, group: &Group) -> Result<Vec<Group>> {
    cut(world, group)?;
    Ok(vec![group.clone()])
}

/// Turns the light off until the driver has noticed, and on again. Checks that the group's
/// port logs in where it was, and that nothing moves, unless the node was fenced.
fn flap(world: &World, group: &Group) -> Result<()> {
    let (home, mark) = (world.node(group.home)?, world.mark()?);
    let boots = home.boots();
    let step = progress::step(format!("{}: light flaps, nothing moves", group.home));
    set_light(world, home, false)?;
    let dark = wait_dark(home);
    set_light(world, home, true)?;
    dark?;
    if recover(world, mark, group, boots)? {
        step.done("fenced");
        return Ok(());
    }
    let port = group.port()?;
    let moved = world.events(mark, Hba::SIDE)?.into_iter().any(|event| {
        event.event == What::Login
            && event.wwpn == Some(port)
            && event.link.as_deref().map(owner) == Some(group.partner)
    });
    if moved {
        return Err(Error::other("a flap of the light moved the group"));
    }
    step.done("");
    Ok(())
}

/// Keeps the light off until the partner serves the group, and brings the group home once
/// the light has been on for long enough to be reported.
fn cut(world: &World, group: &Group) -> Result<()> {
    let (home, mark) = (world.node(group.home)?, world.mark()?);
    let boots = home.boots();
    let step = progress::step(format!("{}: light off, moved", group.home));
    set_light(world, home, false)?;
    let moved = world.wait_served(mark, group, group.partner);
    // An HBA that has lost its power begins with light.
    let fenced = home.boots() != boots;
    let lit = if fenced { Ok(()) } else { set_light(world, home, true) };
    moved?;
    lit?;
    step.done(if fenced { "fenced" } else { "stopped" });
    let step = progress::step(format!("{}: light on, nothing moves", group.home));
    world.load.wait_flow()?;
    world.wait_whole()?;
    wait_port(home)?;
    let online = groups::ports_online(Hba::SIDE);
    world.load.in_bursts(|| world.wait_attribute(group.home, &online, "1"))?;
    world.must_be_on(group, group.partner)?;
    step.done("");
    progress::during("given back", || {
        two_fabrics::all_home(world, group)?;
        world.load.wait_flow()
    })
}

/// Turns the light at a node's HBA on or off.
fn set_light(world: &World, node: &Guest, on: bool) -> Result<()> {
    hba::set_light(world.lab.folders(), node.name(), on)
}

/// Waits until the driver of a node's HBA has noticed that the light is off.
fn wait_dark(node: &Guest) -> Result<()> {
    let script =
        format!("{BASE}; while grep -qs Online $(base)/port_state; do sleep 0.1; done");
    node.run(&script, COMMAND).map(drop)
}
