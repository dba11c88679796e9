//! A step of a plan: a plain value that can be printed, and is carried out as a whole.

use crate::action::budget::Budget;
use crate::kernel::{Chain, ChainResult, Done, Kernel, KernelError};

/// Chains that are worked on side by side, under a name that people know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the step does, as a short phrase.
    pub title: &'static str,
    /// See [`Kernel::run`].
    pub chains: Vec<Chain>,
}

impl Step {
    /// Returns a step.
    pub fn new(title: &'static str, chains: Vec<Chain>) -> Self {
        Self { title, chains }
    }

    /// Carries out the whole step: a chain that fails stops no other.
    pub fn run(&self, kernel: &dyn Kernel, budget: Budget) -> Vec<ChainResult> {
        let begun = kernel.now();
        let results = kernel.run(&self.chains, budget.end);
        let done = results.iter().flat_map(|result| &result.done);
        let changed = done.filter(|done| **done == Done::Changed).count();
        let took = kernel.now().saturating_sub(begun).as_millis();
        log::debug!("{}: {changed} changes in {took} ms", self.title);
        results
    }

    /// Carries out the whole step, and returns only its failures.
    ///
    /// # Errors
    /// Every operation that failed.
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
