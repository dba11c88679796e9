//! Commanded moves.

use super::{Seen, World, under_load};
use crate::error::Result;
use crate::progress;

/// move-and-giveback: three rounds there and back.
pub fn three_rounds(world: &World) -> Result<Seen> {
    rounds(world, 3)
}

/// Ten rounds: twenty moves in a row.
pub fn twenty(world: &World) -> Result<Seen> {
    rounds(world, 10)
}

fn rounds(world: &World, rounds: u32) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, |load| {
        for round in 1..=rounds {
            let step = progress::step(format!("move {round}: to the partner and home"));
            for node in [group.partner, group.home] {
                world.move_to(group, node)?;
                load.wait_flow(world.lab.host()?)?;
            }
            step.done("");
        }
        Ok(vec![group.clone()])
    })
}
