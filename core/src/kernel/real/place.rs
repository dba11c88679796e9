//! Paths below a root directory, the clock, and a single write to an attribute.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::kernel::{Cause, Done, Instant};

/// Returns the time since boot, without time in suspend. Parent and child read the same
/// clock.
pub(crate) fn monotonic() -> Instant {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Returns the path that a kernel's path has below a root directory.
pub(crate) fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Writes an attribute in one call. The kernel takes each call for a value of its own.
pub(crate) fn write_once(path: &Path, text: &str) -> Result<Done, Cause> {
    let mut file =
        fs::OpenOptions::new().write(true).open(path).map_err(|e| Cause::of(&e))?;
    match file.write(text.as_bytes()) {
        Ok(taken) if taken == text.len() => Ok(Done::Changed),
        Ok(taken) => Err(Cause::Short(taken)),
        Err(e) => Err(Cause::of(&e)),
    }
}
