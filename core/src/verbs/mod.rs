//! The verbs: what understudy does with a group. They take it over, change it while it is
//! served, release it, and report its health, its status, and whether it could be taken
//! over.

mod account;
pub mod check;
mod drain;
mod expedited;
mod guests;
mod hang;
mod health;
mod here;
mod keep_out;
mod late;
mod listen;
mod logins;
mod multipath;
mod nftables;
pub mod plan;
mod queues;
mod release;
mod reload;
pub mod status;
mod takeover;

use crate::action::failure::Failure;
use crate::kernel::{Kernel, KernelError};
use crate::situation::found::Found;
use crate::situation::scope::Scope;

pub use guests::guests_of;
pub use health::{Health, Level, health};
pub use here::check_node;
pub use keep_out::keep_out;
pub use release::release;
pub use reload::reload;
pub use status::status;
pub use takeover::takeover;

/// Reads everything of a group on this node, for a verb that cannot go on without it.
fn look(kernel: &dyn Kernel, scope: &Scope) -> Result<Found, Failure> {
    scope.look(kernel).map_err(unseen)
}

/// Reads everything of a group on this node, except the LUNs mapped to each initiator.
fn survey(kernel: &dyn Kernel, scope: &Scope) -> Result<Found, Failure> {
    scope.survey(kernel).map_err(unseen)
}

fn unseen(error: KernelError) -> Failure {
    Failure::kernel("look at this node", &[error])
}

/// Returns several errors as one line, for a warning in the log.
pub(super) fn told(errors: &[KernelError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
