//! How long each phase of an action took.

use std::fmt;
use std::time::Duration;

use crate::kernel::{Instant, Kernel};

/// A stopwatch that is read at the end of each phase of an action. A phase begins where
/// the one before it ends, so together the phases are the whole action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phases {
    begun: Instant,
    ends: Vec<(&'static str, Instant)>,
}

impl Phases {
    /// Returns a stopwatch that was started at `begun`, and has no phase yet.
    pub fn since(begun: Instant) -> Self {
        Self { begun, ends: Vec::new() }
    }

    /// Ends the current phase, under this name. The next phase begins.
    pub fn end(&mut self, kernel: &dyn Kernel, name: &'static str) {
        self.ends.push((name, kernel.now()));
    }

    /// Returns the name and the length of each phase, in order.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, Duration)> + '_ {
        let begins = std::iter::once(self.begun).chain(self.ends.iter().map(|e| e.1));
        let phase =
            |((name, end), begin): (&(_, Instant), _)| (*name, end.saturating_sub(begin));
        self.ends.iter().zip(begins).map(phase)
    }

    /// Returns the length of all phases together.
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

/// Prints the phases on one line: `589 ms: look 40, own 12, ...`
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
