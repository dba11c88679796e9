//! qlogic-power-cut: the node whose HBA serves a group loses its power.

use super::super::{Seen, World, two_fabrics, under_load_on};
use super::{begin, end, wait_port};
use crate::error::Result;
use crate::load::Pace;
use crate::{groups, progress};

/// Plays qlogic-power-cut.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, std::slice::from_ref(&group))?;
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
    end(world, std::slice::from_ref(&group))?;
    Ok(seen)
}
