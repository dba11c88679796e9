//! The second fabric, for the scenarios that need two: a second port on every guest, a
//! group with a port in each fabric, and multipath at the initiator. All this stays for
//! the next such scenario, and is removed before any other.

use std::sync::PoisonError;

use super::World;
use super::world::{self, COMMAND, client};
use crate::error::Result;
use crate::groups::{self, Group, Lun};
use crate::guest::Guest;
use crate::plan::{SIDES, Side, owner};
use crate::{multipath, progress, share};

/// Brings the second fabric up, and returns the LUNs of the group in both. Does nothing
/// if all of it is there.
///
/// # Errors
/// Some part of this does not come up.
pub fn begin(world: &World, group: &Group) -> Result<Vec<Lun>> {
    let mut paired = world.paired.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(luns) = &*paired {
        return Ok(luns.clone());
    }
    progress::during("second fabric: a port on every guest", || bring_up(world, "-"))?;
    progress::during("a group with a port in each: served", || {
        let (node, mark) = (world.any_node()?, world.mark()?);
        groups::configure_as(node, group, "each")?;
        world.wait_served(mark, group, group.home).map(drop)
    })?;
    let luns = progress::during("initiator: multipath over both", || {
        multipath::start(world.lab.host()?, group)
    })?;
    Ok(paired.insert(luns).clone())
}

/// Brings up a port in the second fabric on every guest. On the guest `dark` the port
/// stays off. Zones that QLogic scenarios have left end.
///
/// # Errors
/// A port does not come up.
pub fn bring_up(world: &World, dark: &str) -> Result<()> {
    client(&world.lab, Side::B)?.set_zones(None).map_err(world::fabric)?;
    share::set_ports(world.lab.folders(), &SIDES)?;
    share::set_dark(world.lab.folders(), dark)?;
    let script = format!("lab-fcoe {}", Side::B.interface());
    world.lab.everywhere(|guest| {
        guest.run(&script, COMMAND)?;
        if guest.name() == dark { Ok(()) } else { wait_port(guest, Side::B) }
    })
}

/// Removes the guests' own ports in the second fabric, where they have one. HBAs stay.
///
/// # Errors
/// A port stays.
pub fn take_down(world: &World) -> Result<()> {
    share::set_ports(world.lab.folders(), &[Side::A])?;
    share::set_dark(world.lab.folders(), "-")?;
    let port = Side::B.interface();
    let script = format!(
        "for c in /sys/class/net/{port}/ctlr_*; do
             [ -e $c ] || exit 0
             echo 0 > $c/enabled
         done
         echo {port} > /sys/bus/fcoe/ctlr_destroy"
    );
    world.lab.everywhere(|guest| guest.run(&script, COMMAND).map(drop))?;
    // A port that is destroyed does not log out. So the fabric is told here, before it
    // finds out in the middle of the next scenario.
    let mut fabric = client(&world.lab, Side::B)?;
    let ports = fabric.ports().map_err(world::fabric)?;
    for port in ports.iter().filter(|port| owner(&port.link) == port.link) {
        fabric.drop(port.wwpn).map_err(world::fabric)?;
    }
    // The watch forgets the second fabric when it is restarted.
    let node = world.any_node()?;
    let restart = format!(
        "set -e
         meta='crm_resource -r {} --meta'
         $meta -p target-role -v Stopped; lab-idle
         $meta -d target-role; crm_resource --cleanup; lab-idle",
        groups::WATCH
    );
    node.run(&restart, COMMAND).map(drop)
}

/// Waits until a guest's physical port in a fabric is Online.
///
/// # Errors
/// The port is not Online in time.
pub fn wait_port(guest: &Guest, side: Side) -> Result<()> {
    let port = side.interface();
    let script = format!(
        "until grep -qs Online /sys/class/net/{port}/ctlr_*/host*/fc_host/*/port_state; do
             sleep 0.2
         done"
    );
    guest.run(&script, COMMAND).map(drop)
}

/// Waits until the cluster has this number of ports online for these nodes in a fabric,
/// and has done what follows from it.
///
/// # Errors
/// The cluster does not have that number in time.
pub fn watched(world: &World, nodes: &[&str], side: Side, ports: &str) -> Result<()> {
    let attribute = groups::ports_online(side);
    nodes.iter().try_for_each(|node| world.wait_attribute(node, &attribute, ports))
}

/// Brings this group home, and the others.
///
/// # Errors
/// A group does not get there.
pub fn all_home(world: &World, group: &Group) -> Result<()> {
    let mark = world.mark()?;
    world.order_move(group, group.home)?;
    world.giveback()?;
    world.wait_served(mark, group, group.home)?;
    world.forget_move(group)
}

/// Removes the second fabric, the group in both, and multipath. Does nothing if they are
/// not there.
///
/// # Errors
/// Some part of this stays.
pub fn end(world: &World) -> Result<()> {
    let mut paired = world.paired.lock().unwrap_or_else(PoisonError::into_inner);
    if paired.take().is_none() {
        return Ok(());
    }
    let group = groups::pair();
    let step = progress::step("group, multipath, second fabric gone");
    world.load.pause()?;
    multipath::end(world.lab.host()?, &group)?;
    let node = world.any_node()?;
    groups::forget(node, &[group.name])?;
    take_down(world)?;
    step.done("");
    Ok(())
}
