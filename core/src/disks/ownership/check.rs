//! Checks that this node still owns its disks, and registers paths that have come back.

use std::path::PathBuf;

use super::keys::{Keys, Whose};
use super::read::{read, unregistered, words};
use super::{carry_out, named, nodes};
use crate::action::budget::Budget;
use crate::disks::disk::Disk;
use crate::kernel::reservation::{Key, Reservation};
use crate::kernel::{Chain, ChainResult, Done, Kernel, KernelError, Op};

/// Returns those disks on which a key of this node is registered, and an error for each
/// disk that cannot be asked.
///
/// A disk without support for reservations has no key of ours. Neither has one that
/// another node has reserved the old way (SPC-2), because that is only possible while no
/// key is registered.
pub(crate) fn owned(
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

/// What a check of disks that this node should own has found, in words.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// A sentence for each disk that this node does not own.
    pub faults: Vec<String>,
    /// A sentence for each disk that this node owns although another node's, or a fencing
    /// program's, key is registered on it.
    pub doubts: Vec<String>,
}

/// Checks that this node still owns every disk, and mends what it can. It removes
/// registrants that belong to no node of this cluster, because they could write to the
/// disk. It leaves the keys of fencing programs, and those of this cluster's other nodes:
/// whether such a node may have the disk is for the cluster to decide. It registers paths
/// that have come or come back without a registration, because writes by them would meet
/// conflicts.
pub(crate) fn check(
    kernel: &dyn Kernel,
    disks: &[Disk],
    keys: &Keys,
    budget: Budget,
) -> Checked {
    // What can be mended is mended first. The answers of disks that were mended replace
    // the earlier ones.
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
            // A disk that answers slowly has not failed.
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

/// Returns the operations that mend a disk of ours and read its reservation again: they
/// register the paths that are not registered, and remove registrants that do not belong
/// there. The chain is empty if there is nothing to mend.
fn mended(kernel: &dyn Kernel, disk: &Disk, now: &Reservation, keys: &Keys) -> Chain {
    let Some(holder) = now.holder.filter(|_| keys.hold(now)) else { return Chain::new() };
    let mut chain = Chain::new();
    if let Some(paths) = unregistered(kernel, disk, now, keys) {
        log::info!("{} ({}): {paths}: registering all", disk.slot, disk.device);
        let (disk, key) = (disk.node.clone(), holder.key);
        // `Confirm` fails if another node has taken the disk meanwhile, and then nothing
        // is registered. A RESERVE would be no such test: it also fails if the path that
        // holds the reservation is dead.
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
