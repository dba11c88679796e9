//! reload-agent: parameters that are reloadable have changed in the CIB, and no other.

use understudy_core::numbers::KEEP;
use understudy_core::verbs::reload as change;

use super::Call;
use super::numbers::Change;
use crate::exit::{Code, Outcome};

pub fn reload(call: &Call) -> Outcome {
    match call.change(change, "changed") {
        // Nothing has changed, and what is served is well. After any other answer than this
        // Pacemaker would stop the group.
        Err(failure) if failure.step == KEEP => {
            Outcome { code: Code::Degraded, reason: Some(failure.to_string()) }
        }
        answer => Outcome::of(answer.map(|()| remember(call))),
    }
}

/// Has the cluster remember the numbers, which have changed already while each kept its
/// disk. If that fails, the next start compares with the numbers from before.
fn remember(call: &Call) {
    match Change::of(call) {
        Ok(change) => change.iter().for_each(|its| its.remember(&call.scope.name)),
        Err(failure) => log::warn!("{failure}"),
    }
}
