//! The scenarios on emulated QLogic HBAs, with the stock qla2xxx and tcm_qla2xxx. Each
//! begins with [`begin`], or with `use_hbas` where no group of the cluster's is served,
//! and ends with `end`.

pub mod chip_reset;
pub mod crash_points;
pub mod identity;
pub mod initiators;
pub mod link_cut;
pub mod module_reload;
pub mod moves;
pub mod power_cut;
pub mod reservations;
pub mod two_groups;

use std::time::Duration;

use understudy_fabric::wwn::Wwn;

use super::world::{COMMAND, Mark, client, fabric};
use super::{World, two_fabrics};
use crate::error::{Error, Result};
use crate::fabric::wwn;
use crate::groups::{self, Group, Lun};
use crate::guest::Guest;
use crate::lab::side_by_side;
use crate::plan::{self, ARRAYS, Hba, Role, Spec};
use crate::{progress, share};

/// How long an HBA may take from the load of its driver until its port is Online.
const PROBE: Duration = Duration::from_secs(120);

/// A shell function that prints the folder of the HBA's physical port.
const BASE: &str = "base() {
        for host in /sys/class/fc_host/host*; do
            case $(readlink -f $host/device/../driver) in
            */qla2xxx) echo $host; return ;;
            esac
        done
        false
    }";

/// Has the storage nodes use their HBAs, gives the initiator a port in their fabric, and
/// has each of the groups served at home. Returns the groups' LUNs.
///
/// # Errors
/// Some part of this does not come up.
pub fn begin(world: &World, groups: &[Group]) -> Result<Vec<Lun>> {
    // The zones come first: the initiator must not meet the HBAs' physical ports.
    set_zones(world, groups, &[])?;
    use_hbas(world)?;
    groups.iter().try_for_each(|group| serve(world, group))?;
    luns(world, groups)
}

/// Has the storage nodes use their HBAs, and gives the initiator a port in their fabric.
fn use_hbas(world: &World) -> Result<()> {
    let (folders, host) = (world.lab.folders(), world.lab.host()?);
    progress::during("initiator: a port in the HBAs' fabric", || {
        host.run(&format!("lab-fcoe {}", Hba::SIDE.interface()), COMMAND)?;
        two_fabrics::wait_port(host, Hba::SIDE)
    })?;
    progress::during("both HBAs: driver loaded, port Online", || {
        share::set_hbas(folders, true)?;
        let use_it = "set -e
            echo > /etc/modprobe.d/lab.conf
            modprobe qla2xxx
            systemctl enable --now understudy-qla2xxx.service
            sync";
        on_nodes(world, |node| node.run(use_it, PROBE).and_then(|_| wait_port(node)))
    })
}

/// Configures a group in the cluster, and waits until its home serves it.
fn serve(world: &World, group: &Group) -> Result<()> {
    progress::during(format!("{}: served", group.name), || {
        let (node, mark) = (world.any_node()?, world.mark()?);
        groups::configure_as(node, group, "each")?;
        world.wait_served(mark, group, group.home).map(drop)
    })
}

/// Brings a group home that an earlier fault has moved. Does nothing if it is there.
///
/// # Errors
/// The group does not get there.
pub fn bring_home(world: &World, group: &Group) -> Result<()> {
    if world.must_be_on(group, group.home).is_ok() {
        return Ok(());
    }
    wait_port(world.node(group.home)?)?;
    two_fabrics::all_home(world, group)?;
    world.load.wait_flow()
}

/// Waits until the initiator has found the LUNs of these groups, and returns them.
///
/// # Errors
/// The initiator does not find them in time.
pub fn luns(world: &World, groups: &[Group]) -> Result<Vec<Lun>> {
    let host = world.lab.host()?;
    let its = |group: &Group| groups::luns_of(host, group, group.disks().len(), COMMAND);
    progress::during("initiator: LUNs found", || {
        let luns = groups.iter().map(its).collect::<Result<Vec<_>>>()?;
        Ok(luns.concat())
    })
}

/// Waits until the load goes on after a fault of the HBA by which a group is served at
/// home. A home that was powered on more than `boots` times was fenced for the fault: the
/// group is then brought back there. Returns whether the home was fenced.
fn recover(world: &World, since: Mark, group: &Group, boots: u32) -> Result<bool> {
    world.wait_served(since, group, group.home)?;
    world.load.wait_flow()?;
    let fenced = world.node(group.home)?.boots() != boots;
    if fenced {
        come_home(world, group)?;
    }
    world.load.in_bursts(|| world.wait_runs_on(group, group.home))?;
    world.must_be_on(group, group.home)?;
    Ok(fenced)
}

/// Waits until a group's home has booted after a fence, and brings the group back there
/// under load.
fn come_home(world: &World, group: &Group) -> Result<()> {
    world.wait_whole()?;
    wait_port(world.node(group.home)?)?;
    two_fabrics::all_home(world, group)?;
    world.load.wait_flow()
}

/// Removes the groups, and the other ports in their fabric. Nodes that boot from now on
/// leave their HBAs alone. Until then the HBAs stay in use: their driver keeps the groups'
/// ports. So the zones stay in force, or the HBAs would scan one another.
fn end(world: &World, groups: &[Group]) -> Result<()> {
    progress::during("groups gone, HBAs off at the next boot", || {
        world.load.pause()?;
        let names: Vec<_> = groups.iter().map(|group| group.name).collect();
        groups::forget(world.any_node()?, &names)?;
        share::set_hbas(world.lab.folders(), false)?;
        let leave_it = "systemctl disable understudy-qla2xxx.service && sync";
        on_nodes(world, |node| node.run(leave_it, COMMAND).map(drop))?;
        two_fabrics::take_down(world)
    })
}

/// Does something on both storage nodes, side by side.
fn on_nodes(world: &World, act: impl Fn(&Guest) -> Result<()> + Sync) -> Result<()> {
    let guests = world.lab.guests().iter();
    side_by_side(guests.filter(|guest| ARRAYS.contains(&guest.name())), act)
}

/// Puts the zones in force that docs/qla2xxx.md asks for: the initiator with the groups'
/// ports, and each of `more` initiators with them. The nodes' HBAs see nobody. A port of
/// qla2xxx lets everybody log in, and answers no command of those that it does not know.
/// Another port that sees it scans it, and waits. If that is the partner's HBA, its driver
/// has no thread left for the initiators of its own group.
fn set_zones(world: &World, groups: &[Group], more: &[Wwn]) -> Result<()> {
    let ports = groups.iter().map(Group::port).collect::<Result<Vec<_>>>()?;
    let initiator = wwn(&host()?.wwpn(Hba::SIDE))?;
    let with_ports = |initiator: &Wwn| [&[*initiator], &ports[..]].concat();
    let zones = [&initiator].into_iter().chain(more).map(with_ports).collect();
    client(&world.lab, Hba::SIDE)?.set_zones(Some(zones)).map_err(fabric)
}

/// Returns the plan of the initiator's guest.
fn host() -> Result<Spec> {
    let host = plan::guests().into_iter().find(|guest| guest.role == Role::Host);
    host.ok_or_else(|| Error::other("the lab has no initiator"))
}

/// Waits until the physical port of a node's HBA is Online.
fn wait_port(node: &Guest) -> Result<()> {
    let script =
        format!("{BASE}; until grep -qs Online $(base)/port_state; do sleep 0.2; done");
    node.run(&script, PROBE).map(drop)
}
