//! zoned-fabric: zones as a SAN has them. A start by hand beside the node that serves
//! takes nothing. Without the zone in which nodes see the groups' ports, `check` says
//! that they cannot be seen, and moves go on.

use understudy_fabric::wwn::Wwn;

use super::moves::there_and_back;
use super::world::{COMMAND, client, fabric};
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::fabric::wwn;
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::{ARRAYS, HOST, Side, guests};
use crate::progress;

/// Plays zoned-fabric.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, Pace::Bursts, || {
        zone(world, Some(all(world)?))?;
        let partner = world.node(group.partner)?;
        progress::during("a start beside the living node takes nothing", || {
            let mark = world.mark()?;
            refused(partner, group, "", 1, "logged in elsewhere")?;
            refused(partner, group, "OCF_RESKEY_CRM_meta_clone=1", 5, "is a clone")?;
            world.must_be_unnoticed(mark)?;
            world.must_own(group, group.home)
        })?;
        progress::during("check says whether the guard sees", || {
            wait_check(partner, group, "the ports are seen at")?;
            zone(world, Some(single(world)?))?;
            wait_check(partner, group, "cannot be seen from here")
        })?;
        let moved =
            progress::during("a move, there and back", || there_and_back(world, group))?;
        zone(world, None)?;
        wait_check(partner, group, "the ports are seen at")?;
        Ok(moved)
    })
}

/// Puts zones in force in the first fabric. Ends zoning if there are none.
fn zone(world: &World, zones: Option<Vec<Vec<Wwn>>>) -> Result<()> {
    client(&world.lab, Side::A)?.set_zones(zones).map_err(fabric)
}

/// Returns a zone for each group, with the initiator and the group's port.
fn single(world: &World) -> Result<Vec<Vec<Wwn>>> {
    let host = physical(HOST)?;
    world.groups.iter().map(|group| Ok(vec![host, group.port()?])).collect()
}

/// Returns a zone for each group, and one in which the nodes see the groups' ports.
fn all(world: &World) -> Result<Vec<Vec<Wwn>>> {
    let mut zones = single(world)?;
    let nodes = ARRAYS.iter().map(|name| physical(name));
    let groups = world.groups.iter().map(Group::port);
    zones.push(nodes.chain(groups).collect::<Result<_>>()?);
    Ok(zones)
}

/// Returns the name of a guest's physical port in the first fabric.
fn physical(name: &str) -> Result<Wwn> {
    let guest = guests().into_iter().find(|guest| guest.name == name);
    wwn(&guest.map(|guest| guest.wwpn(Side::A)).unwrap_or_default())
}

/// Checks that a start by hand is refused, with this exit code and for this reason.
fn refused(
    node: &Guest,
    group: &Group,
    with: &str,
    code: i32,
    reason: &str,
) -> Result<()> {
    let script = format!(
        "{} OCF_RESKEY_CRM_meta_timeout=20000 {with} \
         /usr/lib/ocf/resource.d/understudy/vport start",
        group.environment(group.name, &[])
    );
    let said = node.try_run(&script, COMMAND);
    match said.code() == Some(code) && said.stderr.contains(reason) {
        true => Ok(()),
        false => Err(Error::other(format!("not refused: {}", said.explain()))),
    }
}

/// Waits until the output of `understudy check` has these words.
fn wait_check(node: &Guest, group: &Group, found: &str) -> Result<()> {
    let check = format!("understudy check {} --json | grep -q '{found}'", group.name);
    node.run(&format!("until {check}; do sleep 0.5; done"), COMMAND).map(drop)
}
