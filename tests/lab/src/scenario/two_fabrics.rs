//! What the scenarios with two fabrics begin and end with: a second port on every guest,
//! a group with a port in each fabric, and multipath at the initiator.

use std::slice;

use super::World;
use super::world::COMMAND;
use crate::error::Result;
use crate::groups::{self, Group, Lun};
use crate::plan::{ARRAYS, SIDES, Side};
use crate::{multipath, progress, share};

/// The second fabric is there, and the group is served in both.
///
/// # Errors
/// Something of it does not come up.
pub fn begin(world: &World) -> Result<(Group, Vec<Lun>)> {
    let group = groups::pair();
    progress::during("second fabric: a port on every guest", || {
        share::set_ports(world.lab.folders(), &SIDES)?;
        let port = Side::B.interface();
        let script = format!(
            "lab-fcoe {port}
             until grep -qs Online /sys/class/net/{port}/ctlr_*/host*/fc_host/*/port_state
             do sleep 0.1; done"
        );
        world.lab.everywhere(|guest| guest.run(&script, COMMAND).map(drop))?;
        watched(world, ARRAYS, Side::B, "1")
    })?;
    progress::during("a group with a port in each: served", || {
        let (node, mark) = (world.any_node()?, world.mark()?);
        groups::configure(node, slice::from_ref(&group))?;
        // It weighs nothing in a split: the other node's fence is to wait, as ever.
        let weigh = format!("crm_resource -r {} --meta -p priority -v 0", group.name);
        node.run(&weigh, COMMAND)?;
        world.wait_served(mark, &group, group.home).map(drop)
    })?;
    let luns = progress::during("initiator: multipath over both", || {
        multipath::start(world.lab.host()?, &group)
    })?;
    Ok((group, luns))
}

/// Waits until the cluster knows so many ports online of these nodes in a fabric.
///
/// # Errors
/// It is told otherwise.
pub fn watched<const N: usize>(
    world: &World,
    nodes: [&str; N],
    side: Side,
    ports: &str,
) -> Result<()> {
    let attribute = groups::ports_online(side);
    nodes.iter().try_for_each(|node| world.wait_attribute(node, &attribute, ports))
}

/// All of it is gone again, and forgotten.
///
/// # Errors
/// Something of it stays.
pub fn end(world: &World, group: &Group) -> Result<()> {
    let step = progress::step("group, multipath, second fabric gone");
    multipath::end(world.lab.host()?, group)?;
    let node = world.any_node()?;
    groups::forget(node, &[group.name])?;
    share::set_ports(world.lab.folders(), &[Side::A])?;
    let port = Side::B.interface();
    let script = format!(
        "for c in /sys/class/net/{port}/ctlr_*; do echo 0 > $c/enabled; done
         echo {port} > /sys/bus/fcoe/ctlr_destroy"
    );
    world.lab.everywhere(|guest| guest.run(&script, COMMAND).map(drop))?;
    // Begun anew, the watch knows of no second fabric.
    node.run(&format!("crm_resource -r {} --restart", groups::WATCH), COMMAND)?;
    node.run("crm_resource --cleanup && crm_resource --wait", COMMAND)?;
    step.done("");
    Ok(())
}
