//! Changes made while RCU grace periods are expedited.

use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::step::Step;
use crate::kernel::{Kernel, Op};
use crate::situation::scope::Scope;

use super::told;

/// How long turning the switch may take, because other understudy processes may be
/// turning it. Restoring it always has this long, even if the action's time is over.
const TIME: Duration = Duration::from_secs(1);

/// Makes a change with RCU grace periods expedited, unless the group's configuration
/// forbids that. If expediting fails, the change is made anyway and takes longer.
pub(crate) fn expedited<T>(
    kernel: &dyn Kernel,
    scope: &Scope,
    budget: Budget,
    change: impl FnOnce() -> T,
) -> T {
    if scope.group.as_ref().is_ok_and(|group| !group.expedite) {
        return change();
    }
    let switch = |title, op, end| {
        let step = Step::new(title, vec![vec![op]]);
        if let Err(errors) = step.apply(kernel, Budget { end, ..budget }) {
            log::warn!("{title}: {}", told(&errors));
        }
    };
    let end = budget.end.min(kernel.now() + TIME);
    switch("expedite grace periods", Op::Expedite, end);
    let changed = change();
    switch("end expedited grace periods", Op::Relax, kernel.now() + TIME);
    changed
}
