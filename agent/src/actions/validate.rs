//! validate-all: at level 0 the parameters alone, the same answer on every node and to
//! every user; at level 10 also whether this node has what they name.

use understudy_core::failure::{Failure, Kind};
use understudy_core::verbs::check_node;

use super::Call;
use crate::exit::Outcome;

pub fn validate(call: &Call) -> Outcome {
    if call.environment.check_level >= 10 {
        return Outcome::of(check_node(&call.kernel, &call.scope, call.budget));
    }
    let parameters = call.scope.group.as_ref().map(|_| ());
    Outcome::of(
        parameters.map_err(|error| {
            Failure::new(Kind::Configuration, "read the parameters", error)
        }),
    )
}
