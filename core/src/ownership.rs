//! Owning disks by SCSI-3 persistent reservations: Write Exclusive, Registrants Only, with
//! the owner's key alone registered. Other types would either bar the owner's own second
//! path (Write Exclusive), stop everybody from reading (Exclusive Access), or have no
//! single owner to take a disk from (All Registrants).

use std::path::{Path, PathBuf};

use crate::budget::Budget;
use crate::digest::fnv128;
use crate::disk::Disk;
use crate::failure::{Failure, Kind};
use crate::group::title;
use crate::kernel::reservation::{Key, Reservation, WRITE_EXCLUSIVE_REGISTRANTS_ONLY};
use crate::kernel::{Cause, Chain, ChainResult, Done, Kernel, KernelError, Op};
use crate::step::Step;

/// The key under which a node owns disks: "us" and 48 bits of its name.
pub fn key_of(node: &str) -> Key {
    let name = fnv128(&[node]) as u64 & 0xffff_ffff_ffff;
    Key(0x7573 << 48 | name)
}

/// Reads the reservation of each disk, side by side.
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

/// What each disk says after a chain that asks it: whatever the commands in it answered,
/// that is what holds. A chain that ended before has its disk asked now.
fn read_back(
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

/// The operations that make a disk ours, whoever has it, and read that back: a plan,
/// nothing is done here.
pub fn take(disk: &Path, key: Key, now: &Reservation) -> Chain {
    let disk = disk.to_owned();
    let preempt = |other: Key| Op::PreemptAndAbort { disk: disk.clone(), key, other };
    // Even what is ours already: a path that came back has no registration.
    let mut chain = vec![Op::Register { disk: disk.clone(), key }];
    let mut others = now.keys.clone();
    others.retain(|other| *other != key);
    others.sort_unstable();
    others.dedup();
    match now.holder {
        Some(holder) if holder.key == key => {
            if holder.kind != WRITE_EXCLUSIVE_REGISTRANTS_ONLY {
                // Only its holder can end a reservation of another type, by leaving.
                chain.insert(0, Op::Unregister { disk: disk.clone(), key });
            }
            chain.extend(others.into_iter().map(preempt));
            chain.push(Op::Reserve { disk: disk.clone(), key });
        }
        Some(holder) => {
            // Taking the holder's key takes its reservation; the first, so that no
            // moment is without one. Key zero stands for all registrants.
            chain.push(preempt(holder.key));
            others.retain(|other| *other != holder.key && holder.key.0 != 0);
            chain.extend(others.into_iter().map(preempt));
        }
        None => {
            chain.extend(others.into_iter().map(preempt));
            chain.push(Op::Reserve { disk: disk.clone(), key });
        }
    }
    chain.push(Op::ReadReservation(disk));
    chain
}

/// Whether disks seem to be nobody's, as after a stop: the first is asked for all. To ask
/// each of them first would be a command to each for nothing.
pub fn seem_free(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) -> bool {
    let first = nodes(disks.get(..1).unwrap_or_default());
    let mut now = read(kernel, &first, budget).into_iter();
    now.all(|now| now.is_ok_and(|now| now.keys.is_empty()))
}

/// Reads the reservation of every disk, before anything is done to any of them.
///
/// # Errors
/// Names each disk that cannot be asked: this node cannot own the group.
pub fn observe(
    kernel: &dyn Kernel,
    disks: &[Disk],
    budget: Budget,
) -> Result<Vec<Reservation>, Failure> {
    let (mut causes, mut found, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (disk, now) in disks.iter().zip(read(kernel, &nodes(disks), budget)) {
        match now {
            Ok(now) => found.push(now),
            Err(error) => {
                causes.push(format!("{} ({}): {error}", title(disk.lun), disk.device));
                errors.push(error);
            }
        }
    }
    if causes.is_empty() { Ok(found) } else { Err(unanswered(causes, &errors)) }
}

/// Returns the failure to ask disks: this node cannot own them.
fn unanswered<'a>(
    causes: Vec<String>,
    errors: impl IntoIterator<Item = &'a KernelError>,
) -> Failure {
    let advice = advice(errors);
    let step = "read the reservations";
    Failure { kind: Kind::Node, step, causes, path: None, advice: advice.to_owned() }
}

/// Returns what can be done about disks whose reservations cannot be read. A disk that is
/// slow or gone for the moment may well have an owner: of such a one nobody may be told to do
/// without reservations.
pub fn advice<'a>(errors: impl IntoIterator<Item = &'a KernelError>) -> &'static str {
    match errors.into_iter().all(|error| error.cause == Cause::NoReservations) {
        true => {
            "If something else guarantees one owner (DRBD, say), set ownership=none; else \
             give disks with SCSI-3 reservations"
        }
        false => {
            "See why the disk does not answer: its paths, its array, the kernel's log. Who \
             owns it is not known, so nothing was taken"
        }
    }
}

