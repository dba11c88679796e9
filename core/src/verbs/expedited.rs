//! Changes for which the kernel is asked to hurry.

use std::time::Duration;

use crate::budget::Budget;
use crate::kernel::{Kernel, Op};
use crate::scope::Scope;
use crate::step::Step;

use super::told;

/// For putting it back, even where no time is left for anything else.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Makes a change with RCU grace periods expedited, unless the group says otherwise. That
/// they cannot be is no failure: it only takes longer.
pub fn expedited<T>(
    kernel: &dyn Kernel,
    scope: &Scope,
    budget: Budget,
    change: impl FnOnce() -> T,
) -> T {
    if scope.group.as_ref().is_ok_and(|group| !group.expedite) {
        return change();
    }
    let switch = |title, op, budget| {
        if let Err(errors) = Step::new(title, vec![vec![op]]).apply(kernel, budget) {
            log::warn!("{title}: {}", told(&errors));
        }
    };
    switch("expedite grace periods", Op::Expedite, budget);
    let changed = change();
    let end = budget.end.max(kernel.now() + AT_LEAST);
    switch("end expedited grace periods", Op::Relax, Budget { end, ..budget });
    changed
}
