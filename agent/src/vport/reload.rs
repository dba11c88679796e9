//! reload-agent: parameters that are reloadable have changed in the CIB, and no other.

use understudy_core::action::failure::Kind;
use understudy_core::verbs::reload as change;

use super::Call;
use super::numbers::remember;
use crate::exit::{Code, Outcome};

pub fn reload(call: &Call) -> Outcome {
    match call.change(change, "changed") {
        // Nothing has changed, and what is served is well. After any other answer than this
        // Pacemaker would stop the group.
        Err(failure) if failure.kind == Kind::Refused => {
            Outcome { code: Code::Degraded, reason: Some(failure.to_string()) }
        }
        answer => Outcome::of(answer.map(|()| remember(call))),
    }
}
