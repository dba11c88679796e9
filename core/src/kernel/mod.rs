//! The kernel door: one trait for every read, write, directory, link, ioctl and clock of
//! understudy. So all of understudy also runs on a simulated kernel.
//!
//! Reads are direct calls. Changes go through [`Kernel::run`], which takes them as plain
//! values ([`Op`]), carries them out side by side where possible, and returns by a
//! deadline.

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
pub(crate) mod workers;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use around::Around;
pub use error::{Cause, KernelError};
pub(crate) use op::UNREGISTER;
pub use op::{Chain, ChainResult, Done, Op};
pub use real::RealKernel;
pub use recorded::Recorded;

/// How many chains [`Kernel::run`] carries out at a time. Each LUN link waits for RCU
/// grace periods, and 32 links made side by side wait for the same ones.
pub const LANES: usize = 32;

/// A point in time, as the time since a fixed moment before the program's start.
pub type Instant = Duration;

/// Everything that understudy asks of the kernel.
pub trait Kernel {
    /// Returns the text of an attribute or a small file.
    fn read(&self, path: &Path) -> Result<String, KernelError>;
    /// Returns the names in a directory, sorted; none if the directory does not exist.
    fn list(&self, dir: &Path) -> Result<Vec<String>, KernelError>;
    /// Returns the symbolic links in a directory, each with the path that its text names.
    /// Further links on that path are not followed.
    fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, KernelError>;
    /// Returns the path that a symbolic link's text names; `None` if there is no such
    /// link. Further links on that path are not followed.
    fn leads(&self, link: &Path) -> Result<Option<PathBuf>, KernelError> {
        let dir = link.parent().filter(|dir| self.exists(dir));
        let links = dir.map_or(Ok(Vec::new()), |dir| self.links(dir))?;
        Ok(links.into_iter().find(|(its, _)| its == link).map(|(_, to)| to))
    }
    /// Returns the path that a path leads to once all links are followed.
    fn resolve(&self, path: &Path) -> Result<PathBuf, KernelError>;
    /// Returns whether a path exists. A link that leads nowhere exists too.
    fn exists(&self, path: &Path) -> bool;
    /// Returns the text of a file that understudy wrote. A file that another user could
    /// have put there is refused.
    fn load(&self, path: &Path) -> Result<String, KernelError> {
        self.read(path)
    }
    /// Replaces a file of understudy's as a whole, so that a reader sees the old text or
    /// the new one. Only root can read it. The directory is made if necessary. No link is
    /// followed.
    fn store(&self, path: &Path, text: &str) -> Result<(), KernelError>;
    /// Removes a file of understudy's, if it exists.
    fn discard(&self, path: &Path) -> Result<(), KernelError>;

    /// Carries out chains of operations, up to [`LANES`] of them side by side. A chain's
    /// operations run in order, until one fails. Returns one result for each chain, in
    /// their order.
    ///
    /// The call returns soon after `until` at the latest, whatever the kernel does. An
    /// operation that has not ended by then is reported as [`Cause::TimedOut`] or
    /// [`Cause::NotBegun`].
    fn run(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult>;

    /// Returns the time on the monotonic clock.
    fn now(&self) -> Instant;
    /// Returns the time on the wall clock, in whole seconds since 1970.
    fn wall(&self) -> u64;
    /// Waits for `time`, because the kernel reports some changes by no event.
    fn sleep(&self, time: Duration);
}

/// Returns the text of an attribute, trimmed. The text is empty if the attribute does not
/// exist, as when a port disappears meanwhile.
///
/// # Errors
/// When the attribute exists and cannot be read. What is unknown must not be taken for
/// absent.
pub(crate) fn attribute(kernel: &dyn Kernel, path: &Path) -> Result<String, KernelError> {
    match kernel.read(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.is_gone() => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Returns the text of an attribute, trimmed. The text is also empty if the attribute
/// cannot be read, so this is only for texts that are shown to people.
pub(crate) fn attribute_or_empty(kernel: &dyn Kernel, path: &Path) -> String {
    attribute(kernel, path).unwrap_or_default()
}

/// Returns the kernel's release if it is older than this version (major, minor). An
/// unknown release does not count as older.
pub(crate) fn is_before(kernel: &dyn Kernel, version: (u32, u32)) -> Option<String> {
    let release = attribute(kernel, Path::new(paths::KERNEL_RELEASE)).ok()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let its = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (its < version).then_some(release)
}
