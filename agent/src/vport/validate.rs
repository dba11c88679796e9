//! validate-all: at level 0 the parameters alone, the same answer on every node and to
//! every user; at level 10 also whether this node has what they name.

use understudy_core::failure::{Failure, Kind};
use understudy_core::group::Group;
use understudy_core::verbs::check_node;

use super::Call;
use crate::environment::Environment;
use crate::exit::Outcome;

/// Whether more than the parameters is asked for.
pub fn looks_at_the_node(environment: &Environment) -> bool {
    environment.check_level >= 10
}

pub fn validate(environment: &Environment) -> Outcome {
    if looks_at_the_node(environment) {
        let call = Call::new(environment);
        return Outcome::of(check_node(&call.kernel, &call.scope, call.budget));
    }
    let group = Group::parse(&environment.instance, |name| environment.param(name));
    Outcome::of(
        group.map(drop).map_err(|error| {
            Failure::new(Kind::Configuration, "read the parameters", error)
        }),
    )
}
