//! physical-port-identity: initiators know a group by the names of a node's physical
//! port. At home that port itself serves the group. When the node loses its power, a
//! virtual port of the partner with these names serves it. Once the node is back, its own
//! port stays dark until the group is given back.

use understudy_fabric::control::{Event, What};

use super::two_fabrics::{all_home, bring_up, take_down};
use super::world::{COMMAND, Mark};
use super::{Seen, World, under_load_on};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::load::Pace;
use crate::plan::Side;
use crate::progress;

/// Plays physical-port-identity.
pub fn run(world: &World) -> Result<Seen> {
    let (group, host) = (groups::own(), world.lab.host()?);
    progress::during("second fabric: a port on each, one is dark", || {
        bring_up(world, group.home)
    })?;
    let luns = progress::during("a group with its names: the port is on", || {
        let mark = world.mark()?;
        groups::configure_as(world.any_node()?, &group, "each")?;
        world.wait_served(mark, &group, group.home)?;
        carried(world, &group, group.home, 0)?;
        groups::luns_of(host, &group, group.disks().len(), COMMAND)
    })?;
    let seen = under_load_on(world, &luns, Pace::Bursts, || {
        let mark = world.mark()?;
        world.cut_power(group.home)?;
        progress::during("a virtual port of its partner has its names", || {
            world.wait_served(mark, &group, group.partner)?;
            world.load.wait_flow()?;
            carried(world, &group, group.partner, 1)
        })?;
        progress::during("back again, its own port stays dark", || {
            world.wait_whole()?;
            dark(world, &group)?;
            world.must_run_on(&group, group.partner)
        })?;
        progress::during("given back, and there again", || {
            all_home(world, &group)?;
            world.load.wait_flow()?;
            carried(world, &group, group.home, 0)
        })?;
        progress::during("away by command, and home again", || {
            let mark = world.mark()?;
            world.move_to(&group, group.partner)?;
            dark(world, &group)?;
            logged_out(world, mark, &group)?;
            world.move_to(&group, group.home)?;
            world.load.wait_flow()
        })?;
        Ok(vec![group.clone()])
    })?;
    let step = progress::step("group and second fabric gone");
    world.load.pause()?;
    groups::forget(world.any_node()?, &[group.name])?;
    take_down(world)?;
    step.done("");
    Ok(seen)
}

/// Checks that a node serves the group, and that it has this many virtual ports with the
/// group's name.
fn carried(world: &World, group: &Group, node: &str, vports: usize) -> Result<()> {
    let script = format!(
        "cat /sys/class/fc_vports/*/port_name | grep -c 0x{} || :",
        group.wwpn().replace(':', "")
    );
    let said = world.node(node)?.run(&script, COMMAND)?;
    match said.trim() == vports.to_string() {
        true => Ok(()),
        false => Err(Error::other(format!("{node} has {} of {vports}", said.trim()))),
    }
}

/// Checks that the port logged out of the fabric. A fabric that is not told takes so long
/// to notice that initiators' commands fail.
fn logged_out(world: &World, since: Mark, group: &Group) -> Result<()> {
    let said = |event: &Event| {
        event.event == What::Logout && event.link.as_deref() == Some(group.home)
    };
    match world.events(since, Side::B)?.iter().any(said) {
        true => Ok(()),
        false => Err(Error::other("the port was turned off and did not log out")),
    }
}

/// Checks that the physical port of the group's home is turned off.
fn dark(world: &World, group: &Group) -> Result<()> {
    let script = format!(
        "grep -qx 0 /sys/class/net/{}/ctlr_*/enabled && understudy status | grep Dark",
        Side::B.interface()
    );
    world.node(group.home)?.run(&script, COMMAND).map(drop)
}
