//! Drivers that hang: their ports say that all is well, and serve nobody any longer.

use std::time::Duration;

use crate::action::failure::{Failure, Kind};
use crate::kernel::Kernel;
use crate::lio;
use crate::situation::found::Found;

use super::drain::{in_flight, wait_until};

/// How long a driver may wait for a command that no disk has. A keeper gives a PERSISTENT
/// RESERVE OUT five seconds; anything else ends within milliseconds.
const PATIENCE: Duration = Duration::from_secs(6);
/// Advice for a driver that hangs.
const FENCE: &str = "The port was not logged out: it would hang the kernel. Only fencing \
                     gets this node back";

/// Returns in words how the driver of the group's ports hangs; `None` if it does not. A
/// driver may serve several groups, and waits for a slow disk of any of them.
pub(super) fn hanging(kernel: &dyn Kernel, found: &Found) -> Option<String> {
    let hangs = || found.live().find_map(|port| found.driver(port.wwpn).hangs(kernel));
    // The words name the worker: another one that waits by then has only begun.
    let words = hangs()?;
    let end = kernel.now() + PATIENCE;
    if wait_until(kernel, end, || hangs().as_ref() != Some(&words)) {
        return None;
    }
    let stores = lio::all_backstores(kernel).unwrap_or_else(|error| {
        log::warn!("{error}");
        found.export.backstores.clone()
    });
    in_flight(kernel, &stores).is_empty().then_some(words)
}

/// Checks that the driver of the group's ports does not hang, before a port logs out.
///
/// # Errors
/// When it does: a logout would never return.
pub(super) fn none(kernel: &dyn Kernel, found: &Found) -> Result<(), Failure> {
    match hanging(kernel, found) {
        None => Ok(()),
        Some(words) => {
            Err(Failure::new(Kind::Failed, "look at the driver", words).advise(FENCE))
        }
    }
}
