//! Actions: their steps, the time that they have and where it went, and how they report a
//! failure.

pub mod budget;
pub mod failure;
pub mod phases;
pub mod step;

use budget::Budget;
use phases::Phases;

use crate::kernel::Kernel;

/// What a verb is given: the node that it acts on, and how long it may take.
pub struct Action<'a> {
    /// The way to the node's kernel.
    pub kernel: &'a dyn Kernel,
    /// The node's name in the cluster. The node's reservation keys are made of it.
    pub node: &'a str,
    /// The time that the action has.
    pub budget: Budget,
    /// Where the time has gone so far.
    pub phases: Phases,
}

impl<'a> Action<'a> {
    /// Returns an action that begins with its budget.
    pub fn new(kernel: &'a dyn Kernel, node: &'a str, budget: Budget) -> Self {
        Self { kernel, node, budget, phases: Phases::since(budget.start) }
    }

    /// Ends a phase; the next one begins.
    pub fn end(&mut self, phase: &'static str) {
        self.phases.end(self.kernel, phase);
    }

    /// Does a part of the action within a budget of its own.
    pub fn within<T>(&mut self, budget: Budget, part: impl FnOnce(&mut Self) -> T) -> T {
        let whole = std::mem::replace(&mut self.budget, budget);
        let done = part(self);
        self.budget = whole;
        done
    }
}
