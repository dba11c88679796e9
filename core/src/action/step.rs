//! Steps of a plan. A step is a plain value: it can be printed, and it is carried out as
//! a whole.

use crate::action::budget::Budget;
use crate::kernel::{Chain, ChainResult, Done, Kernel, KernelError};

/// Chains of operations that run side by side, under a title for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the step does, as a short phrase for people.
    pub title: &'static str,
    /// The chains, as [`Kernel::run`] takes them.
    pub chains: Vec<Chain>,
}

impl Step {
    /// Returns a step with this title and these chains.
    pub fn new(title: &'static str, chains: Vec<Chain>) -> Self {
        Self { title, chains }
    }

    /// Carries out the step and returns one result for each chain. A chain that fails
    /// does not stop the others.
    pub(crate) fn run(&self, kernel: &dyn Kernel, budget: Budget) -> Vec<ChainResult> {
        let begun = kernel.now();
        let results = kernel.run(&self.chains, budget.end);
        let done = results.iter().flat_map(|result| &result.done);
        let changed = done.filter(|done| **done == Done::Changed).count();
        let took = kernel.now().saturating_sub(begun).as_millis();
        log::debug!("{}: {changed} changes in {took} ms", self.title);
        results
    }

    /// Carries out the step, and only checks that no operation failed.
    pub fn apply(
        &self,
        kernel: &dyn Kernel,
        budget: Budget,
    ) -> Result<(), Vec<KernelError>> {
        let results = self.run(kernel, budget);
        let errors: Vec<_> = results.into_iter().filter_map(|r| r.failed).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
