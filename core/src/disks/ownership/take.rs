//! Taking disks: this node owns all of a group's disks, or none.

use std::path::Path;
use std::time::Duration;

use super::keys::{Keys, Whose};
use super::read::{read_back, unanswered, unregistered, words};
use super::{carry_out, named, nodes};
use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind, Why};
use crate::action::step::Step;
use crate::disks::disk::Disk;
use crate::kernel::reservation::{
    ALL_REGISTRANTS, Key, Reservation, WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
};
use crate::kernel::{Chain, ChainResult, Done, Kernel, Op};

/// Returns the operations that make this node the owner of a disk, no matter who owns it
/// now, and then read the reservation. Nothing is done yet.
pub(crate) fn take(disk: &Path, keys: &Keys, now: &Reservation) -> Chain {
    let (disk, key) = (disk.to_owned(), keys.now);
    let preempt = |other: Key| Op::PreemptAndAbort { disk: disk.clone(), key, other };
    let is_new = now.keys.is_empty() || now.host_key == Some(Key(0));
    let mut chain = match is_new {
        // As far as this node knows, it has no key on the disk. If there is one after
        // all, `Join` fails, so that no key is replaced unseen.
        true => vec![Op::Join { disk: disk.clone(), key }],
        // This node's key is registered again even if it is there: a path that has come
        // back has no registration.
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
                // A reservation can only be ended by its holder, which unregisters.
                let key = holder.key;
                chain.insert(0, Op::Unregister { disk: disk.clone(), key });
            }
            chain.extend(others.into_iter().map(preempt));
            chain.push(Op::Reserve { disk: disk.clone(), key });
        }
        Some(holder) => {
            // Preempting the holder's key takes over its reservation, so the disk is
            // never without one. The holder comes last; [`cannot_remove`] says why. Key
            // zero stands for all registrants.
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

/// Returns whether a disk that this node holds may refuse to remove other registrations.
/// Linux's NVMe target of 6.13 removes none at its holder's command, and still answers
/// with success (`nvmet_pr_preempt` in drivers/nvme/target/pr.c).
fn cannot_remove(now: &Reservation, others: &[Key]) -> bool {
    now.host_key.is_some_and(|key| key.0 != 0) && !others.is_empty()
}

/// Owns every disk or none. `step` has one chain for each disk, in the order of `disks`.
/// A chain starts with the operations of [`take`], planned from the reservation that was
/// last read (or from a free disk, if none was). It goes on with what may only run once
/// the disk is ours, such as making its backstore. Returns one result for each disk.
///
/// If a disk turns out to have another owner, a second round takes it, once every disk
/// has answered. So the caller need not read the reservations first.
///
/// # Errors
/// The failure names each disk that could not be owned, and why. The caller has to give
/// up those that are owned by then.
pub(crate) fn own(
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
    // Every disk is ours now, whatever a command on the way has answered. So if such an
    // answer has ended a chain early, the rest of the chain is done now.
    let rest = step.chains.iter().zip(&mut results).map(|(chain, result)| {
        let read = result.done.iter().any(Done::is_reservation);
        if read || result.failed.is_none() {
            return Chain::new();
        }
        // For the state disk no operation follows, so its chain is complete.
        *result = ChainResult::default();
        once_ours(chain)
    });
    let rest: Vec<Chain> = rest.collect();
    carry_out(kernel, &rest, &mut results, budget);
    Ok(results)
}

/// Makes multipathd register paths that come back from now on. If that fails, a monitor
/// registers them later (see [`check`]), and writes by such a path meet conflicts until
/// then.
///
/// This is done before any path is registered. A path that comes back in between is
/// either up in time to be registered with the others, or multipathd finds this node's
/// key on the disk and registers the path. The reverse order would need a look afterwards
/// for paths that came back. That is not safe, because another node may have taken the
/// disk by then.
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

/// How long all questions to multipathd may take together. The group is not served
/// meanwhile.
const FOR_MULTIPATHD: Duration = Duration::from_secs(5);

/// Advice if multipathd does not register paths that come back.
pub(crate) const KEEP_PATHS: &str = "Set reservation_key file in the defaults of multipath.conf: a \
                              path that comes back would else meet conflicts until the \
                              monitor of level 10 has registered it";

/// Checks that this cluster may take the disks. It may not if somebody else holds one, or
/// if a key on it keeps somebody else's nodes apart.
///
/// # Errors
/// The failure names each such disk, and whose it is.
pub(crate) fn nobody_elses<'a>(
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
    let nameless = |(disk, now): (&Disk, &Reservation)| {
        let all_hold = now.holder.is_some_and(|its| ALL_REGISTRANTS.contains(&its.kind));
        let is_there = now.host_key.is_some() && now.keys.contains(&Key(0));
        let why = "has a host with the key 0, which no other host can remove".to_owned();
        (is_there && !all_hold).then(|| (named(disk), why, KEY_ZERO))
    };
    let found = disks.into_iter().filter_map(|seen| {
        shared(seen).or_else(|| nameless(seen)).or_else(|| cause(seen))
    });
    let found: Vec<_> = found.collect();
    // If two nodes have one Host ID, that is worse than the other faults and must be
    // mended first.
    let advices = found.iter().map(|(.., advice)| *advice);
    let Some(advice) = advices.max_by_key(|its| *its == SHARED_HOST_ID) else {
        return Ok(());
    };
    let causes = found.iter().map(|(disk, why, _)| format!("{disk} {why}"));
    Err(Failure::of(Kind::Node, "look whose the disks are", causes).advise(advice))
}

