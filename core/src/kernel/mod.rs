//! The kernel door: every read, write, directory, link, ioctl and clock of understudy
//! goes through the one trait in here, so that the whole of it runs on a tree of our own.
//!
//! Reading is direct. Changing is done by [`Kernel::run`], which takes the work as plain
//! values ([`Op`]), does what can be done side by side, and always comes back in time.

pub mod account;
mod around;
pub mod disk;
mod error;
pub mod keeper;
pub mod late;
pub mod nexus;
mod op;
pub mod paths;
mod real;
mod recorded;
pub mod reservation;
pub mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use around::Around;
pub use error::{Cause, KernelError};
pub use op::{Chain, ChainResult, Done, Op, UNREGISTER};
pub use real::RealKernel;
pub use recorded::Recorded;

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
