//! What understudy does: take a group over, change it while it is served, release it, and
//! say how it is and whether it could be taken over, to the cluster or to people.

mod account;
pub mod check;
mod drain;
mod expedited;
mod guests;
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

/// Returns what there is of a group, for a verb that cannot go on without knowing.
fn look(kernel: &dyn Kernel, scope: &Scope) -> Result<Found, Failure> {
    scope.look(kernel).map_err(unseen)
}

/// Returns what there is of a group, without what each initiator may see.
fn survey(kernel: &dyn Kernel, scope: &Scope) -> Result<Found, Failure> {
    scope.survey(kernel).map_err(unseen)
}

fn unseen(error: KernelError) -> Failure {
    Failure::kernel("look at this node", &[error])
}

/// Returns errors that nothing fails for, in words.
pub(super) fn told(errors: &[KernelError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
