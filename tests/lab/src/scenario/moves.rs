//! Commanded moves.

use super::{Seen, World, under_load};
use crate::error::Result;
use crate::groups::Group;
use crate::load::Pace;
use crate::progress;

/// move-and-giveback: three rounds there and back.
pub fn three_rounds(world: &World) -> Result<Seen> {
    rounds(world, Pace::Full, 3)
}

/// twenty-moves: ten rounds there and back.
pub fn twenty(world: &World) -> Result<Seen> {
    rounds(world, Pace::Bursts, 10)
}

fn rounds(world: &World, pace: Pace, rounds: u32) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, pace, || {
        for round in 1..=rounds {
            let step = progress::step(format!("move {round}: to the partner and home"));
            there_and_back(world, group)?;
            step.done("");
        }
        Ok(vec![group.clone()])
    })
}

/// Moves a group to its partner and home again. Returns the groups that moved.
pub fn there_and_back(world: &World, group: &Group) -> Result<Vec<Group>> {
    for node in [group.partner, group.home] {
        world.go_to(group, node)?;
        world.load.wait_flow()?;
    }
    world.load.in_bursts(|| world.forget_move(group))?;
    Ok(vec![group.clone()])
}
