//! Errors of the kernel's: what was tried, where, and why it failed.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The kernel's own answer, an errno.
    Errno(i32),
    /// The kernel took only this many bytes of a write.
    Short(usize),
    /// The operation began and had not ended when its time was over.
    TimedOut,
    /// The time was over before the operation began.
    NotBegun,
    /// The disk knows no persistent reservations, so that nobody can have any there.
    NoReservations,
    /// Another node has reserved the disk the old way (SPC-2 RESERVE), which goes only where
    /// no key is registered.
    Reserved,
    /// The command did not get to the disk: its path has failed; why, in words.
    PathFailed(String),
    /// A SCSI device answered with this; already in words.
    Device(String),
    /// A link exists already and leads elsewhere: to this path.
    LeadsTo(PathBuf),
    /// What is there in place of a file or directory of ours; in words.
    NotOurs(String),
}

impl Cause {
    /// Returns whether a disk that answers so can have no key of ours.
    pub fn excludes_keys(&self) -> bool {
        matches!(self, Self::NoReservations | Self::Reserved)
    }

    /// Returns whether this is a path's failure rather than a disk's answer.
    pub fn is_paths(&self) -> bool {
        const OF_PATHS: [Errno; 4] =
            [Errno::ENODEV, Errno::ENXIO, Errno::ENOLINK, Errno::EIO];
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
pub struct KernelError {
    /// A verb: `read`, `write`, `mkdir`, ...
    pub action: String,
    /// The file, directory or device.
    pub path: PathBuf,
    /// What was written or asked for.
    pub value: Option<String>,
    /// See [`Cause`].
    pub cause: Cause,
}

pub(super) fn value_part(value: &Option<String>) -> String {
    value.as_ref().map(|value| format!(" ({value})")).unwrap_or_default()
}

impl KernelError {
    /// Returns an error that carries an errno.
    pub fn errno(action: &str, path: &Path, errno: Errno) -> Self {
        Self::new(action, path, Cause::Errno(errno as i32))
    }

    /// Returns an error without a value.
    pub fn new(action: &str, path: &Path, cause: Cause) -> Self {
        Self { action: action.into(), path: path.into(), value: None, cause }
    }

    /// Returns an error of the standard library's file functions.
    pub fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(action, path, Cause::of(error))
    }

    /// Returns whether the kernel said just this.
    pub fn is(&self, errno: Errno) -> bool {
        self.cause == Cause::Errno(errno as i32)
    }

    /// Returns whether there is nothing there, or nothing any longer.
    pub fn is_gone(&self) -> bool {
        [Errno::ENOENT, Errno::ENODEV, Errno::ENXIO].iter().any(|errno| self.is(*errno))
    }

    /// Returns whether the time ran out, rather than the kernel refusing.
    pub fn is_late(&self) -> bool {
        matches!(self.cause, Cause::TimedOut | Cause::NotBegun)
    }
}
