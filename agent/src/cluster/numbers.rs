//! What the cluster remembers of groups' LUN numbers: a property of its configuration for
//! each group, so that it outlives every node.

use understudy_core::failure::Failure;
use understudy_core::numbers::Numbers;

use super::ask;

const STEP: &str = "remember the LUN numbers";

/// The property of a group.
fn property(group: &str) -> String {
    format!("understudy-luns-{group}")
}

/// Returns what the cluster remembers of a group; nothing where that is nothing, makes no
/// sense, or no cluster runs.
pub fn numbers_of(group: &str) -> Option<Numbers> {
    let name = property(group);
    let query = ["-t", "crm_config", "-n", &name, "-Q", "-q"];
    ask(STEP, "crm_attribute", &query).ok()?.parse().ok()
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
