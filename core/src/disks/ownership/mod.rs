//! Owning disks by persistent reservations, SCSI-3's or NVMe's: Write Exclusive, Registrants
//! Only, with the owner's key alone registered. Other types would either bar the owner's own
//! second path (Write Exclusive), stop everybody from reading (Exclusive Access), or have no
//! single owner to take a disk from (All Registrants).

mod keys;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::config::group::title;
use crate::disks::disk::{self, Disk};
use crate::kernel::reservation::{Key, Reservation, WRITE_EXCLUSIVE_REGISTRANTS_ONLY};
use crate::kernel::{
    Cause, Chain, ChainResult, Done, Kernel, KernelError, Op, UNREGISTER,
};
pub use keys::{Keys, Whose, knows_cluster, remember_cluster};

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

/// Returns what each disk says after a chain that asks it. That is what holds, whatever
/// the commands in the chain answered. If a chain ended before it asked, its disk is
/// asked now.
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

/// Returns the operations that make a disk ours, no matter who has it, and read that
/// back. This is a plan: nothing is done here.
pub fn take(disk: &Path, keys: &Keys, now: &Reservation) -> Chain {
    let (disk, key) = (disk.to_owned(), keys.now);
    let preempt = |other: Key| Op::PreemptAndAbort { disk: disk.clone(), key, other };
    let is_new = now.keys.is_empty() || now.host_key == Some(Key(0));
    let mut chain = match is_new {
        // As far as is known: what this node should have there is not replaced unseen.
        true => vec![Op::Join { disk: disk.clone(), key }],
        // Even what is ours already: a path that came back has no registration.
        false => vec![Op::Register { disk: disk.clone(), key }],
    };
    let mut others = now.keys.clone();
    others.retain(|other| !keys.are(*other));
    others.sort_unstable();
    others.dedup();
    match now.holder {
        Some(holder) if keys.are(holder.key) => {
            if holder.kind != WRITE_EXCLUSIVE_REGISTRANTS_ONLY
                || cannot_remove(now, &others)
            {
                // Only its holder can end a reservation, by leaving.
                let key = holder.key;
                chain.insert(0, Op::Unregister { disk: disk.clone(), key });
            }
            chain.extend(others.into_iter().map(preempt));
            chain.push(Op::Reserve { disk: disk.clone(), key });
        }
        Some(holder) => {
            // Taking the holder's key takes its reservation, so that no moment is without
            // one; the last, see [`cannot_remove`]. Key zero stands for all registrants.
            others.retain(|other| *other != holder.key && holder.key.0 != 0);
            chain.extend(others.into_iter().map(preempt));
            chain.push(preempt(holder.key));
        }
        None => {
            chain.extend(others.into_iter().map(preempt));
            chain.push(Op::Reserve { disk: disk.clone(), key });
        }
    }
    chain.push(Op::ReadReservation(disk));
    chain
}

/// Returns whether a disk that this node holds may keep others' registrations, whatever this
/// node does to them. Linux's NVMe target of 6.13 removes none at its holder's word, and
/// answers with success (`nvmet_pr_preempt` in drivers/nvme/target/pr.c).
fn cannot_remove(now: &Reservation, others: &[Key]) -> bool {
    now.host_key.is_some_and(|key| key.0 != 0) && !others.is_empty()
}

/// Returns whether disks seem to be nobody's, as after a stop. The first is asked for
/// all: to ask each of them first would be a command to each for nothing.
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
/// slow or gone for the moment may well have an owner, so nobody may be advised to do
/// without reservations for it.
pub fn advice<'a>(errors: impl IntoIterator<Item = &'a KernelError>) -> &'static str {
    let errors: Vec<_> = errors.into_iter().collect();
    let all = |cause| errors.iter().all(|error| error.cause == cause);
    match () {
        () if all(Cause::NoReservations) => {
            "If something else guarantees one owner (DRBD, say), set ownership=none; else \
             give disks with persistent reservations: SCSI-3's, or NVMe's"
        }
        () if all(Cause::Reserved) => {
            "Find out who does it. It ends with its holder, or with a reset of the LUN: \
             sg_reset --device"
        }
        () => {
            "See why the disk does not answer: its paths, its array, the kernel's log. Who \
             owns it is not known, so nothing was taken"
        }
    }
}

