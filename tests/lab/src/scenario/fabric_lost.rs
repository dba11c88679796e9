//! fabric-lost: one of two fabrics is lost to everybody. Nothing moves, and I/O goes on in
//! the other one; the path returns with the fabric.

use super::two_fabrics::{begin, end, watched};
use super::{Seen, World, under_load_on};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::plan::{ARRAYS, SIDES, Side};
use crate::scenario::world::COMMAND;
use crate::{multipath, progress};

/// The scenario.
pub fn run(world: &World) -> Result<Seen> {
    let (group, luns) = begin(world)?;
    let host = world.lab.host()?;
    let paths = luns.len() * SIDES.len();
    let seen = under_load_on(world, &luns, |load| {
        let boots = boots(world)?;
        progress::during("fabric B lost to all: nothing moves", || {
            plug(world, Side::B, false)?;
            multipath::wait_usable(host, luns.len())?;
            watched(world, ARRAYS, Side::B, "0")?;
            load.wait_flow(host)?;
            stays(world, &group)
        })?;
        progress::during("fabric B back: so is the path", || {
            plug(world, Side::B, true)?;
            multipath::wait_usable(host, paths)?;
            watched(world, ARRAYS, Side::B, "1")?;
            load.wait_flow(host)?;
            stays(world, &group)
        })?;
        if self::boots(world)? != boots {
            return Err(Error::other("a node was fenced"));
        }
        Ok(vec![group.clone()])
    })?;
    end(world, &group)?;
    Ok(seen)
}

/// Plugs or pulls everybody's cable.
fn plug(world: &World, side: Side, up: bool) -> Result<()> {
    world.lab.everywhere(|guest| guest.set_link(side.interface(), up))
}

/// As the cluster has it: in a fabric that is lost no port is logged in.
fn stays(world: &World, group: &Group) -> Result<()> {
    for group in world.groups.iter().chain([group]) {
        let found = format!("resource {} is running on: {}", group.name, group.home);
        let script = format!("crm_resource -r {} -W | grep '^{found}'", group.name);
        world.any_node()?.run(&script, COMMAND)?;
    }
    Ok(())
}

fn boots(world: &World) -> Result<[u32; 2]> {
    let [a, b] = ARRAYS;
    Ok([world.node(a)?.boots(), world.node(b)?.boots()])
}
