//! The clocks: this machine's, and how far a guest's is ahead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::guest::Guest;

/// Returns the wall clock, in milliseconds since 1970.
#[must_use]
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns how many milliseconds a guest's clock is ahead of this machine's.
///
/// # Errors
/// The guest does not say what time it is.
pub fn ahead(guest: &Guest) -> Result<i64> {
    let before = wall();
    let theirs = guest.run("date +%s%3N", Duration::from_secs(20))?;
    let ours = u64::midpoint(before, wall());
    let theirs: i64 =
        theirs.trim().parse().map_err(|_| Error::other("date printed no number"))?;
    Ok(theirs - i64::try_from(ours).unwrap_or(0))
}
