//! qlogic-two-groups: one HBA serves two groups. One of them moves away and comes back,
//! several times, while the other is written to. The other one must not notice: the two
//! share the HBA's firmware, and the driver's queues and threads.

use std::time::Duration;

use super::super::{Seen, World, under_load_on};
use super::{begin, end};
use crate::error::{Error, Result};
use crate::load::Pace;
use crate::{groups, progress, speed};

/// How often the group goes away and comes back.
const ROUNDS: u32 = 3;
/// How long the other group's requests may pause. A command that is lost waits for the
/// initiator's timeout, which is 30 s.
const SMALL: Duration = Duration::from_secs(5);

/// Plays qlogic-two-groups.
pub fn run(world: &World) -> Result<Seen> {
    let (stays, moves) = (groups::on_qlogic(), groups::on_qlogic_too());
    let both = [stays.clone(), moves.clone()];
    let luns = begin(world, &both)?;
    let (loaded, probed): (Vec<_>, Vec<_>) =
        luns.into_iter().partition(|lun| lun.group == stays.name);
    progress::during("one HBA serves both", || {
        world.go_to(&moves, stays.home)?;
        world.must_be_on(&stays, stays.home)
    })?;
    let boots = world.boots()?;
    let seen = under_load_on(world, &loaded, Pace::Full, || {
        for round in 1..=ROUNDS {
            let step = progress::step(format!("move {round}: one away and back"));
            for node in [moves.home, moves.partner] {
                world.go_to(&moves, node)?;
                world.load.probe(&probed, 0)?;
                world.load.wait_flow()?;
                world.must_be_on(&stays, stays.home)?;
            }
            step.done("");
        }
        world.load.in_bursts(|| world.forget_move(&moves))?;
        Ok(vec![stays.clone()])
    })?;
    if world.boots()? != boots {
        return Err(Error::other("a node was fenced"));
    }
    let (pause, limit) = (seen.pause.unwrap_or_default(), speed::stretch(SMALL));
    if pause > limit.as_secs_f64() {
        let error = format!("{} paused for {pause:.1} s", stays.name);
        return Err(Error::other(error));
    }
    end(world, &both)?;
    Ok(seen)
}
