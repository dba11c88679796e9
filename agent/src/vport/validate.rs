//! validate-all: at level 0 the parameters alone, the same answer on every node and to
//! every user; at level 10 also whether this node has what they name.

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::Group;
use understudy_core::kernel::late::Purpose;
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::check_node;

use super::Call;
use super::start::not_cloned;
use crate::cluster::{self, Configuration};
use crate::environment::Environment;
use crate::exit::Outcome;

/// Returns whether a look at the node is asked for, beyond the parameters.
pub fn looks_at_the_node(environment: &Environment) -> bool {
    environment.check_level >= 10
}

pub fn validate(environment: &Environment) -> Outcome {
    if looks_at_the_node(environment) {
        let call = Call::new(environment, Purpose::Looks);
        if let Err(failure) = not_cloned(environment.is_cloned) {
            return Outcome::of(Err(failure));
        }
        let here = check_node(call.kernel(), &call.scope, call.budget);
        let configuration = Configuration::read(call.node());
        let here = here.or_else(|failure| {
            let scope =
                still_to_come(&call, configuration.as_ref().ok()).ok_or(failure)?;
            check_node(call.kernel(), &scope, call.budget)
        });
        return Outcome::of(here.and_then(|()| alone(&call, configuration)));
    }
    let group = Group::parse(&environment.instance, |name| environment.param(name));
    Outcome::of(
        group.map(drop).map_err(|error| {
            Failure::new(Kind::Configuration, "read the parameters", error)
        }),
    )
}

/// Returns what there is to look for with the resource of the cluster that is still to make
/// the group's disks, if there is one.
fn still_to_come(call: &Call, configuration: Option<&Configuration>) -> Option<Scope> {
    let configuration = configuration?;
    let configured = configuration.group(&call.environment.instance).ok()?;
    let view = cluster::view().ok();
    let scope = configuration
        .scope(call.kernel(), configured, call.node(), || view.as_ref())
        .ok()?;
    let maker = Some(scope.maker?);
    Some(Scope { maker, ..call.scope.clone() })
}

/// Returns an error where another group of the cluster has a name or a disk of this one.
/// Where no cluster runs there is nobody to compare with.
fn alone(
    call: &Call,
    configuration: Result<Configuration, Failure>,
) -> Result<(), Failure> {
    let Ok(group) = &call.scope.group else { return Ok(()) };
    let shared = match configuration {
        Ok(configuration) => configuration.shared(call.kernel(), group),
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
