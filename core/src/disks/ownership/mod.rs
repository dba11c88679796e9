//! Owning disks by persistent reservations (SCSI-3 or NVMe). The type is Write Exclusive,
//! Registrants Only, and the owner's key is the only one registered. Other types will not
//! do. Write Exclusive would bar the owner's own second path, Exclusive Access would stop
//! everybody from reading, and All Registrants has no single owner from whom to take a
//! disk.

mod check;
mod held;
mod keys;
mod leave;
mod read;
mod take;

use std::path::PathBuf;

use crate::action::budget::Budget;
use crate::disks::disk::Disk;
use crate::kernel::{Chain, ChainResult, Kernel};

pub(crate) use check::{Checked, check, owned};
pub(crate) use held::Held;
pub(crate) use keys::Whose;
pub use keys::{Keys, knows_cluster, remember_cluster};
pub use leave::{Left, give_up};
pub(crate) use leave::{given_up, leave};
pub use read::read;
pub(crate) use read::{advice, each, observe, seem_free};
pub(crate) use take::{KEEP_PATHS, nobody_elses, own, take};

/// Returns a disk's slot and its configured name, for a sentence: `LUN 3 (naa.6001...)`.
fn named(disk: &Disk) -> String {
    format!("{} ({})", disk.slot, disk.device)
}

fn nodes(disks: &[Disk]) -> Vec<PathBuf> {
    disks.iter().map(|disk| disk.node.clone()).collect()
}

/// Carries out the chains that are not empty. The result of each replaces the one that
/// `results` had for its disk.
fn carry_out(
    kernel: &dyn Kernel,
    chains: &[Chain],
    results: &mut [ChainResult],
    budget: Budget,
) {
    if chains.iter().all(Vec::is_empty) {
        return;
    }
    let done = kernel.run(chains, budget.end);
    for ((result, chain), done) in results.iter_mut().zip(chains).zip(done) {
        if !chain.is_empty() {
            *result = done;
        }
    }
}
