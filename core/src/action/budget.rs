//! The time that an action has, handed out to its phases.

use std::time::Duration;

use crate::kernel::{Instant, Kernel};

/// From a start to an end on the kernel door's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// When the action began.
    pub start: Instant,
    /// When it must have answered.
    pub end: Instant,
}

impl Budget {
    /// Returns a budget of this length, from now.
    pub fn new(kernel: &dyn Kernel, length: Duration) -> Self {
        let start = kernel.now();
        Self { start, end: start + length }
    }

    /// Returns the first part of the budget, in percent; the rest stays for what must
    /// follow.
    #[must_use]
    pub fn first(self, percent: u32) -> Self {
        Self {
            start: self.start,
            end: self.start + self.length() * percent.min(100) / 100,
        }
    }

    /// Returns a part of what is left, for the first of so many that share it.
    #[must_use]
    pub fn share(self, kernel: &dyn Kernel, among: usize) -> Self {
        let start = kernel.now();
        let among = u32::try_from(among.max(1)).unwrap_or(u32::MAX);
        Self { start, end: start + self.end.saturating_sub(start) / among }
    }

    /// Returns how long the budget is as a whole.
    pub fn length(self) -> Duration {
        self.end.saturating_sub(self.start)
    }

    /// Returns how much of the budget has passed.
    pub fn spent(self, kernel: &dyn Kernel) -> Duration {
        kernel.now().saturating_sub(self.start)
    }

    /// Returns whether the budget is over.
    pub fn is_over(self, kernel: &dyn Kernel) -> bool {
        kernel.now() >= self.end
    }
}
