//! two-fabric-takeover: the node that serves a group in two fabrics loses its power. Its
//! partner serves both ports, each in its fabric, and both go home again.

use super::two_fabrics::{begin, end, watched};
use super::{Seen, World, under_load_on};
use crate::error::Result;
use crate::plan::{SIDES, Side};
use crate::{multipath, progress};

/// The scenario.
pub fn run(world: &World) -> Result<Seen> {
    let (group, luns) = begin(world)?;
    let host = world.lab.host()?;
    let paths = luns.len() * SIDES.len();
    let seen = under_load_on(world, &luns, |load| {
        let (mark, boots) = (world.mark()?, world.node(group.home)?.boots());
        let step = progress::step(format!("{}: power cut, fenced", group.home));
        world.node(group.home)?.power_off();
        world.wait_fenced(group.home, boots)?;
        step.done("");
        progress::during("its partner serves it in both fabrics", || {
            world.wait_served(mark, &group, group.partner)?;
            load.wait_flow(host)?;
            multipath::wait_usable(host, paths)
        })?;
        let step = progress::step(format!("{}: boots and joins again", group.home));
        world.wait_whole()?;
        watched(world, [group.home], Side::B, "1")?;
        step.done("");
        progress::during("given back in both fabrics", || {
            world.giveback()?;
            world.move_to(&group, group.home)?;
            load.wait_flow(host)?;
            multipath::wait_usable(host, paths)
        })?;
        Ok(vec![group.clone()])
    })?;
    end(world, &group)?;
    Ok(seen)
}
