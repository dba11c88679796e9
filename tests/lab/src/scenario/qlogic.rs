//! The scenarios on emulated QLogic HBAs, with the stock qla2xxx and tcm_qla2xxx.

use std::time::Duration;

use understudy_fabric::wwn::Wwn;

use super::moves::there_and_back;
use super::world::{COMMAND, client, fabric};
use super::{Seen, World, two_fabrics, under_load_on};
use crate::error::Result;
use crate::fabric::wwn;
use crate::groups::{self, Group, Lun};
use crate::guest::Guest;
use crate::lab::side_by_side;
use crate::load::Pace;
use crate::plan::{self, ARRAYS, Hba, SIDES};
use crate::{progress, share};

/// How long an HBA may take from the load of its driver until its port is Online.
const PROBE: Duration = Duration::from_secs(120);

/// Plays qlogic-moves: ten commanded moves under load.
pub fn moves(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, &group)?;
    let seen = under_load_on(world, &luns, Pace::Full, || {
        for round in 1..=5 {
            let step = progress::step(format!("move {round}: to the partner and home"));
            there_and_back(world, &group)?;
            step.done("");
        }
        Ok(vec![group.clone()])
    })?;
    end(world, &group)?;
    Ok(seen)
}

/// Plays qlogic-power-cut: the node whose HBA serves a group loses its power.
pub fn power_cut(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, &group)?;
    let seen = under_load_on(world, &luns, Pace::Full, || {
        let mark = world.mark()?;
        world.cut_power(group.home)?;
        progress::during("its partner's HBA has the port", || {
            world.wait_served(mark, &group, group.partner)?;
            world.load.wait_flow()
        })?;
        let step = progress::step(format!("{}: boots and joins again", group.home));
        world.wait_whole()?;
        wait_port(world.node(group.home)?)?;
        step.done("");
        progress::during("given back", || {
            two_fabrics::all_home(world, &group)?;
            world.load.wait_flow()
        })?;
        Ok(vec![group.clone()])
    })?;
    end(world, &group)?;
    Ok(seen)
}

/// Has the storage nodes use their HBAs, gives the initiator a port in their fabric, and
/// has the group served. Returns its LUNs.
fn begin(world: &World, group: &Group) -> Result<Vec<Lun>> {
    let (folders, host) = (world.lab.folders(), world.lab.host()?);
    progress::during("initiator: a port in the HBAs' fabric", || {
        share::set_ports(folders, &SIDES)?;
        host.run(&format!("lab-fcoe {}", Hba::SIDE.interface()), COMMAND)?;
        two_fabrics::wait_port(host, Hba::SIDE)
    })?;
    client(&world.lab, Hba::SIDE)?.set_zones(Some(zones(group)?)).map_err(fabric)?;
    progress::during("both HBAs: driver loaded, port Online", || {
        share::set_hbas(folders, true)?;
        let use_it = "set -e
            echo > /etc/modprobe.d/lab.conf
            modprobe qla2xxx
            systemctl enable --now understudy-qla2xxx.service
            sync";
        on_nodes(world, |node| node.run(use_it, PROBE).and_then(|_| wait_port(node)))
    })?;
    progress::during("a group on them: served", || {
        let (node, mark) = (world.any_node()?, world.mark()?);
        groups::configure_as(node, group, "each")?;
        world.wait_served(mark, group, group.home).map(drop)
    })?;
    progress::during("initiator: its LUNs found", || {
        groups::luns_of(host, group, group.disks().len(), COMMAND)
    })
}

/// Removes the group, and the other ports in its fabric. Nodes that boot from now on leave
/// their HBAs alone. Until then the HBAs stay in use: their driver keeps the groups' ports.
fn end(world: &World, group: &Group) -> Result<()> {
    progress::during("group gone, HBAs off at the next boot", || {
        world.load.pause()?;
        groups::forget(world.any_node()?, &[group.name])?;
        share::set_hbas(world.lab.folders(), false)?;
        let leave_it = "systemctl disable understudy-qla2xxx.service && sync";
        on_nodes(world, |node| node.run(leave_it, COMMAND).map(drop))?;
        two_fabrics::take_down(world)?;
        client(&world.lab, Hba::SIDE)?.set_zones(None).map_err(fabric)
    })
}

/// Does something on both storage nodes, side by side.
fn on_nodes(world: &World, act: impl Fn(&Guest) -> Result<()> + Sync) -> Result<()> {
    let guests = world.lab.guests().iter();
    side_by_side(guests.filter(|guest| ARRAYS.contains(&guest.name())), act)
}

/// Returns the zones that docs/qla2xxx.md asks for: the initiator with the group's port, and
/// the nodes with each other and that port. An initiator that sees the HBAs' physical ports
/// waits for them: they are targets that let it log in, and answer no command.
fn zones(group: &Group) -> Result<Vec<Vec<Wwn>>> {
    let port = group.port()?;
    let (mut hosts, mut nodes) = (vec![port], vec![port]);
    for guest in plan::guests() {
        match guest.hba {
            Some(hba) => nodes.push(wwn(&hba.wwpn())?),
            None => hosts.push(wwn(&guest.wwpn(Hba::SIDE))?),
        }
    }
    Ok(vec![hosts, nodes])
}

/// Waits until the physical port of a node's HBA is Online.
fn wait_port(node: &Guest) -> Result<()> {
    let script = "cd /sys/class/fc_host
        until for host in host*; do
            case $(readlink -f $host/device/../driver) in
            */qla2xxx) grep -qs Online $host/port_state && exit 0 ;;
            esac
        done; false; do sleep 0.2; done";
    node.run(script, PROBE).map(drop)
}
