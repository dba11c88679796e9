//! Errors of operations on the kernel: what was attempted, where, and why it failed.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// The kernel's answer, an errno.
    Errno(i32),
    /// The kernel took only this many bytes of a write.
    Short(usize),
    /// The operation had begun, and did not end before its deadline.
    TimedOut,
    /// The deadline had passed before the operation could begin.
    NotBegun,
    /// The disk does not support persistent reservations, so nobody can have one there.
    NoReservations,
    /// Another node has reserved the disk the old way (SPC-2 RESERVE). That is only
    /// possible while no key is registered.
    Reserved,
    /// The path failed before the command reached the disk. The text says how.
    PathFailed(String),
    /// A device or a program refused. The text says why.
    Device(String),
    /// A link exists already and leads elsewhere, to this path.
    LeadsTo(PathBuf),
    /// A file or directory is not one that understudy may trust. The text says why.
    NotOurs(String),
}

impl Cause {
    /// Returns whether a disk that gives this answer cannot have a key of this node.
    pub(crate) fn excludes_keys(&self) -> bool {
        matches!(self, Self::NoReservations | Self::Reserved)
    }

    /// Returns whether a path has failed, rather than the disk having answered.
    /// The node of a path that leaves goes a moment before multipathd takes the path out of its
    /// map.
    pub(crate) fn is_paths(&self) -> bool {
        const OF_PATHS: [Errno; 5] =
            [Errno::ENODEV, Errno::ENXIO, Errno::ENOLINK, Errno::EIO, Errno::ENOENT];
        match self {
            Self::PathFailed(_) => true,
            Self::Errno(errno) => OF_PATHS.iter().any(|its| *its as i32 == *errno),
            _ => false,
        }
    }

    /// Returns the cause of an error of the standard library's file functions.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        Self::Errno(error.raw_os_error().unwrap_or(Errno::EIO as i32))
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Errno(errno) => f.write_str(Errno::from_raw(*errno).desc()),
            Self::Short(taken) => write!(f, "the kernel took only {taken} bytes of it"),
            Self::TimedOut => f.write_str("the kernel did not answer in time"),
            Self::NotBegun => f.write_str("no time was left to begin it"),
            Self::NoReservations => {
                f.write_str("it does not support persistent reservations")
            }
            Self::Reserved => {
                f.write_str("another has reserved it the old way (SPC-2 RESERVE)")
            }
            Self::PathFailed(words) => write!(f, "the path failed ({words})"),
            Self::Device(words) => f.write_str(words),
            Self::NotOurs(words) => write!(f, "{words}; see who made it, and remove it"),
            Self::LeadsTo(path) => write!(f, "it leads to {} instead", path.display()),
        }
    }
}

/// A failed operation: what was attempted, where, with which value, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{action} {}{}: {cause}", .path.display(), value_part(.value))]
#[non_exhaustive]
pub struct KernelError {
    /// What was attempted, as a verb: `read`, `write`, `mkdir`, ...
    pub action: String,
    /// The file, directory or device that the operation was for.
    pub path: PathBuf,
    /// The value that was to be written, or the key that was to be used.
    pub value: Option<String>,
    /// Why it failed.
    pub cause: Cause,
}

pub(super) fn value_part(value: &Option<String>) -> String {
    value.as_ref().map(|value| format!(" ({value})")).unwrap_or_default()
}

impl KernelError {
    /// Returns an error with an errno as its cause, and without a value.
    pub fn errno(action: &str, path: &Path, errno: Errno) -> Self {
        Self::new(action, path, Cause::Errno(errno as i32))
    }

    /// Returns an error with this cause, and without a value.
    pub fn new(action: &str, path: &Path, cause: Cause) -> Self {
        Self { action: action.into(), path: path.into(), value: None, cause }
    }

    /// Returns an error with the cause of an error of the standard library's file
    /// functions.
    pub fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(action, path, Cause::of(error))
    }

    /// Returns whether the kernel answered with this errno.
    pub fn is(&self, errno: Errno) -> bool {
        self.cause == Cause::Errno(errno as i32)
    }

    /// Returns whether the path or device does not exist, or no longer does.
    pub(crate) fn is_gone(&self) -> bool {
        [Errno::ENOENT, Errno::ENODEV, Errno::ENXIO].iter().any(|errno| self.is(*errno))
    }

    /// Returns whether the deadline passed, rather than the kernel refusing.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.cause, Cause::TimedOut | Cause::NotBegun)
    }
}
