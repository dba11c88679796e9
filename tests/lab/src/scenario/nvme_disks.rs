//! nvme-disks: a group whose disks are NVMe namespaces, owned by NVMe reservations. It
//! goes to its partner and home by command. Then the node that serves it loses its power,
//! and its partner preempts it. When that node is back, it gets its group back.

use super::foreign_keys::monitor;
use super::two_fabrics::all_home;
use super::world::COMMAND;
use super::{Seen, World, under_load_on};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::{ARRAYS, NVME_SHELF};
use crate::{nvme, progress};

/// A key that is not understudy's.
const STRANGE: &str = "0xdeadbeef00000001";

/// Plays nvme-disks.
pub fn run(world: &World) -> Result<Seen> {
    let (group, host) = (groups::on_nvme(), world.lab.host()?);
    let (home, partner) = (world.node(group.home)?, world.node(group.partner)?);
    progress::during("the NVMe shelf serves, both nodes connect", || {
        nvme::start(&world.lab)?;
        ARRAYS.iter().try_for_each(|name| nvme::connect(world.node(name)?))
    })?;
    let luns = progress::during("a group on its namespaces: served", || {
        let mark = world.mark()?;
        groups::configure_as(world.any_node()?, &group, "each")?;
        world.wait_served(mark, &group, group.home)?;
        holds(world, &group, group.home)?;
        groups::luns_of(host, &group, group.disk_specs().len(), COMMAND)
    })?;
    let seen = under_load_on(world, &luns, Pace::Bursts, || {
        progress::during("a program's key is removed in place", || {
            for wwid in nvme::wwids() {
                let register = format!("lab-nvme register {wwid} {STRANGE}");
                partner.run(&register, COMMAND)?;
            }
            monitor(home, &group, 0, "")?;
            holds(world, &group, group.home)
        })?;
        progress::during("to the partner and home, by command", || {
            for node in [group.partner, group.home] {
                world.move_to(&group, node)?;
                world.load.wait_flow()?;
                holds(world, &group, node)?;
            }
            Ok::<_, Error>(())
        })?;
        let mark = world.mark()?;
        world.cut_power(group.home)?;
        progress::during("its partner preempts it, and serves", || {
            world.wait_served(mark, &group, group.partner)?;
            world.load.wait_flow()?;
            holds(world, &group, group.partner)
        })?;
        progress::during("back again, connected, given back", || {
            world.wait_whole()?;
            nvme::connect(home)?;
            all_home(world, &group)?;
            world.load.wait_flow()?;
            holds(world, &group, group.home)
        })?;
        Ok(vec![group.clone()])
    })?;
    progress::during("group and shelf gone", || {
        world.load.pause()?;
        groups::forget(world.any_node()?, &[group.name])?;
        for wwid in nvme::wwids() {
            registered(home, &wwid, &[])?;
        }
        ARRAYS.iter().try_for_each(|name| nvme::disconnect(world.node(name)?))?;
        world.lab.guest(NVME_SHELF)?.power_off();
        Ok::<_, Error>(())
    })?;
    Ok(seen)
}

/// Checks that a node serves the group and owns its disks, by what the agent reports, and
/// that no other node is registered with a namespace, by what the namespace reports.
fn holds(world: &World, group: &Group, node: &str) -> Result<()> {
    world.must_own(group, node)?;
    let holder = format!("*{}", nvme::host_id(node));
    let node = world.node(node)?;
    nvme::wwids().iter().try_for_each(|wwid| registered(node, wwid, &[&holder]))
}

/// Checks which nodes are registered with a namespace.
fn registered(node: &Guest, wwid: &str, expected: &[&str]) -> Result<()> {
    let found = nvme::registrants(node, wwid)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::other(format!("{wwid}: registered are {found:?}, not {expected:?}")))
}
