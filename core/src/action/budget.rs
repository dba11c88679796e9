//! The time that an action has, and how it is divided among the action's phases.

use std::time::Duration;

use crate::kernel::{Instant, Kernel};

/// The time that an action, or a part of one, may take: from a start to an end, on the
/// kernel door's clock ([`Kernel::now`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// When the time began.
    pub start: Instant,
    /// When the work must be over.
    pub end: Instant,
}

impl Budget {
    /// Returns a budget that begins now and lasts for `length`.
    pub fn new(kernel: &dyn Kernel, length: Duration) -> Self {
        let start = kernel.now();
        Self { start, end: start + length }
    }

    /// Returns a budget that ends earlier: after this many percent of the length. The
    /// caller keeps the rest for work that has to follow.
    #[must_use]
    pub(crate) fn first(self, percent: u32) -> Self {
        Self {
            start: self.start,
            end: self.start + self.length() * percent.min(100) / 100,
        }
    }

    /// Returns a budget for the next of `among` pieces of work that share the remaining
    /// time equally.
    #[must_use]
    pub fn share(self, kernel: &dyn Kernel, among: usize) -> Self {
        let start = kernel.now();
        let among = u32::try_from(among.max(1)).unwrap_or(u32::MAX);
        Self { start, end: start + self.end.saturating_sub(start) / among }
    }

    /// Returns the time from the start to the end, no matter how much of it has passed.
    pub fn length(self) -> Duration {
        self.end.saturating_sub(self.start)
    }

    /// Returns the time that has passed since the start.
    pub(crate) fn spent(self, kernel: &dyn Kernel) -> Duration {
        kernel.now().saturating_sub(self.start)
    }

    /// Returns whether the end has come.
    pub(crate) fn is_over(self, kernel: &dyn Kernel) -> bool {
        kernel.now() >= self.end
    }
}
