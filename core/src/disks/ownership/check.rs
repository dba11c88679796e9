//! Checking that disks are still owned, and mending what a path that came back lacks.

use std::path::PathBuf;

use super::keys::{Keys, Whose};
use super::read::{read, unregistered, words};
use super::{carry_out, named, nodes};
use crate::action::budget::Budget;
use crate::disks::disk::Disk;
use crate::kernel::reservation::{Key, Reservation};
use crate::kernel::{Chain, ChainResult, Done, Kernel, KernelError, Op};

/// Returns those disks that carry a key of ours, and an error for each that cannot be
/// asked.
///
/// A disk that has no reservations is not ours. Nor is one that another node has reserved
/// the old way: that is possible only where nobody is registered.
pub fn owned(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    keys: &Keys,
    budget: Budget,
) -> (Vec<PathBuf>, Vec<KernelError>) {
    let (mut ours, mut errors) = (Vec::new(), Vec::new());
    for (disk, now) in disks.iter().zip(read(kernel, disks, budget)) {
        match now {
            Ok(now) if now.keys.iter().any(|key| keys.are(*key)) => {
                ours.push(disk.clone());
            }
            Ok(_) => {}
            Err(error) if error.cause.excludes_keys() => {}
            Err(error) => errors.push(error),
        }
    }
    (ours, errors)
}

/// What a check of disks that should be ours has found, in words.
#[derive(Debug, Default)]
pub struct Checked {
    /// Each disk that is not ours.
    pub faults: Vec<String>,
    /// Each disk that is ours, and has somebody else's keys beside.
    pub doubts: Vec<String>,
}

/// Checks that every disk is still ours. Registrants that belong to no node of this
/// cluster may write to it, so they are removed. What stays is a key that keeps
/// somebody's nodes apart, and another node's of this cluster: whether that node may have
/// the disk is the cluster's to say. A path that has come or has come back, and has no
/// registration, gets one: a write by it would meet a conflict.
pub fn check(
    kernel: &dyn Kernel,
    disks: &[Disk],
    keys: &Keys,
    budget: Budget,
) -> Checked {
    let mut now = read(kernel, &nodes(disks), budget);
    let mend = |(disk, now): (&Disk, &Result<Reservation, KernelError>)| match now {
        Ok(now) => mended(kernel, disk, now, keys),
        Err(_) => Chain::new(),
    };
    let mend: Vec<Chain> = disks.iter().zip(&now).map(mend).collect();
    let mut results = vec![ChainResult::default(); disks.len()];
    carry_out(kernel, &mend, &mut results, budget);
    for ((now, chain), result) in now.iter_mut().zip(&mend).zip(results) {
        match result.into_last() {
            Ok(Done::Reservation(after)) if !chain.is_empty() => *now = Ok(after),
            _ => {}
        }
    }
    let mut checked = Checked::default();
    for (disk, now) in disks.iter().zip(now) {
        let named = named(disk);
        match now {
            Ok(now) if keys.own(&now) => {}
            // Slow is not failed.
            Err(error) if error.is_late() => {
                log::warn!("{}: {error}", disk.slot);
            }
            Err(error) => checked.faults.push(format!("{named} is not ours: {error}")),
            Ok(now) => {
                let words = words(&now, keys);
                let fencing =
                    |key: &Key| matches!(keys.whose(*key), Whose::Ours | Whose::Fencing);
                match keys.hold(&now) && now.keys.iter().all(fencing) {
                    true => checked.doubts.push(format!("{named} is {words}")),
                    false => checked.faults.push(format!("{named} is not ours: {words}")),
                }
            }
        }
    }
    checked
}

/// Returns the operations that register the paths of a disk of ours that are not, remove the
/// registrants that have no business there, and read that back; none where all is well.
fn mended(kernel: &dyn Kernel, disk: &Disk, now: &Reservation, keys: &Keys) -> Chain {
    let Some(holder) = now.holder.filter(|_| keys.hold(now)) else { return Chain::new() };
    let mut chain = Chain::new();
    if let Some(paths) = unregistered(kernel, disk, now, keys) {
        log::info!("{} ({}): {paths}: registering all", disk.slot, disk.device);
        let (disk, key) = (disk.node.clone(), holder.key);
        // It fails where the disk was taken from this node meanwhile: nothing is registered
        // there then. A reservation would fail, too, where the path that holds it is dead.
        chain.push(Op::Confirm { disk: disk.clone(), key });
        chain.push(Op::Register { disk, key });
    }
    let strange = |whose| matches!(whose, Whose::Strangers | Whose::OtherClusters);
    let mut others = now.keys.clone();
    others.retain(|key| strange(keys.whose(*key)));
    others.sort_unstable();
    others.dedup();
    for other in others {
        let (slot, whose) = (disk.slot, keys.whose(other).words());
        log::warn!("{slot} ({}): the key {other}, {whose}, is removed", disk.device);
        let (disk, key) = (disk.node.clone(), holder.key);
        chain.push(Op::PreemptAndAbort { disk, key, other });
    }
    if !chain.is_empty() {
        chain.push(Op::ReadReservation(disk.node.clone()));
    }
    chain
}
