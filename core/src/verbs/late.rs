//! Late calls: operations of earlier actions on a group that hang in the kernel and may
//! still be carried out (`kernel/late.rs`).

use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::kernel::Kernel;
use crate::kernel::late::{self, Late, Purpose};

use super::drain::wait_until;

/// How much of the time an action may wait for late calls, in percent.
const PERCENT_TO_WAIT: u32 = 30;
/// After how long a disk that does not answer is a fault. Initiators have waited all that
/// time, and the partner may have other paths to the disk.
const UNANSWERED: Duration = Duration::from_secs(180);
const STEP: &str = "wait for what an earlier action began";

/// Waits until no earlier action on a group has a call under way that changes something.
///
/// # Errors
/// When one still has. Its call could be carried out in the middle of this action.
pub(super) fn settled(
    kernel: &dyn Kernel,
    group: &str,
    budget: Budget,
) -> Result<(), Failure> {
    wait(kernel, group, Purpose::Changes, budget.first(PERCENT_TO_WAIT))
}

/// Waits, for all the remaining time, until no earlier action on a group has a call under
/// way that may make the group serve.
///
/// # Errors
/// When one still has.
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

/// Whether the disks of a group may be asked.
pub(super) enum Asking {
    /// No earlier question hangs.
    Free,
    /// An earlier question hangs, so another one would hang too.
    Hangs,
    /// An earlier question has hung for so long that the disk counts as failed. The text
    /// says so.
    Fault(String),
}

/// Checks that the disks of a group may be asked.
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

/// Returns whether the disks of a group may be asked.
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
