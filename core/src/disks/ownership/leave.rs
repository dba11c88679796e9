//! Giving up disks: this node's keys are removed, and the disks are asked whether they
//! are gone.

use std::path::{Path, PathBuf};

use super::read::read_back;
use super::{Keys, carry_out};
use crate::action::budget::Budget;
use crate::kernel::reservation::Key;
use crate::kernel::{Cause, Chain, ChainResult, Kernel, KernelError, Op, UNREGISTER};

/// Returns the operations that give up a disk and read its reservation again. The
/// reservation ends with its holder's registration (SPC-4 5.13;
/// tests/sim/tests/recordings has LIO's answers).
pub(crate) fn leave(disk: &Path, key: Key) -> Chain {
    vec![
        Op::Unregister { disk: disk.to_owned(), key },
        Op::ReadReservation(disk.to_owned()),
    ]
}

/// What is left on disks after they were given up: nothing, if both lists are empty.
#[derive(Debug, Default)]
pub struct Left {
    /// Commands that were sent and have not come back. Each may still be carried out.
    pub outstanding: Vec<KernelError>,
    /// Disks on which a key of this node is still registered, or that do not answer.
    pub keys: Vec<KernelError>,
}

impl Left {
    /// Returns the errors of both lists.
    pub fn all(self) -> Vec<KernelError> {
        [self.outstanding, self.keys].concat()
    }
}

/// Gives up disks, and returns what is left on them. Keys of other nodes are not touched.
/// If nothing is left, each disk itself has reported that no key of this node is
/// registered.
pub fn give_up(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    keys: &Keys,
    budget: Budget,
) -> Left {
    let chains: Vec<Chain> = disks.iter().map(|disk| leave(disk, keys.now)).collect();
    let left = kernel.run(&chains, budget.end);
    given_up(kernel, disks, left, keys, budget)
}

/// Returns the operations that give up a key registered on a dead path, and read the
/// reservation again. A path that works registers the key too, removes every registration
/// of it with PREEMPT, and then gives up its own.
fn leave_dead_path(disk: &Path, key: Key) -> Chain {
    let [register, preempt] = [
        Op::Register { disk: disk.to_owned(), key },
        Op::PreemptAndAbort { disk: disk.to_owned(), key, other: key },
    ];
    [vec![register, preempt], leave(disk, key)].concat()
}

/// Returns what is left on disks after the operations of [`leave`], whose results are
/// `left`; see [`give_up`]. A disk that still has a key of this node, or does not answer,
/// is given up again. The reason may be a passing failure, an earlier key of this node,
/// or a key on a dead path.
pub(crate) fn given_up(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    mut left: Vec<ChainResult>,
    keys: &Keys,
    budget: Budget,
) -> Left {
    // One round for an earlier key and one for a key on a dead path; both twice, because
    // a passing failure may spoil either.
    const AGAIN: [fn(&Path, Key) -> Chain; 4] =
        [leave, leave_dead_path, leave, leave_dead_path];
    let mut now = read_back(kernel, disks, &left, budget);
    for leave in AGAIN {
        let again = disks.iter().zip(&left).zip(&now).map(|((disk, answer), now)| {
            let key = match now {
                _ if is_outstanding(answer) => None,
                Ok(now) => now.keys.iter().copied().find(|key| keys.are(*key)),
                Err(error) if error.cause.excludes_keys() || error.is_late() => None,
                Err(_) => Some(keys.now),
            };
            key.map_or_else(Chain::new, |key| leave(disk, key))
        });
        let again: Vec<Chain> = again.collect();
        if again.iter().all(Vec::is_empty) {
            break;
        }
        carry_out(kernel, &again, &mut left, budget);
        now = read_back(kernel, disks, &left, budget);
    }
    // What counts is what the disks report. A command that failed is reported only for a
    // disk with something left on it.
    let mut found = Left::default();
    for ((disk, answer), now) in disks.iter().zip(left).zip(now) {
        let error = match now {
            Ok(now) if now.keys.iter().any(|key| keys.are(*key)) => {
                let cause = Cause::Device("our key is still there".into());
                KernelError::new("unregister from", disk, cause)
            }
            Ok(_) => continue,
            Err(error) if error.cause.excludes_keys() => continue,
            Err(error) => error,
        };
        let is_outstanding = is_outstanding(&answer);
        let error = answer.failed.unwrap_or(error);
        match is_outstanding {
            true => found.outstanding.push(error),
            false => found.keys.push(error),
        }
    }
    found
}

/// Returns whether a chain ran out of time while its command to unregister was under way.
fn is_outstanding(result: &ChainResult) -> bool {
    let failed = result.failed.as_ref();
    failed
        .is_some_and(|error| error.cause == Cause::TimedOut && error.action == UNREGISTER)
}