/// Returns a disk's number and name, for a sentence.
fn named(disk: &Disk) -> String {
    format!("{} ({})", title(disk.lun), disk.device)
}

fn nodes(disks: &[Disk]) -> Vec<PathBuf> {
    disks.iter().map(|disk| disk.node.clone()).collect()
}

/// Owns every disk or none. `step` has one chain for each disk, in the order of `disks`.
/// A chain starts with the operations of [`take`], planned from the reservation that was
/// last read (or from a free disk, if none was). It goes on with what may only run once
/// the disk is ours, such as making its backstore. Returns one result for each disk.
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
    keys: &Keys,
    budget: Budget,
) -> Result<Vec<ChainResult>, Failure> {
    let nodes = nodes(disks);
    keep_paths(kernel, disks, keys, budget);
    let mut results = step.run(kernel, budget);
    let now = read_back(kernel, &nodes, &results, budget);
    let seen =
        disks.iter().zip(&now).filter_map(|(d, now)| Some((d, now.as_ref().ok()?)));
    nobody_elses(seen, keys)?;
    let answered = now.iter().all(Result::is_ok);
    let again = nodes.iter().zip(now).map(|(disk, now)| match now {
        Ok(now) if answered && !keys.own(&now) => take(disk, keys, &now),
        _ => Chain::new(),
    });
    let mut taken = results.clone();
    carry_out(kernel, &again.collect::<Vec<_>>(), &mut taken, budget);
    acquired(kernel, disks, &taken, keys, budget)?;
    // All are ours, whatever a command on the way answered. So the rest of a chain is
    // done even where such an answer has ended it.
    let rest = step.chains.iter().zip(&mut results).map(|(chain, result)| {
        let read = result.done.iter().any(Done::is_reservation);
        if read || result.failed.is_none() {
            return Chain::new();
        }
        // Where nothing follows, as for the state device, all is done.
        *result = ChainResult::default();
        once_ours(chain)
    });
    let rest: Vec<Chain> = rest.collect();
    carry_out(kernel, &rest, &mut results, budget);
    Ok(results)
}

/// Has multipathd register paths that come back from now on. Without that a monitor does it
/// (see [`check`]), and writes by such a path meet conflicts until then.
///
/// This comes before any path is registered. Between the two, a path that comes back is
/// either up in time to be registered with the others, or multipathd finds our key on the
/// disk. To register after it what came back meanwhile would not be safe: another node may
/// have taken the disk by then.
fn keep_paths(kernel: &dyn Kernel, disks: &[Disk], keys: &Keys, budget: Budget) {
    let maps = disks.iter().filter(|disk| disk.is_multipath);
    let keep =
        |disk: &Disk| vec![Op::KeepPaths { disk: disk.node.clone(), key: keys.now }];
    let keep: Vec<Chain> = maps.map(keep).collect();
    if keep.is_empty() {
        return;
    }
    let results = kernel.run(&keep, budget.end.min(kernel.now() + FOR_MULTIPATHD));
    let mut errors = results.into_iter().filter_map(|result| result.failed);
    if let Some(error) = errors.next() {
        let more = match errors.count() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        log::warn!("{error}{more}. {KEEP_PATHS}");
    }
}

/// How long multipathd may take in all: the group is not served meanwhile.
const FOR_MULTIPATHD: Duration = Duration::from_secs(5);

/// What can be done where multipathd does not register paths that come back.
pub const KEEP_PATHS: &str = "Set reservation_key file in the defaults of multipath.conf: a \
                              path that comes back would else meet conflicts until the \
                              monitor of level 10 has registered it";