/// Advice if another node's key is registered under this node's NVMe Host ID. The disk
/// takes both nodes for one host. A registration by this node would replace the other
/// node's key and keep it out of nothing.
pub(crate) const SHARED_HOST_ID: &str = "No two nodes may have one NVMe Host ID: the disk \
                                  would keep neither out. Give each its own in \
                                  /etc/nvme/hostid and /etc/nvme/hostnqn, stop the \
                                  group and connect again. If another program of this \
                                  node has left the key: nvme resv-register --rrega=1";

/// Advice if an NVMe namespace has a registrant with the key 0. Programs that unregister
/// by replacing their key leave one. No other host can remove it, because a command that
/// removes a key treats 0 as an invalid field, unless all registrants hold the
/// reservation.
const KEY_ZERO: &str = "The host with that key has to remove it: nvme resv-register \
                        --rrega=1 --crkey=0. If that host is gone, and no node serves \
                        the group: register any key here, then nvme resv-release \
                        --rrela=1, which clears the namespace";

/// Advice for a disk that somebody outside this cluster uses.
pub(crate) const NOT_OURS: &str = "Keep the owner of that key away from the group's disks: by \
                            masking at the array, the devices of fence_scsi, or \
                            reservation_key in multipath.conf. If the owner no longer \
                            exists: sg_persist --clear, nvme resv-release --rrela=1";

/// Returns the first key that makes this node leave a disk alone, and whose it is. A key
/// that is only registered, beside a reservation of this cluster, is in nobody's way. A
/// fencing program's key always is.
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

/// Returns the operations of a chain that follow the one that reads the reservation.
fn once_ours(chain: &[Op]) -> Chain {
    let read = chain.iter().position(|op| matches!(op, Op::ReadReservation(_)));
    chain.iter().skip(read.map_or(0, |read| read + 1)).cloned().collect()
}

/// Checks that this node owns every disk, by what the disks themselves report.
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
        // The disk's own report decides. How a command failed only explains why a disk is
        // not owned.
        let why = match (now, &answer.failed) {
            (Ok(now), _) if keys.own(now) => {
                if let Some(paths) = unregistered(kernel, disk, now, keys) {
                    log::warn!("{}: {paths}", named(disk));
                }
                continue;
            }
            (Err(error), _) | (Ok(_), Some(error)) => {
                Why::About(named(disk), error.clone())
            }
            (Ok(now), None) => {
                let now = words(now, keys);
                format!("{}: read back, it is not ours: {now}", named(disk)).into()
            }
        };
        causes.push(why);
    }
    if causes.is_empty() {
        log::debug!("{} disks are ours under key {}", disks.len(), keys.now);
        return Ok(());
    }
    // Disks that do not answer need other advice than disks that somebody else owns.
    let mut errors = after.iter().filter_map(|now| now.as_ref().err()).peekable();
    if errors.peek().is_some() {
        return Err(unanswered(causes, errors));
    }
    Err(Failure::of(Kind::Failed, "own the disks", causes).advise(
        "No disk was kept. See who holds them with sg_persist --read-keys or nvme \
         resv-report --eds",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::reservation::Holder;

    const OURS: Key = Key(0x7573 << 48 | 0x10);
    const THEIRS: Key = Key(0x7573 << 48 | 0x20);
    const OTHERS: Key = Key(0x7573 << 48 | 0x30);
    const KEYS: Keys = Keys { now: OURS, before: OURS, cluster: None };

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

    /// Returns the operations that take a namespace on which this host has a key, or
    /// none.
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
