//! validate-all: at level 0 the parameters alone, the same answer on every node and to
//! every user; at level 10 also whether this node has what they name.

use understudy_core::failure::{Failure, Kind};
use understudy_core::group::Group;
use understudy_core::verbs::check_node;

use super::Call;
use super::start::not_cloned;
use crate::cluster::Configuration;
use crate::environment::Environment;
use crate::exit::Outcome;

/// Whether more than the parameters is asked for.
pub fn looks_at_the_node(environment: &Environment) -> bool {
    environment.check_level >= 10
}

pub fn validate(environment: &Environment) -> Outcome {
    if looks_at_the_node(environment) {
        let call = Call::new(environment);
        let here = not_cloned(environment.is_cloned)
            .and_then(|()| check_node(&call.kernel, &call.scope, call.budget));
        return Outcome::of(here.and_then(|()| alone(&call)));
    }
    let group = Group::parse(&environment.instance, |name| environment.param(name));
    Outcome::of(
        group.map(drop).map_err(|error| {
            Failure::new(Kind::Configuration, "read the parameters", error)
        }),
    )
}

/// Returns an error where another group of the cluster has a name or a disk of this one.
/// Where no cluster runs there is nobody to compare with.
fn alone(call: &Call) -> Result<(), Failure> {
    let Ok(group) = &call.scope.group else { return Ok(()) };
    let shared = match Configuration::read(call.node()) {
        Ok(configuration) => configuration.shared(&call.kernel, group),
        Err(failure) => {
            log::info!("not compared with other groups: {failure}");
            return Ok(());
        }
    };
    let Some((first, further)) = shared.split_first() else { return Ok(()) };
    let failure = Failure::new(Kind::Configuration, "compare with other groups", first)
        .advise("Give each group names and disks of its own");
    Err(further.iter().fold(failure, Failure::and))
}
