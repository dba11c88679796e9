//! What can go wrong in the lab.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Shorthand for the lab's results.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure that says what was tried, on what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file, folder or socket failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path that it was tried on.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program on this machine failed.
    #[error("{program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// How the program ended, and the last of what it printed.
        reason: String,
    },
    /// A command in a guest ended with something other than success.
    #[error("{guest}: `{script}`: {reason}")]
    Command {
        /// The guest.
        guest: String,
        /// The command's first line.
        script: String,
        /// How the command ended, and the last of what it printed.
        reason: String,
    },
    /// Something did not happen in its time.
    #[error("{what}: not within {:.0} s", after.as_secs_f64())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Returns a function for `map_err`, which says what was tried on which path.
    pub fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Returns an error of any kind, in words.
    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}
