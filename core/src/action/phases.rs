//! Where the time of an action went.

use std::fmt;
use std::time::Duration;

use crate::kernel::{Instant, Kernel};

/// A stopwatch, read at the end of each phase. Phases follow one another without a gap:
/// they add up to the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phases {
    begun: Instant,
    ends: Vec<(&'static str, Instant)>,
}

impl Phases {
    /// Returns phases whose first one began at `begun`.
    pub fn since(begun: Instant) -> Self {
        Self { begun, ends: Vec::new() }
    }

    /// Ends a phase; the next one begins.
    pub fn end(&mut self, kernel: &dyn Kernel, name: &'static str) {
        self.ends.push((name, kernel.now()));
    }

    /// Returns each phase and how long it took, in order.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, Duration)> + '_ {
        let begins = std::iter::once(self.begun).chain(self.ends.iter().map(|e| e.1));
        let phase =
            |((name, end), begin): (&(_, Instant), _)| (*name, end.saturating_sub(begin));
        self.ends.iter().zip(begins).map(phase)
    }

    /// Returns how long the phases took together.
    pub fn total(&self) -> Duration {
        self.each().map(|(_, took)| took).sum()
    }

    /// Returns a table with a row for each phase: its name, milliseconds, percent of the
    /// whole.
    pub fn table(&self) -> String {
        let total = self.total().as_secs_f64().max(f64::MIN_POSITIVE);
        let mut table = format!("{:<10} {:>8} {:>5}\n", "phase", "ms", "%");
        for (name, took) in self.each() {
            let (ms, percent) = (took.as_millis(), took.as_secs_f64() / total * 100.0);
            table += &format!("{name:<10} {ms:>8} {percent:>5.1}\n");
        }
        table
    }
}

/// `589 ms: look 40, own 12, ...`
impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.total().as_millis())?;
        for (i, (name, took)) in self.each().enumerate() {
            let before = if i == 0 { ": " } else { ", " };
            write!(f, "{before}{name} {}", took.as_millis())?;
        }
        Ok(())
    }
}
