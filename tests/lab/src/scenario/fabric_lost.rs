//! fabric-lost: all guests lose one of two fabrics. Nothing moves, I/O goes on in the
//! other one, and the path returns with the fabric. Then one node alone loses its port in
//! the other fabric. Whether the group moves is for the policy to decide.

use super::two_fabrics::{all_home, begin, watched};
use super::{Seen, World, under_load_on};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::{ARRAYS, SIDES, Side};
use crate::{multipath, progress};

/// Plays fabric-lost.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::pair();
    let luns = begin(world, &group)?;
    under_load_on(world, &luns, Pace::Bursts, || {
        let before = world.boots()?;
        everybody(world, &group)?;
        one_node(world, &group)?;
        if world.boots()? != before {
            return Err(Error::other("a node was fenced"));
        }
        Ok(vec![group.clone()])
    })
}

/// Takes a fabric away from all guests, and brings it back.
fn everybody(world: &World, group: &Group) -> Result<()> {
    let plug = |up| {
        let cable = |guest: &Guest| guest.set_link(Side::B.interface(), up);
        world.lab.everywhere(cable)
    };
    progress::during("a fabric lost to all: nothing moves", || {
        multipath::set_aside(world.lab.host()?, group, Side::B)?;
        plug(false)?;
        settled(world, group, 1)?;
        ARRAYS.iter().try_for_each(|node| world.wait_lost(node, Side::B))?;
        at_home(world, group)
    })?;
    progress::during("it is back, and so are its paths", || {
        plug(true)?;
        settled(world, group, SIDES.len())?;
        at_home(world, group)
    })
}

/// Takes a fabric away from one node, and brings it back.
fn one_node(world: &World, group: &Group) -> Result<()> {
    let (node, home) = (world.node(group.partner)?, world.node(group.home)?);
    progress::during("a port lost, any will do: it stays", || {
        groups::configure_as(node, group, "any")?;
        multipath::set_aside(world.lab.host()?, group, Side::A)?;
        home.set_link(Side::A.interface(), false)?;
        settled(world, group, 1)?;
        watched(world, &[group.home], Side::A, "0")?;
        world.must_run_on(group, group.home)
    })?;
    progress::during("a start there without that port", || {
        world.move_to(group, group.partner)?;
        let mark = world.mark()?;
        world.order_move(group, group.home)?;
        world.wait_login(mark, Side::B, group.port_in(Side::B)?, group.home)?;
        world.wait_runs_on(group, group.home)?;
        world.forget_move(group)?;
        settled(world, group, 1)
    })?;
    let mark = world.mark()?;
    progress::during("each counts: it goes where there is more", || {
        groups::configure_as(node, group, "each")?;
        world.wait_served(mark, group, group.partner)?;
        settled(world, group, SIDES.len())
    })?;
    progress::during("the port is back, and all go home", || {
        home.set_link(Side::A.interface(), true)?;
        world.wait_whole()?;
        watched(world, &[group.home], Side::A, "1")?;
        world.must_run_on(group, group.partner)?;
        all_home(world, group)?;
        settled(world, group, SIDES.len())
    })
}

/// Waits until the initiator has this many paths to each LUN, and I/O goes on.
fn settled(world: &World, group: &Group, paths: usize) -> Result<()> {
    let host = world.lab.host()?;
    multipath::wait_usable(host, group.disks().len() * paths)?;
    world.load.wait_flow()
}

fn at_home(world: &World, group: &Group) -> Result<()> {
    let mut all = world.groups.iter().chain([group]);
    all.try_for_each(|group| world.must_run_on(group, group.home))
}
