//! Why a verb failed, in a shape from which a caller can choose what to do.

use std::fmt;
use std::path::PathBuf;

use crate::kernel::KernelError;

/// What a failure says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The configuration is wrong, and equally wrong on every node.
    Configuration,
    /// This node lacks something: a disk, a port, a module. Another node may have it.
    Node,
    /// The step went wrong this time.
    Failed,
}

/// A failure of a verb: the step, everything that went wrong in it, and what the operator
/// can do. It prints as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// See [`Kind`].
    pub kind: Kind,
    /// What was being done, as a short phrase.
    pub step: &'static str,
    /// At least one cause, the first being what an operator should read first.
    pub causes: Vec<String>,
    /// The file, directory or device of the first cause, where it has one.
    pub path: Option<PathBuf>,
    /// What the operator can do; empty where the causes say it.
    pub advice: String,
}

impl Failure {
    /// Returns a failure with one cause and no advice yet.
    pub fn new(kind: Kind, step: &'static str, cause: impl fmt::Display) -> Self {
        let causes = vec![cause.to_string()];
        Self { kind, step, causes, path: None, advice: String::new() }
    }

    /// Returns the failure of a step in which the kernel refused something.
    pub fn kernel(step: &'static str, errors: &[KernelError]) -> Self {
        let causes = errors.iter().map(KernelError::to_string).collect();
        let path = errors.first().map(|error| error.path.clone());
        Self { kind: Kind::Failed, step, causes, path, advice: String::new() }
    }

    /// Returns this failure with advice for the operator.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Returns this failure with a further cause.
    #[must_use]
    pub fn and(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }
}

/// How many causes are spelled out: an exit reason is a line that people read.
const TOLD: usize = 3;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step)?;
        for (i, cause) in self.causes.iter().take(TOLD).enumerate() {
            write!(f, "{}{cause}", if i == 0 { "" } else { "; " })?;
        }
        if self.causes.len() > TOLD {
            write!(f, "; and {} more", self.causes.len() - TOLD)?;
        }
        if !self.advice.is_empty() {
            write!(f, ". {}", self.advice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_as_one_line() {
        let failure =
            Failure::new(Kind::Node, "find disks", "no LUN 1").and("no LUN 2").and("3");
        let line = failure.and("4").advise("Check the cables").to_string();
        assert_eq!(
            line,
            "find disks: no LUN 1; no LUN 2; 3; and 1 more. Check the cables"
        );
    }
}
