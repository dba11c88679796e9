//! A group that cannot leave its node alone: it has the names of a physical port, and
//! other groups' ports hang from that port. If it were commanded away, its stop would
//! fail and its node would be fenced.

use understudy_core::kernel::Kernel;
use understudy_core::verbs::guests_of;

use crate::cluster::{self, Configured};

/// Returns why a group cannot be moved away from a node, or nothing if it can. This node
/// is asked itself; another node reports it with the group's monitor.
pub fn tied(
    kernel: &dyn Kernel,
    this: &str,
    configured: &Configured,
    on: &str,
) -> Option<String> {
    let id = &configured.id;
    let guests = if on == this {
        let scope = match configured.scope(kernel) {
            Ok(scope) => scope,
            Err(failure) => return Some(failure.to_string()),
        };
        match guests_of(kernel, &scope) {
            Ok(guests) => guests.unwrap_or_default().join(", "),
            Err(error) => return Some(error.to_string()),
        }
    } else {
        cluster::guests_of(id, on).unwrap_or_default()
    };
    let why =
        format!("on {on} {id} is served by a physical port that carries {guests} too");
    (!guests.is_empty()).then_some(why)
}
