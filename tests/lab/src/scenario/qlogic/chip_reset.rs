//! qlogic-chip-reset: the chip of an HBA is reset, which logs every port of it out and in
//! again. On the partner of the node that serves a group there is a kept port with the
//! group's name, and the reset logs that in, too. `fcport` logs it out again, and the node
//! that serves is not disturbed. Where a group is served, the load goes on after a pause,
//! there or at the partner.

use understudy_fabric::control::What;

use super::super::moves::there_and_back;
use super::super::world::{COMMAND, Mark};
use super::super::{Seen, World, under_load_on};
use super::{BASE, PROBE, begin, end, recover};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::{Hba, owner};
use crate::progress;

/// Plays qlogic-chip-reset.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, std::slice::from_ref(&group))?;
    let seen = under_load_on(world, &luns, Pace::Full, || {
        let boots = world.boots()?;
        progress::during("served by both HBAs: the partner keeps a port", || {
            there_and_back(world, &group)?;
            wait_parked(world, &group)
        })?;
        progress::during("chip reset at the partner: its port is refused", || {
            reset_refused(world, &group)
        })?;
        if world.boots()? != boots {
            return Err(Error::other("a node was fenced"));
        }
        let step = progress::step("chip reset where it is served: load goes on");
        let fenced = reset_serving(world, &group)?;
        step.done(if fenced { "fenced" } else { "" });
        Ok(vec![group.clone()])
    })?;
    progress::during("chip reset, nobody serves: logged in, and out again", || {
        reset_let_in(world, &group)
    })?;
    end(world, std::slice::from_ref(&group))?;
    Ok(Seen { claimed: Some(group.port()?), ..seen })
}

/// Resets the chip by which a group is served. Returns the groups that may have moved.
pub fn strike(world: &World, group: &Group) -> Result<Vec<Group>> {
    reset_serving(world, group)?;
    Ok(vec![group.clone()])
}

/// Resets the chip of the partner while a group is served at home. Waits until the fabric
/// has refused the partner's kept port, because the name is logged in, and until the
/// partner has logged its port out.
fn reset_refused(world: &World, group: &Group) -> Result<()> {
    let mark = world.mark()?;
    reset(world.node(group.partner)?)?;
    wait_port_event(world, mark, group, What::Refused)?;
    wait_parked(world, group)?;
    must_be_undisturbed(world, mark, group)?;
    world.load.wait_flow()
}

/// Resets the chip by which a group is served, and waits until the load goes on. A command
/// that LIO has at that moment is lost, and the driver waits for it without end. Then the
/// node is fenced and the partner serves; the group is brought home. Returns whether the
/// node was fenced.
fn reset_serving(world: &World, group: &Group) -> Result<bool> {
    let (home, mark) = (world.node(group.home)?, world.mark()?);
    let boots = home.boots();
    reset(home)?;
    recover(world, mark, group, boots)
}

/// Stops a group, and resets the chip of the partner. Waits until the partner's kept port
/// has logged in, and until it is logged out again.
fn reset_let_in(world: &World, group: &Group) -> Result<()> {
    world.load.pause()?;
    let stop = format!(
        "crm_resource -r {} --meta -p target-role -v Stopped; lab-idle",
        group.name
    );
    let partner = world.node(group.partner)?;
    partner.run(&stop, COMMAND)?;
    let mark = world.mark()?;
    reset(partner)?;
    wait_port_event(world, mark, group, What::Login)?;
    wait_port_event(world, mark, group, What::Logout)?;
    wait_parked(world, group)
}

/// Resets the chip of a node's HBA, and waits until its driver has it again.
fn reset(node: &Guest) -> Result<()> {
    node.run(&format!("{BASE}; echo 131676 > $(base)/device/reset"), PROBE).map(drop)
}

/// Waits until the fabric has had this event of a group's port on the partner's link.
fn wait_port_event(world: &World, since: Mark, group: &Group, what: What) -> Result<()> {
    let (port, partner) = (group.port()?, group.partner);
    let words = format!("{port} on {partner}: {what:?}");
    let event = world.wait_event(since, Hba::SIDE, &words, |event| {
        event.event == what
            && event.wwpn == Some(port)
            && event.link.as_deref().map(owner) == Some(partner)
    });
    event.map(drop)
}

/// Waits until the partner has the group's port, logged out.
fn wait_parked(world: &World, group: &Group) -> Result<()> {
    let script = format!(
        "until for port in /sys/class/fc_vports/*; do
             grep -qsx 0x{} $port/port_name && grep -qsx Disabled $port/vport_state && exit
         done; false; do sleep 0.2; done",
        group.wwpn().replace(':', "")
    );
    world.node(group.partner)?.run(&script, COMMAND).map(drop)
}

/// Checks that no login of a group's port has ended since a mark, and that the group is
/// served at home.
fn must_be_undisturbed(world: &World, since: Mark, group: &Group) -> Result<()> {
    let port = group.port()?;
    let events = world.events(since, Hba::SIDE)?.into_iter();
    let mut its = events.filter(|event| event.wwpn == Some(port));
    match its.find(|event| event.event.ends_login()) {
        Some(event) => Err(Error::other(format!("a login has ended: {event:?}"))),
        None => world.must_be_on(group, group.home),
    }
}
