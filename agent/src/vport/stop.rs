//! stop: succeeds only when nothing is left. Any other answer has this node fenced, which
//! is then right.

use understudy_core::verbs::release;

use super::Call;
use crate::exit::{Code, Outcome};

pub fn stop(call: &Call) -> Outcome {
    match call.change(release, "released") {
        Ok(()) => Outcome::plain(Code::Success),
        Err(failure) => Outcome::failed(failure.to_string()),
    }
}
