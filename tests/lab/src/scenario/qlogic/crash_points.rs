//! qlogic-crash-points: what crash-points shows for software FCoE, on an HBA. A port that
//! was served there is kept until the next boot. So the starts are of two kinds: those of a
//! name that is new to the HBA, and those of a name whose port is kept.

use super::super::crash_points::kill_every;
use super::super::stranger::Stranger;
use super::super::{Seen, World};
use super::{end, set_zones, use_hbas};
use crate::error::{Error, Result};
use crate::{groups, progress};

/// The distance between the points that are tried: every fourth is. A start or a stop on an
/// HBA has fewer operations, because port and target stay.
const SAMPLE: usize = 4;
/// The number of the name that is served again and again.
const KEPT: u32 = 0xff;

/// Plays qlogic-crash-points. The ports see nobody. The stop comes before the start of a
/// kept port, so that there is such a port.
pub fn run(world: &World) -> Result<Seen> {
    let like = groups::on_qlogic();
    set_zones(world, &[], &[])?;
    use_hbas(world)?;
    let node = world.node(like.partner)?;
    let kill = |what, action, stranger: fn(u32) -> Stranger| {
        let step = progress::step(format!("{what} killed: stop is clean, start serves"));
        let points = kill_every(SAMPLE, node, &like, action, stranger)?;
        step.done(&format!("{points} points"));
        Ok::<_, Error>(())
    };
    kill("start of a new port", "start", Stranger::on_hba)?;
    kill("stop", "stop", |_| Stranger::on_hba(KEPT))?;
    kill("start of a kept port", "start", |_| Stranger::on_hba(KEPT))?;
    end(world, &[])?;
    Ok(Seen::default())
}
