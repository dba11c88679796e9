//! Failures of verbs: what went wrong, and what the caller and the operator can do about
//! it.

use std::fmt;
use std::path::PathBuf;

use crate::kernel::KernelError;

/// The kind of a failure, from which a caller sees whether to try again, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The configuration is wrong, and equally wrong on every node.
    Configuration,
    /// This node lacks something: a disk, a port, a module. Another node may have it.
    Node,
    /// Something went wrong this time. Another attempt, or another node, may succeed.
    Failed,
    /// A change was refused before anything was done. What ran before goes on.
    Refused,
}

/// Something that is missing now, and may come by itself. A caller can wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// A disk of the group is not on this node.
    Disk,
    /// No physical port of this node can carry one of the group's ports.
    Port,
}

/// A cause of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The kernel refused something.
    Kernel(KernelError),
    /// The kernel refused something about a disk or a port. The text names the disk or
    /// port.
    About(String, KernelError),
    /// Any other cause, as a text for people.
    Words(String),
}

impl Why {
    /// Returns the kernel's error; `None` for a cause that is only a text.
    pub fn error(&self) -> Option<&KernelError> {
        match self {
            Self::Kernel(error) | Self::About(_, error) => Some(error),
            Self::Words(_) => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => error.fmt(f),
            Self::About(what, error) => write!(f, "{what}: {error}"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

impl From<KernelError> for Why {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

impl From<String> for Why {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

/// A failure of a verb: the step that failed, everything that went wrong in it, and
/// advice for the operator. It prints as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Whether another attempt, or another node, may succeed.
    pub kind: Kind,
    /// The step that failed, as a short phrase for people.
    pub step: &'static str,
    /// The causes: at least one, the most important one first.
    pub causes: Vec<Why>,
    /// What is missing, if that is all that is wrong. A caller may wait for it.
    pub missing: Option<Missing>,
    /// The file, directory or device that the first cause is about, if it is about one.
    pub path: Option<PathBuf>,
    /// What the operator can do; empty if the causes make that clear.
    pub advice: String,
}

impl Failure {
    /// Returns a failure with one cause and no advice yet.
    pub fn new(kind: Kind, step: &'static str, cause: impl fmt::Display) -> Self {
        Self::of(kind, step, [cause.to_string()])
    }

    /// Returns a failure with these causes and no advice yet.
    pub(crate) fn of(
        kind: Kind,
        step: &'static str,
        causes: impl IntoIterator<Item = impl Into<Why>>,
    ) -> Self {
        let causes = causes.into_iter().map(Into::into).collect();
        Self { kind, step, causes, missing: None, path: None, advice: String::new() }
    }

    /// Returns a failure of kind [`Kind::Failed`] whose causes are these errors of the
    /// kernel.
    pub fn kernel(step: &'static str, errors: &[KernelError]) -> Self {
        let path = errors.first().map(|error| error.path.clone());
        Self { path, ..Self::of(Kind::Failed, step, errors.to_vec()) }
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
        self.causes.push(Why::Words(cause.to_string()));
        self
    }

    /// Returns this failure, marked as one that ends once the missing thing has come.
    #[must_use]
    pub(crate) fn misses(mut self, missing: Missing) -> Self {
        self.missing = Some(missing);
        self
    }
}

impl std::error::Error for Failure {
    /// Returns the first of the kernel's errors among the causes.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.causes.iter().find_map(Why::error).map(|error| error as _)
    }
}

/// How many causes a printed failure has: people read it as one line.
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
    use std::error::Error;
    use std::path::Path;

    use nix::errno::Errno;

    use super::*;

    #[test]
    fn the_kernels_error_is_the_source() {
        let error = KernelError::errno("write", Path::new("/sys/x"), Errno::EIO);
        let why = Why::About("LUN 1".into(), error.clone());
        assert_eq!(why.to_string(), format!("LUN 1: {error}"));
        let failure = Failure::of(Kind::Node, "ask", [Why::Words("slow".into()), why]);
        let source = failure.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&error));
        assert!(Failure::new(Kind::Node, "ask", "slow").source().is_none());
    }

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
