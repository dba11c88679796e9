//! qlogic-moves: ten commanded moves under load.

use super::super::moves::there_and_back;
use super::super::{Seen, World, under_load_on};
use super::{begin, end};
use crate::error::Result;
use crate::load::Pace;
use crate::{groups, progress};

/// Plays qlogic-moves.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, std::slice::from_ref(&group))?;
    let seen = under_load_on(world, &luns, Pace::Full, || {
        for round in 1..=5 {
            let step = progress::step(format!("move {round}: to the partner and home"));
            there_and_back(world, &group)?;
            step.done("");
        }
        Ok(vec![group.clone()])
    })?;
    end(world, std::slice::from_ref(&group))?;
    Ok(seen)
}
