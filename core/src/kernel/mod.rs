//! The kernel door: every read, write, directory, link, ioctl and clock of understudy
//! goes through the one trait in here, so that the whole of it runs on a tree of our own.
//!
//! Reading is direct. Changing is done by [`Kernel::run`], which takes the work as plain
//! values ([`Op`]), does what can be done side by side, and always comes back in time.

pub mod account;
mod bar;
mod bsg;
mod files;
pub mod keeper;
mod lanes;
pub mod late;
mod multipathd;
pub mod nexus;
mod nft;
pub mod nvme;
mod op;
mod opened;
pub mod paths;
mod perform;
mod protocol;
mod rcu;
mod real;
pub mod reservation;
mod scsi;
pub mod sense;
mod size;
pub mod state;
mod trace;
mod vpd;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

pub use op::{Chain, ChainResult, Done, Op, UNREGISTER};
pub use real::RealKernel;
pub use trace::Recorded;

/// How many chains [`Kernel::run`] works on at once. LUN links wait for RCU grace
/// periods, and 32 of them side by side wait for the same ones.
pub const LANES: usize = 32;

/// A point in time: how long after some fixed moment before the program's start.
pub type Instant = Duration;

/// Everything that understudy asks of the kernel.
pub trait Kernel {
    /// Returns the text of an attribute or a small file.
    fn read(&self, path: &Path) -> Result<String, KernelError>;
    /// Returns the sorted names in a directory; none where the directory is absent.
    fn list(&self, dir: &Path) -> Result<Vec<String>, KernelError>;
    /// Returns the symbolic links in a directory and where each leads, by its own text
    /// alone.
    fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, KernelError>;
    /// Returns where a symbolic link leads, by its own text alone; nothing where there is
    /// none.
    fn leads(&self, link: &Path) -> Result<Option<PathBuf>, KernelError> {
        let dir = link.parent().filter(|dir| self.exists(dir));
        let links = dir.map_or(Ok(Vec::new()), |dir| self.links(dir))?;
        Ok(links.into_iter().find(|(its, _)| its == link).map(|(_, to)| to))
    }
    /// Returns where a path leads when every link is followed.
    fn resolve(&self, path: &Path) -> Result<PathBuf, KernelError>;
    /// Returns whether something is there, a link that leads nowhere included.
    fn exists(&self, path: &Path) -> bool;
    /// Returns the text of a file of ours. What another user could have put there is
    /// refused.
    fn load(&self, path: &Path) -> Result<String, KernelError> {
        self.read(path)
    }
    /// Replaces a file of ours as a whole, readable by root alone; a reader sees the old
    /// text or the new one. The directory is made if it is absent. No link is followed.
    fn store(&self, path: &Path, text: &str) -> Result<(), KernelError>;
    /// Removes a file of ours; one that is absent is well removed.
    fn discard(&self, path: &Path) -> Result<(), KernelError>;

    /// Carries out chains of operations, up to [`LANES`] of them side by side, each
    /// chain in its order until one of its operations fails.
    ///
    /// It returns soon after `until` at the latest, whatever the kernel does: what did
    /// not end by then is reported as [`Cause::TimedOut`] or [`Cause::NotBegun`]. The
    /// results stand in the order of the chains.
    fn run(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult>;

    /// Returns the time on the monotonic clock.
    fn now(&self) -> Instant;
    /// Returns the time on the wall clock, in whole seconds since 1970.
    fn wall(&self) -> u64;
    /// Lets time pass, for what the kernel announces by no event.
    fn sleep(&self, time: Duration);
}

/// Returns the text of an attribute, trimmed; empty where it has gone, as a port may
/// while it is looked at.
///
/// # Errors
/// When it is there and cannot be read: what is not known must not pass for absent.
pub fn attribute(kernel: &dyn Kernel, path: &Path) -> Result<String, KernelError> {
    match kernel.read(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.is_gone() => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Returns the text of an attribute that is for display alone, trimmed; empty also where
/// it cannot be read.
pub fn attribute_or_empty(kernel: &dyn Kernel, path: &Path) -> String {
    attribute(kernel, path).unwrap_or_default()
}

/// Returns the kernel's release if it is older than a major and minor version. A release
/// that is not known is not older.
pub fn is_before(kernel: &dyn Kernel, version: (u32, u32)) -> Option<String> {
    let release = attribute(kernel, Path::new(paths::KERNEL_RELEASE)).ok()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let its = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (its < version).then_some(release)
}

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

fn value_part(value: &Option<String>) -> String {
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