/// Refuses disks that are not for this cluster to take: held by somebody else, or with keys
/// that keep somebody else's nodes apart.
///
/// # Errors
/// Names each, and whose it is.
pub fn nobody_elses<'a>(
    disks: impl IntoIterator<Item = (&'a Disk, &'a Reservation)>,
    keys: &Keys,
) -> Result<(), Failure> {
    let cause = |(disk, now): (&Disk, &Reservation)| {
        let (key, whose) = somebody_elses(now, keys)?;
        Some((named(disk), format!("has the key {key}, {}", whose.words()), NOT_OURS))
    };
    let shared = |(disk, now): (&Disk, &Reservation)| {
        let key = now.host_key.filter(|key| key.0 != 0 && !keys.are(*key))?;
        let whose = keys.whose(key).words();
        let why = format!("has the key {key}, {whose}, under this node's own Host ID");
        Some((named(disk), why, SHARED_HOST_ID))
    };
    let found = disks.into_iter().filter_map(|seen| shared(seen).or_else(|| cause(seen)));
    let found: Vec<_> = found.collect();
    // A Host ID of two nodes is worse, and mended first.
    let advices = found.iter().map(|(.., advice)| *advice);
    let Some(advice) = advices.max_by_key(|its| *its == SHARED_HOST_ID) else {
        return Ok(());
    };
    let causes = found.iter().map(|(disk, why, _)| format!("{disk} {why}")).collect();
    let (step, advice) = ("look whose the disks are", advice.to_owned());
    Err(Failure { kind: Kind::Node, step, causes, path: None, advice })
}

/// What can be done where another node's key stands under this node's NVMe Host ID. The disk
/// takes both nodes for one host: to register here would replace the other's key, and keep it
/// out of nothing.
pub const SHARED_HOST_ID: &str = "No two nodes may have one NVMe Host ID: the disk would keep \
                                  neither out. Give each its own in /etc/nvme/hostid and \
                                  /etc/nvme/hostnqn, stop the group and connect anew. A key \
                                  that another program of this node has left: nvme \
                                  resv-register --rrega=1";

/// What can be done about a disk that somebody else has.
pub const NOT_OURS: &str = "Keep that away from the group's disks: masking at the array, the \
                            devices of fence_scsi, reservation_key in multipath.conf. A key \
                            that is left of something gone: sg_persist --clear, nvme \
                            resv-release --rrela=1";

/// Returns the key for which a disk is left alone, if there is one, and whose it is. A
/// key that only stands there beside a reservation of this cluster's is in nobody's way,
/// unless it is one of a fencing program.
fn somebody_elses(now: &Reservation, keys: &Keys) -> Option<(Key, Whose)> {
    let holder = now.holder.map(|holder| holder.key);
    // Key zero stands for all registrants.
    let is_held = |key| holder == Some(key) || holder == Some(Key(0));
    let each = now.keys.iter().map(|key| (*key, keys.whose(*key)));
    let mut found = each.filter(|(key, whose)| match whose {
        Whose::Ours | Whose::Partners => false,
        Whose::Fencing => true,
        Whose::OtherClusters => holder.is_none() || is_held(*key),
        Whose::Strangers => is_held(*key),
    });
    found.next()
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

/// Returns what of a chain follows the reading back.
fn once_ours(chain: &[Op]) -> Chain {
    let read = chain.iter().position(|op| matches!(op, Op::ReadReservation(_)));
    chain.iter().skip(read.map_or(0, |read| read + 1)).cloned().collect()
}

/// Checks that every disk is ours.
fn acquired(
    kernel: &dyn Kernel,
    disks: &[Disk],
    taken: &[ChainResult],
    keys: &Keys,
    budget: Budget,
) -> Result<(), Failure> {
    let after = read_back(kernel, &nodes(disks), taken, budget);
    let mut causes = Vec::new();
    for ((disk, answer), now) in disks.iter().zip(taken).zip(&after) {
        let why = match (now, &answer.failed) {
            (Ok(now), _) if keys.own(now) => {
                if let Some(paths) = unregistered(kernel, disk, now, keys) {
                    log::warn!("{} ({}): {paths}", title(disk.lun), disk.device);
                }
                continue;
            }
            (Err(error), _) | (Ok(_), Some(error)) => error.to_string(),
            (Ok(now), None) => {
                format!("read back, it is not ours: {}", words(now, keys))
            }
        };
        causes.push(format!("{} ({}): {why}", title(disk.lun), disk.device));
    }
    if causes.is_empty() {
        log::debug!("{} disks are ours under key {}", disks.len(), keys.now);
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
        advice: "No disk was kept. See who holds them with sg_persist --read-keys or \
                 nvme resv-report --eds"
            .into(),
    })
}

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

