//! qlogic-reservations-survive: what reservations-survive shows for software FCoE, on a
//! group that the HBAs serve.

use super::super::reservations::{more_initiators, survive};
use super::super::{Seen, World};
use super::{begin, end, on_nodes, set_zones, wait_port};
use crate::error::Result;
use crate::fabric::wwn;
use crate::groups;
use crate::plan::Hba;

/// Plays qlogic-reservations-survive.
pub fn run(world: &World) -> Result<Seen> {
    let groups = [groups::on_qlogic_with_state()];
    let [group] = &groups;
    begin(world, &groups)?;
    let more = more_initiators(Hba::SIDE);
    let more = more.iter().map(|name| wwn(name)).collect::<Result<Vec<_>>>()?;
    set_zones(world, &groups, &more)?;
    survive(world, group, || on_nodes(world, wait_port))?;
    end(world, &groups)?;
    Ok(Seen::default())
}
