//! What the cluster remembers of groups' LUN numbers: a property of its configuration for
//! each group, so that it outlives every node.

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::lio::numbers::Numbers;
use understudy_core::text::quoted;

use super::{ask, ask_if_any};

const STEP: &str = "remember the LUN numbers";

/// Returns the name of a group's property.
fn property(group: &str) -> String {
    format!("understudy-luns-{group}")
}

/// Returns what the cluster remembers of a group; nothing where that is nothing, or where no
/// cluster runs.
///
/// # Errors
/// The cluster does not say, or says what makes no sense: that is not taken for nothing.
pub fn numbers_of(group: &str) -> Result<Option<Numbers>, Failure> {
    let name = property(group);
    let query = ["-t", "crm_config", "-n", &name, "-Q", "-q"];
    let Some(text) = ask_if_any(STEP, "crm_attribute", &query)? else { return Ok(None) };
    let senseless = |part: String| {
        let cause = format!("{name} has {}, which makes no sense", quoted(&part));
        Failure::new(Kind::Failed, STEP, cause)
            .advise(format!("Where its disks are right: understudy accept {group}"))
    };
    text.parse().map(Some).map_err(senseless)
}

/// Has the cluster remember a group's LUN numbers.
///
/// # Errors
/// See [`ask`].
pub fn remember_numbers(group: &str, numbers: &Numbers) -> Result<(), Failure> {
    let (name, value) = (property(group), numbers.to_string());
    let update = ["-t", "crm_config", "-n", &name, "-v", &value];
    ask(STEP, "crm_attribute", &update).map(drop)
}
