//! start: returns when the port is Active with every LUN behind it.

use understudy_core::verbs::takeover;

use super::Call;
use crate::exit::{Code, Outcome};

pub fn start(call: &Call) -> Outcome {
    let outcome =
        Outcome::of(takeover(&call.kernel, call.node(), &call.scope, call.budget));
    if outcome.code == Code::Success {
        call.log_done("taken over");
    }
    outcome
}
