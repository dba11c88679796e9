//! reload-agent: parameters that are reloadable have changed in the CIB, and no other.

use understudy_core::verbs::reload as change;

use super::Call;
use crate::exit::Outcome;

pub fn reload(call: &Call) -> Outcome {
    Outcome::of(call.change(change, "changed"))
}
