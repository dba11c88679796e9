//! Reading the registrations and the reservation of many disks at once.

use std::path::PathBuf;

use super::keys::{Keys, Whose};
use super::{Held, named, nodes};
use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind, Why};
use crate::disks::disk::{self, Disk};
use crate::kernel::reservation::{Key, Reservation};
use crate::kernel::{Cause, Chain, ChainResult, Done, Kernel, KernelError, Op};

/// Reads the reservation of each disk, side by side. Returns one answer for each disk.
pub fn read(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    budget: Budget,
) -> Vec<Result<Reservation, KernelError>> {
    let chains: Vec<Chain> =
        disks.iter().map(|disk| vec![Op::ReadReservation(disk.clone())]).collect();
    let results = kernel.run(&chains, budget.end);
    let reservation = |done| match done {
        Done::Reservation(reservation) => reservation,
        _ => Reservation::default(),
    };
    results.into_iter().map(|r| r.into_last().map(reservation)).collect()
}

/// Returns the reservation that each disk reported in a chain that has just run. This is
/// what counts, whatever the other commands of the chain answered. A disk whose chain
/// ended before the question is asked now.
pub(super) fn read_back(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    results: &[ChainResult],
    budget: Budget,
) -> Vec<Result<Reservation, KernelError>> {
    let answer = |done: &Done| match done {
        Done::Reservation(now) => Some(Ok(now.clone())),
        _ => None,
    };
    let said = |result: &ChainResult| result.done.iter().find_map(answer);
    let said: Vec<_> = results.iter().map(said).collect();
    let silent = disks.iter().zip(&said).filter(|(_, said)| said.is_none());
    let silent: Vec<PathBuf> = silent.map(|(disk, _)| disk.clone()).collect();
    let mut asked = read(kernel, &silent, budget).into_iter();
    said.into_iter().filter_map(|said| said.or_else(|| asked.next())).collect()
}

/// Returns whether disks seem to be reserved by nobody, as after a stop. Only the first
/// disk is asked: asking all of them first would cost a command for each and gain
/// nothing.
pub(crate) fn seem_free(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) -> bool {
    let first = nodes(disks.get(..1).unwrap_or_default());
    let mut now = read(kernel, &first, budget).into_iter();
    now.all(|now| now.is_ok_and(|now| now.keys.is_empty()))
}

/// Reads the reservation of each disk, side by side. Returns each disk with its answer.
pub(crate) fn each<'a>(
    kernel: &dyn Kernel,
    disks: &'a [Disk],
    budget: Budget,
) -> impl Iterator<Item = (&'a Disk, Result<Reservation, KernelError>)> {
    disks.iter().zip(read(kernel, &nodes(disks), budget))
}

/// Reads the reservation of every disk, before anything is changed on any of them.
///
/// # Errors
/// The failure names each disk that cannot be asked, because this node cannot own the
/// group.
pub(crate) fn observe(
    kernel: &dyn Kernel,
    disks: &[Disk],
    budget: Budget,
) -> Result<Vec<Held>, Failure> {
    let (mut causes, mut found, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (disk, now) in each(kernel, disks, budget) {
        match now {
            Ok(now) => found.push(Held { disk: disk.clone(), reservation: Some(now) }),
            Err(error) => {
                errors.push(error.clone());
                causes.push(Why::About(named(disk), error));
            }
        }
    }
    if causes.is_empty() { Ok(found) } else { Err(unanswered(causes, &errors)) }
}

/// Returns the failure for disks whose reservations cannot be read. This node cannot own
/// them.
pub(super) fn unanswered<'a>(
    causes: Vec<Why>,
    errors: impl IntoIterator<Item = &'a KernelError>,
) -> Failure {
    let advice = advice(errors);
    let step = "read the reservations";
    Failure::of(Kind::Node, step, causes).advise(advice)
}

/// Returns advice about disks whose reservations cannot be read. A disk that is slow or
/// absent for the moment may well have an owner. So this never advises doing without
/// reservations for such a disk.
pub(crate) fn advice<'a>(
    errors: impl IntoIterator<Item = &'a KernelError>,
) -> &'static str {
    let errors: Vec<_> = errors.into_iter().collect();
    let all = |cause| errors.iter().all(|error| error.cause == cause);
    match () {
        () if all(Cause::NoReservations) => {
            "If something else guarantees one owner (DRBD, say), set ownership=none; else \
             give disks with persistent reservations: SCSI-3's, or NVMe's"
        }
        () if all(Cause::Reserved) => {
            "Find out who has reserved it. The reservation ends with its holder, or \
             with a reset of the LUN: sg_reset --device"
        }
        () => {
            "See why the disk does not answer: its paths, its array, the kernel's log. Who \
             owns it is not known, so nothing was taken"
        }
    }
}

/// Returns in words how many paths of a multipath disk are registered, if those are fewer
/// than the paths that are up. An array may keep one registration for several paths; then
/// registering them again changes nothing.
pub(super) fn unregistered(
    kernel: &dyn Kernel,
    disk: &Disk,
    now: &Reservation,
    keys: &Keys,
) -> Option<String> {
    if !disk.is_multipath {
        return None;
    }
    let registered = now.keys.iter().filter(|key| keys.are(**key)).count();
    let paths = disk::paths_of(kernel, &disk.node);
    let up = paths.iter().filter(|path| path.is_up()).count();
    (registered < up).then(|| format!("{registered} of {up} paths were registered"))
}

pub(super) fn words(now: &Reservation, keys: &Keys) -> String {
    let key = |key: &Key| match keys.whose(*key) {
        Whose::Ours => key.to_string(),
        whose => format!("{key} ({})", whose.words()),
    };
    let all: Vec<String> = now.keys.iter().map(key).collect();
    let all = if all.is_empty() { "none".into() } else { all.join(" ") };
    match now.holder {
        Some(holder) => {
            format!("held by {} (type {}), keys {all}", holder.key, holder.kind)
        }
        None => format!("held by nobody, keys {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Op;

    #[test]
    fn a_disk_that_does_not_answer_is_no_reason_to_do_without_reservations() {
        let failed = |cause| Op::ReadReservation("/dev/sda".into()).failed(cause);
        let (none, slow) = (failed(Cause::NoReservations), failed(Cause::TimedOut));
        let aborted = failed(Cause::Device("aborted command".into()));
        assert!(advice([&none, &none]).contains("ownership=none"));
        for errors in [vec![&slow], vec![&none, &slow], vec![&aborted, &none]] {
            let told = unanswered(vec!["LUN 0".to_owned().into()], errors).to_string();
            assert!(told.contains("does not answer"), "{told}");
            assert!(!told.contains("ownership=none"), "{told}");
        }
    }
}
