//! start: returns when the port is Active with every LUN behind it.

use understudy_core::verbs::takeover;

use super::Call;
use crate::exit::Outcome;

pub fn start(call: &Call) -> Outcome {
    Outcome::of(call.change(takeover, "taken over"))
}
