//! Starts that were tried on this node and have not succeeded. A group whose start has
//! failed here comes home only by command. By itself it would come, fail and leave over
//! and over, and be unserved for a moment each time. The marks are below /run, so a boot
//! is a new chance.

use std::path::{Path, PathBuf};

use crate::action::failure::Failure;
use crate::kernel::{Kernel, paths};

/// Marks that a start of a group has begun. The mark stays until a start succeeds, so a
/// start that is killed leaves it too.
///
/// # Errors
/// When the mark cannot be written.
pub fn begin(kernel: &dyn Kernel, group: &str) -> Result<(), Failure> {
    kernel
        .store(&path(group), "")
        .map_err(|error| Failure::kernel("remember the start", &[error]))
}

/// Removes the mark of a group, because a start has succeeded.
///
/// # Errors
/// When the mark cannot be removed.
pub fn succeeded(kernel: &dyn Kernel, group: &str) -> Result<(), Failure> {
    kernel
        .discard(&path(group))
        .map_err(|error| Failure::kernel("forget earlier starts", &[error]))
}

/// Returns whether a start of a group has begun on this node and none has succeeded
/// since.
#[must_use]
pub fn is_open(kernel: &dyn Kernel, group: &str) -> bool {
    kernel.exists(&path(group))
}

/// Returns the path of a group's mark. A resource's name is an XML ID, so it has no
/// slash.
fn path(group: &str) -> PathBuf {
    Path::new(paths::STARTS).join(group)
}
