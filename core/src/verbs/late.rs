//! What earlier actions on a group may still do: calls that hang in the kernel, of workers
//! that were given up (`kernel/late.rs`).

use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::kernel::Kernel;
use crate::kernel::late::{self, Late, Purpose};

use super::drain::wait_until;

/// How much of the time may be waited for what earlier actions have begun.
const PERCENT_TO_WAIT: u32 = 30;
/// After what time a disk that does not answer is a fault. Initiators have waited for their
/// commands all that time, and the partner may have other paths to it.
const UNANSWERED: Duration = Duration::from_secs(180);
const STEP: &str = "wait for what an earlier action began";

/// Waits until no earlier action on a group has anything under way that changes it.
///
/// # Errors
/// When one has: it would be done under what comes now.
pub(super) fn settled(
    kernel: &dyn Kernel,
    group: &str,
    budget: Budget,
) -> Result<(), Failure> {
    wait(kernel, group, Purpose::Changes, budget.first(PERCENT_TO_WAIT))
}

/// Waits until no earlier action on a group has anything under way that may make something
/// serve, for what is left of the time.
///
/// # Errors
/// When one has.
pub(super) fn serves_no_more(
    kernel: &dyn Kernel,
    group: &str,
    budget: Budget,
) -> Result<(), Failure> {
    wait(kernel, group, Purpose::Serves, budget)
}

fn wait(
    kernel: &dyn Kernel,
    group: &str,
    purpose: Purpose,
    budget: Budget,
) -> Result<(), Failure> {
    let mut left = Ok(Vec::new());
    wait_until(kernel, budget.end, || {
        left = late::of(kernel, group);
        if let Ok(left) = &mut left {
            left.retain(|late| late.purpose >= purpose);
        }
        left.as_ref().is_ok_and(Vec::is_empty)
    });
    let left = left.map_err(|error| Failure::kernel(STEP, &[error]))?;
    let Some(oldest) = left.first() else { return Ok(()) };
    let cause = format!("{} and may still be done", in_words(oldest));
    Err(Failure::new(Kind::Failed, STEP, cause)
        .advise("See why the kernel does not answer: a disk, or the fabric"))
}

fn in_words(late: &Late) -> String {
    let (pid, age) = (late.pid, late.age.as_secs());
    format!("a call of process {pid}, {age} s old, hangs in the kernel")
}

/// Whether the disks of a group can be asked.
pub(super) enum Asking {
    /// No earlier monitor hangs.
    Free,
    /// An earlier monitor hangs: another one would hang beside it.
    Hangs,
    /// An earlier monitor has hung for so long that this is a fault, in words.
    Fault(String),
}

/// Checks that the disks of a group can be asked.
///
/// # Errors
/// When an earlier question hangs.
pub(super) fn answers(kernel: &dyn Kernel, group: &str) -> Result<(), Failure> {
    let why = match asking(kernel, group) {
        Asking::Free => return Ok(()),
        Asking::Hangs => "an earlier question hangs in the kernel".to_owned(),
        Asking::Fault(why) => why,
    };
    Err(Failure::new(Kind::Node, "ask the disks", why))
}

/// Returns whether the disks of a group can be asked.
pub(super) fn asking(kernel: &dyn Kernel, group: &str) -> Asking {
    let late = match late::of(kernel, group) {
        Ok(late) => late,
        Err(error) => {
            log::warn!("{error}");
            return Asking::Free;
        }
    };
    match late.iter().find(|late| late.purpose == Purpose::Looks) {
        None => Asking::Free,
        Some(oldest) if oldest.age >= UNANSWERED => {
            Asking::Fault(format!("a disk does not answer: {}", in_words(oldest)))
        }
        Some(oldest) => {
            log::warn!("no disk is asked: {}", in_words(oldest));
            Asking::Hangs
        }
    }
}
