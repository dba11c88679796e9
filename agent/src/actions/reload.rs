//! reload-agent: parameters that are reloadable have changed in the CIB, and no other.

use understudy_core::verbs::reload as change;

use super::Call;
use crate::exit::{Code, Outcome};

pub fn reload(call: &Call) -> Outcome {
    let outcome =
        Outcome::of(change(&call.kernel, call.node(), &call.scope, call.budget));
    if outcome.code == Code::Success {
        call.log_done("changed");
    }
    outcome
}