fn nodes(disks: &[Disk]) -> Vec<PathBuf> {
    disks.iter().map(|disk| disk.node.clone()).collect()
}

/// Owns every disk or none. The step has a chain for each that begins as [`take`] says of what
/// was known of it, and goes on with what may be done once it is ours. Gives back what
/// became of each.
///
/// A disk that turns out to be another's is taken in a second go, once every disk has
/// answered. So nothing need be known at first.
///
/// # Errors
/// Names each disk that could not be owned, and why. Those that could be have to be given
/// up.
pub fn own(
    kernel: &dyn Kernel,
    disks: &[Disk],
    step: &Step,
    key: Key,
    budget: Budget,
) -> Result<Vec<ChainResult>, Failure> {
    let nodes = nodes(disks);
    let mut results = step.run(kernel, budget);
    let now = read_back(kernel, &nodes, &results, budget);
    let answered = now.iter().all(Result::is_ok);
    let again = nodes.iter().zip(now).map(|(disk, now)| match now {
        Ok(now) if answered && !now.owned_by(key) => take(disk, key, &now),
        _ => Chain::new(),
    });
    let mut taken = results.clone();
    carry_out(kernel, &again.collect::<Vec<_>>(), &mut taken, budget);
    acquired(kernel, disks, &taken, key, budget)?;
    // Ours, whatever a command on the way answered: what follows is done for those too
    // whose chain such an answer has ended.
    let rest = step.chains.iter().zip(&results).map(|(chain, result)| {
        let read = result.done.iter().any(Done::is_reservation);
        if result.failed.is_some() && !read { once_ours(chain) } else { Chain::new() }
    });
    let rest: Vec<Chain> = rest.collect();
    carry_out(kernel, &rest, &mut results, budget);
    Ok(results)
}

/// Carries out those chains that are not empty, and puts what became of them in the place
/// of what was there.
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

/// What of a chain follows the reading back.
fn once_ours(chain: &[Op]) -> Chain {
    let read = chain.iter().position(|op| matches!(op, Op::ReadReservation(_)));
    chain.iter().skip(read.map_or(0, |read| read + 1)).cloned().collect()
}

/// Whether every disk is ours.
fn acquired(
    kernel: &dyn Kernel,
    disks: &[Disk],
    taken: &[ChainResult],
    key: Key,
    budget: Budget,
) -> Result<(), Failure> {
    let after = read_back(kernel, &nodes(disks), taken, budget);
    let mut causes = Vec::new();
    for ((disk, answer), now) in disks.iter().zip(taken).zip(&after) {
        let why = match (now, &answer.failed) {
            (Ok(now), _) if now.owned_by(key) => continue,
            (Err(error), _) | (Ok(_), Some(error)) => error.to_string(),
            (Ok(now), None) => format!("read back, it is not ours: {}", words(now)),
        };
        causes.push(format!("{} ({}): {why}", title(disk.lun), disk.device));
    }
    if causes.is_empty() {
        log::debug!("{} disks are ours under key {key}", disks.len());
        return Ok(());
    }
    let mut errors = after.iter().filter_map(|now| now.as_ref().err()).peekable();
    if errors.peek().is_some() {
        return Err(unanswered(causes, errors));
    }
    Err(Failure {
        kind: Kind::Failed,
        step: "own the disks",
        causes,
        path: None,
        advice: "No disk was kept. See who holds them with sg_persist --read-keys".into(),
    })
}

/// Those of some disks that carry our key; and each that cannot be asked.
///
/// A disk that knows no reservations is not ours.
pub fn owned(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    key: Key,
    budget: Budget,
) -> (Vec<PathBuf>, Vec<KernelError>) {
    let (mut ours, mut errors) = (Vec::new(), Vec::new());
    for (disk, now) in disks.iter().zip(read(kernel, disks, budget)) {
        match now {
            Ok(now) if now.keys.contains(&key) => ours.push(disk.clone()),
            Ok(_) => {}
            Err(error) if error.cause == Cause::NoReservations => {}
            Err(error) => errors.push(error),
        }
    }
    (ours, errors)
}

/// The operations that give a disk up, and read that back: a reservation ends with its
/// holder's registration (SPC-4 5.13; LIO's answers are in core/tests/recordings).
pub fn leave(disk: &Path, key: Key) -> Chain {
    vec![
        Op::Unregister { disk: disk.to_owned(), key },
        Op::ReadReservation(disk.to_owned()),
    ]
}

/// Gives up those disks that are ours; another's key is left alone, whatever is asked. An
/// empty answer means that our key is on none of them, as they say themselves.
pub fn give_up(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    key: Key,
    budget: Budget,
) -> Vec<KernelError> {
    let chains: Vec<Chain> = disks.iter().map(|disk| leave(disk, key)).collect();
    let left = kernel.run(&chains, budget.end);
    given_up(kernel, disks, left, key, budget)
}

