//! Every fault of the soak.

use super::{
    World, agent_killed, fabric_link, flushes, heartbeat_cut, moves, path_lost,
    power_cut, qlogic, stop_cannot_drain,
};
use crate::error::Result;
use crate::groups::Group;

/// Something that is done to a group under load.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The name in reports and on the command line.
    pub name: &'static str,
    /// The group that it is done to.
    pub on: On,
    /// Does it, and makes the lab whole again. Returns the groups that moved.
    pub strike: fn(&World, &Group) -> Result<Vec<Group>>,
}

/// Which group a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Either group that is always there. Both are on software FCoE.
    Software,
    /// The group that QLogic HBAs serve.
    Hba,
}

/// Every fault.
pub const FAULTS: [Fault; 16] = [
    software("commanded-move", moves::there_and_back),
    software("power-cut", power_cut::strike),
    software("heartbeat-cut", |world, _| heartbeat_cut::strike(world)),
    software("start-killed", agent_killed::in_a_start),
    software("stop-killed", agent_killed::in_a_stop),
    software("disk-hang", stop_cannot_drain::strike),
    software("flush-move", flushes::strike),
    software("path-cut", path_lost::cut),
    software("paths-gone", path_lost::gone),
    software("link-cut", fabric_link::cut),
    software("link-flap", fabric_link::flap),
    hba("qlogic-move", moves::there_and_back),
    hba("qlogic-power-cut", qlogic::power_cut::strike),
    hba("qlogic-chip-reset", qlogic::chip_reset::strike),
    hba("qlogic-link-cut", qlogic::link_cut::strike_cut),
    hba("qlogic-link-flap", qlogic::link_cut::strike_flap),
];

type Strike = fn(&World, &Group) -> Result<Vec<Group>>;

const fn software(name: &'static str, strike: Strike) -> Fault {
    Fault { name, on: On::Software, strike }
}

const fn hba(name: &'static str, strike: Strike) -> Fault {
    Fault { name, on: On::Hba, strike }
}
