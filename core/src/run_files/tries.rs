//! Starts that were tried on this node and have not succeeded. A group whose start has
//! failed here comes home only by command: by itself it would come, fail and go away again
//! and again, each time with a pause. It lives under /run: a boot is a new chance.

use std::path::{Path, PathBuf};

use crate::action::failure::Failure;
use crate::kernel::{Kernel, paths};

/// Remembers that a start of a group begins. A start that is killed leaves the mark too.
///
/// # Errors
/// The file cannot be written.
pub fn begin(kernel: &dyn Kernel, group: &str) -> Result<(), Failure> {
    kernel
        .store(&path(group), "")
        .map_err(|error| Failure::kernel("remember the start", &[error]))
}

/// Forgets the starts of a group, since the last one has succeeded.
///
/// # Errors
/// The file cannot be removed.
pub fn succeeded(kernel: &dyn Kernel, group: &str) -> Result<(), Failure> {
    kernel
        .discard(&path(group))
        .map_err(|error| Failure::kernel("forget earlier starts", &[error]))
}

/// Returns whether a start of a group has begun here and has not succeeded.
#[must_use]
pub fn is_open(kernel: &dyn Kernel, group: &str) -> bool {
    kernel.exists(&path(group))
}

/// Returns the path of a group's mark. A resource's name is an id of XML: it has no slash.
fn path(group: &str) -> PathBuf {
    Path::new(paths::STARTS).join(group)
}