/// Returns the operations that give a disk up, and read that back. A reservation ends
/// with its holder's registration (SPC-4 5.13; LIO's answers are in
/// tests/sim/tests/recordings).
pub fn leave(disk: &Path, key: Key) -> Chain {
    vec![
        Op::Unregister { disk: disk.to_owned(), key },
        Op::ReadReservation(disk.to_owned()),
    ]
}

/// What is left once disks were given up.
#[derive(Debug, Default)]
pub struct Left {
    /// Commands that were sent and have not come back: each may still be carried out.
    pub outstanding: Vec<KernelError>,
    /// Disks on which a key of ours stays, or that do not say.
    pub keys: Vec<KernelError>,
}

impl Left {
    /// Returns all of it.
    pub fn all(self) -> Vec<KernelError> {
        [self.outstanding, self.keys].concat()
    }
}

/// Gives up disks, and returns what is left. Another's key is left alone, whatever is
/// asked. Where nothing is left, no key of ours is on any of them, as they say
/// themselves.
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

/// Returns the operations that give up a key that stays on a path that is dead, and read
/// that back: a path that is up takes it away there, and then gives up its own.
fn leave_dead_path(disk: &Path, key: Key) -> Chain {
    let [register, preempt] = [
        Op::Register { disk: disk.to_owned(), key },
        Op::PreemptAndAbort { disk: disk.to_owned(), key, other: key },
    ];
    [vec![register, preempt], leave(disk, key)].concat()
}

/// Returns what is left on disks after the operations of [`leave`], with their results;
/// see [`give_up`]. A disk that still has a key of ours, or does not say, is given up
/// again: what failed was a moment's trouble, or the key is an earlier one of ours, or it
/// is on a path that is dead.
pub fn given_up(
    kernel: &dyn Kernel,
    disks: &[PathBuf],
    mut left: Vec<ChainResult>,
    keys: &Keys,
    budget: Budget,
) -> Left {
    // For an earlier key, for one on a dead path, and for a moment's trouble with each.
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

/// Returns whether a chain was given up while it unregistered.
fn is_outstanding(result: &ChainResult) -> bool {
    let failed = result.failed.as_ref();
    failed
        .is_some_and(|error| error.cause == Cause::TimedOut && error.action == UNREGISTER)
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
                log::warn!("{}: {error}", title(disk.lun));
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
        log::info!("{} ({}): {paths}: registering all", title(disk.lun), disk.device);
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
        let (named, whose) = (title(disk.lun), keys.whose(other).words());
        log::warn!("{named} ({}): the key {other}, {whose}, is removed", disk.device);
        let (disk, key) = (disk.node.clone(), holder.key);
        chain.push(Op::PreemptAndAbort { disk, key, other });
    }
    if !chain.is_empty() {
        chain.push(Op::ReadReservation(disk.node.clone()));
    }
    chain
}

