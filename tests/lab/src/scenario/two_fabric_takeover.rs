//! two-fabric-takeover: the node that serves a group in two fabrics loses its power. Its
//! partner serves both ports, each in its fabric, and both go home again.

use super::two_fabrics::{all_home, begin, wait_port};
use super::{Seen, World, under_load_on};
use crate::error::Result;
use crate::groups;
use crate::load::Pace;
use crate::plan::{SIDES, Side};
use crate::{multipath, progress};

/// Plays two-fabric-takeover.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::pair();
    let luns = begin(world, &group)?;
    let (host, home) = (world.lab.host()?, world.node(group.home)?);
    let paths = luns.len() * SIDES.len();
    under_load_on(world, &luns, Pace::Full, || {
        let mark = world.mark()?;
        world.cut_power(group.home)?;
        progress::during("its partner serves it in both fabrics", || {
            world.wait_served(mark, &group, group.partner)?;
            world.load.wait_flow()?;
            multipath::wait_usable(host, paths)
        })?;
        let step = progress::step(format!("{}: boots and joins again", group.home));
        world.wait_whole()?;
        wait_port(home, Side::B)?;
        step.done("");
        progress::during("given back in both fabrics", || {
            all_home(world, &group)?;
            world.load.wait_flow()?;
            multipath::wait_usable(host, paths)
        })?;
        Ok(vec![group.clone()])
    })
}
