//! Owning disks by persistent reservations, SCSI-3's or NVMe's: Write Exclusive, Registrants
//! Only, with the owner's key alone registered. Other types would either bar the owner's own
//! second path (Write Exclusive), stop everybody from reading (Exclusive Access), or have no
//! single owner to take a disk from (All Registrants).

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

pub use check::{Checked, check, owned};
pub use held::Held;
pub use keys::{Keys, Whose, knows_cluster, remember_cluster};
pub use leave::{Left, give_up, given_up, leave};
pub use read::{advice, each, observe, read, seem_free};
pub use take::{KEEP_PATHS, nobody_elses, own, take};

/// Returns a disk's number and name, for a sentence.
fn named(disk: &Disk) -> String {
    format!("{} ({})", disk.slot, disk.device)
}

fn nodes(disks: &[Disk]) -> Vec<PathBuf> {
    disks.iter().map(|disk| disk.node.clone()).collect()
}

/// Carries out the chains that are not empty, and puts their results in the place of
/// those that were there.
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