/// Returns in words how many paths of a disk of ours are registered, where that is fewer
/// than are up. An array may keep one registration for several paths: to register those
/// again changes nothing.
fn unregistered(
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

fn words(now: &Reservation, keys: &Keys) -> String {
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
    use crate::kernel::reservation::Holder;

    const OURS: Key = Key(0x7573 << 48 | 0x10);
    const THEIRS: Key = Key(0x7573 << 48 | 0x20);
    const OTHERS: Key = Key(0x7573 << 48 | 0x30);
    const KEYS: Keys = Keys { now: OURS, before: OURS, cluster: None };

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
        let now = Reservation { keys: keys.to_vec(), holder, host_key: None };
        let plan = take(Path::new("/dev/d"), &KEYS, &now);
        let (last, plan) = plan.split_last().unwrap();
        assert!(matches!(last, Op::ReadReservation(_)), "{last}");
        plan.iter().map(|op| op.to_string().split(' ').next().unwrap().into()).collect()
    }

    #[test]
    fn a_free_disk_is_reserved() {
        assert_eq!(ops(&[], None), ["join", "reserve"]);
    }

    #[test]
    fn a_held_disk_is_preempted_once_for_each_key() {
        let held = Some((THEIRS, 5));
        assert_eq!(ops(&[THEIRS, THEIRS], held), ["register", "preempt-and-abort"]);
        assert_eq!(
            ops(&[THEIRS, OTHERS], held),
            ["register", "preempt-and-abort", "preempt-and-abort"]
        );
    }

    /// Returns what is done to a namespace, where this host has a key or none.
    fn ops_on_nvme(
        host_key: u64,
        keys: &[Key],
        holder: Option<(Key, u8)>,
    ) -> Vec<String> {
        let holder = holder.map(|(key, kind)| Holder { key, kind });
        let host_key = Some(Key(host_key));
        let now = Reservation { keys: keys.to_vec(), holder, host_key };
        let plan = take(Path::new("/dev/d"), &KEYS, &now);
        let words = |op: &Op| match op {
            Op::PreemptAndAbort { other, .. } => format!("preempt {:x}", other.0 as u8),
            op => op.to_string().split(' ').next().unwrap_or_default().into(),
        };
        plan.iter().map(words).collect()
    }

    #[test]
    fn where_this_host_has_no_key_none_is_replaced_unseen() {
        let held = Some((THEIRS, 5));
        let ops = ops_on_nvme(0, &[THEIRS], held);
        assert_eq!(ops, ["join", "preempt 20", "read"]);
        let ops = ops_on_nvme(OURS.0, &[THEIRS, OURS], held);
        assert_eq!(ops, ["register", "preempt 20", "read"]);
    }

    #[test]
    fn the_holder_is_preempted_last() {
        let ops = ops_on_nvme(0, &[THEIRS, OTHERS], Some((THEIRS, 5)));
        assert_eq!(ops, ["join", "preempt 30", "preempt 20", "read"]);
    }

    #[test]
    fn a_host_that_holds_leaves_before_it_removes_others() {
        let held = Some((OURS, 5));
        let ops = ops_on_nvme(OURS.0, &[THEIRS, OURS], held);
        assert_eq!(ops, ["unregister", "register", "preempt 20", "reserve", "read"]);
        let ops = ops_on_nvme(OURS.0, &[OURS], held);
        assert_eq!(ops, ["register", "reserve", "read"]);
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
        assert_eq!(ops(&[THEIRS, OTHERS], all), ["register", "preempt-and-abort"]);
    }

    #[test]
    fn what_somebody_else_has_is_left_alone() {
        let (fencing, strange) = (Key(0x5e2a_0001), Key(0xdead_beef_0000_0001));
        let refused = |keys: &[Key], holder: Option<Key>| {
            let holder = holder.map(|key| Holder { key, kind: 5 });
            let now = Reservation { keys: keys.to_vec(), holder, host_key: None };
            somebody_elses(&now, &KEYS).map(|(key, _)| key)
        };
        assert_eq!(refused(&[THEIRS, OURS], Some(THEIRS)), None);
        assert_eq!(refused(&[fencing], None), Some(fencing));
        assert_eq!(refused(&[THEIRS, fencing], Some(THEIRS)), Some(fencing));
        assert_eq!(refused(&[strange], Some(strange)), Some(strange));
        assert_eq!(refused(&[strange], Some(Key(0))), Some(strange));
        assert_eq!(refused(&[THEIRS, strange], Some(THEIRS)), None);
        assert_eq!(refused(&[strange], None), None);
    }
}