/// Whether our key is on none of some disks, after what [`leave`] says was done to each;
/// see [`give_up`].
pub fn given_up(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    left: Vec<ChainResult>,
    key: Key,
    budget: Budget,
) -> Vec<KernelError> {
    let now = read_back(kernel, disks, &left, budget);
    let mut errors = Vec::new();
    for ((disk, answer), now) in disks.iter().zip(left).zip(now) {
        errors.extend(match now {
            Ok(now) if now.keys.contains(&key) => {
                let cause = Cause::Device("our key is still there".into());
                let untold = || KernelError::new("unregister from", disk, cause);
                Some(answer.failed.unwrap_or_else(untold))
            }
            Ok(_) => None,
            Err(error) if error.cause == Cause::NoReservations => None,
            Err(error) => Some(error),
        });
    }
    errors
}

/// Whether every disk is still ours; in words, each that is not.
pub fn check(
    kernel: &dyn Kernel,
    disks: &[Disk],
    key: Key,
    budget: Budget,
) -> Vec<String> {
    let now = read(kernel, &nodes(disks), budget);
    let each = disks.iter().zip(now).filter_map(|(disk, now)| {
        let why = match now {
            Ok(now) if now.owned_by(key) => return None,
            // Slow is not failed.
            Err(error) if error.is_late() => {
                log::warn!("{}: {error}", title(disk.lun));
                return None;
            }
            Ok(now) => words(&now),
            Err(error) => error.to_string(),
        };
        Some(format!("{} ({}) is not ours: {why}", title(disk.lun), disk.device))
    });
    each.collect()
}

fn words(now: &Reservation) -> String {
    let keys: Vec<String> = now.keys.iter().map(Key::to_string).collect();
    let keys = if keys.is_empty() { "none".into() } else { keys.join(" ") };
    match now.holder {
        Some(holder) => {
            let Key(key) = holder.key;
            format!("held by {key:#018x} (type {}), keys {keys}", holder.kind)
        }
        None => format!("held by nobody, keys {keys}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::reservation::Holder;

    const OURS: Key = Key(0x10);
    const THEIRS: Key = Key(0x20);

    #[test]
    fn a_disk_that_does_not_answer_is_no_reason_to_do_without_reservations() {
        let failed = |cause| Op::ReadReservation("/dev/sda".into()).failed(cause);
        let (none, slow) = (failed(Cause::NoReservations), failed(Cause::TimedOut));
        let aborted = failed(Cause::Device("aborted command".into()));
        assert!(advice([&none, &none]).contains("ownership=none"));
        for errors in [vec![&slow], vec![&none, &slow], vec![&aborted, &none]] {
            let told = unanswered(vec!["LUN 0".into()], errors).to_string();
            assert!(told.contains("does not answer"), "{told}");
            assert!(!told.contains("ownership=none"), "{told}");
        }
    }

    fn ops(keys: &[Key], holder: Option<(Key, u8)>) -> Vec<String> {
        let holder = holder.map(|(key, kind)| Holder { key, kind });
        let now = Reservation { keys: keys.to_vec(), holder };
        let plan = take(Path::new("/dev/d"), OURS, &now);
        let (last, plan) = plan.split_last().unwrap();
        assert!(matches!(last, Op::ReadReservation(_)), "{last}");
        plan.iter().map(|op| op.to_string().split(' ').next().unwrap().into()).collect()
    }

    #[test]
    fn a_free_disk_is_reserved() {
        assert_eq!(ops(&[], None), ["register", "reserve"]);
    }

    #[test]
    fn a_held_disk_is_preempted_once_for_each_key() {
        let held = Some((THEIRS, 5));
        assert_eq!(ops(&[THEIRS, THEIRS], held), ["register", "preempt-and-abort"]);
        assert_eq!(
            ops(&[THEIRS, Key(0x30)], held),
            ["register", "preempt-and-abort", "preempt-and-abort"]
        );
    }

    #[test]
    fn registrants_that_hold_nothing_are_removed_before_the_reservation() {
        assert_eq!(ops(&[THEIRS], None), ["register", "preempt-and-abort", "reserve"]);
    }

    #[test]
    fn what_is_ours_in_another_type_is_left_first() {
        assert_eq!(ops(&[OURS], Some((OURS, 1))), ["unregister", "register", "reserve"]);
    }

    #[test]
    fn all_registrants_are_removed_at_once() {
        let all = Some((Key(0), 7));
        assert_eq!(ops(&[THEIRS, Key(0x30)], all), ["register", "preempt-and-abort"]);
    }

    #[test]
    fn a_key_names_its_node() {
        assert_eq!(key_of("array-a").0 >> 48, 0x7573);
        assert_ne!(key_of("array-a"), key_of("array-b"));
    }
}
