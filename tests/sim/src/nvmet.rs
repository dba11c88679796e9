//! Reservations of an NVMe namespace, as Linux's target has them (drivers/nvme/target/pr.c of
//! 6.13). It has no state but what it is given. Linux 7.3.4 was seen to be kinder in one thing:
//! a holder's word removes others there.

use std::collections::BTreeMap;

use super::disks::{Answer, Nexus};
use understudy_core::kernel::Cause;
use understudy_core::kernel::reservation::{
    ALL_REGISTRANTS, Key, WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
};
use understudy_core::kernel::{Done, Op};

/// The keys, each under its host.
type Registered = BTreeMap<Nexus, Key>;
/// The host that holds, and the type as SCSI numbers it.
type Holder = Option<(Nexus, u8)>;

/// Carries out a change that a host asks for.
pub(super) fn perform(
    registered: &mut Registered,
    holder: &mut Holder,
    host: Nexus,
    op: &Op,
) -> Answer {
    let own = registered.get(&host).copied();
    let done = (Ok(Done::Changed), vec![]);
    match op {
        // `nvmet_pr_register`: no error where the host has this key already.
        Op::Join { key, .. } if own.is_some_and(|own| own != *key) => conflict(),
        // Registered, and where that meets a conflict, replaced.
        Op::Join { key, .. } | Op::Register { key, .. } => {
            registered.insert(host, *key);
            done
        }
        // `nvmet_pr_replace`, with the key that is to be replaced.
        Op::Confirm { key, .. } if own == Some(*key) => done,
        Op::Unregister { key, .. } if own == Some(*key) => {
            unregister(registered, holder, host);
            done
        }
        // `nvmet_pr_acquire`.
        Op::Reserve { key, .. } if own == Some(*key) => {
            let wanted = (host, WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
            match *holder.get_or_insert(wanted) == wanted {
                true => done,
                false => conflict(),
            }
        }
        Op::PreemptAndAbort { key, other, .. } if own == Some(*key) => {
            preempt(registered, holder, host, *other)
        }
        _ => conflict(),
    }
}

fn conflict() -> Answer {
    (Err(Cause::Device("reservation conflict".into())), vec![])
}

/// Ends a registration (`nvmet_pr_unregister_one`). With the holder's the reservation ends, or
/// passes to another registrant where all are holders.
fn unregister(registered: &mut Registered, holder: &mut Holder, host: Nexus) {
    registered.remove(&host);
    *holder = match *holder {
        Some((its, kind)) if its == host => {
            let next = registered.keys().next();
            let next = next.filter(|_| ALL_REGISTRANTS.contains(&kind));
            next.map(|next| (*next, kind))
        }
        other => other,
    };
}

/// `nvmet_pr_preempt`. A holder's word removes nobody, and is answered with success.
fn preempt(
    registered: &mut Registered,
    holder: &mut Holder,
    host: Nexus,
    other: Key,
) -> Answer {
    let ours = (host, WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
    let with_key = |registered: &Registered| -> Vec<Nexus> {
        let found = registered.iter().filter(|(_, key)| **key == other);
        found.map(|(its, _)| *its).collect()
    };
    let not_ours = |mut hosts: Vec<Nexus>| {
        hosts.retain(|its| *its != host);
        hosts
    };
    let victims = match *holder {
        Some((_, kind)) if ALL_REGISTRANTS.contains(&kind) && other == Key(0) => {
            *holder = Some(ours);
            not_ours(registered.keys().copied().collect())
        }
        Some((its, kind)) if its == host && !ALL_REGISTRANTS.contains(&kind) => {
            *holder = Some(ours);
            vec![]
        }
        Some((its, kind))
            if registered.get(&its) == Some(&other)
                && !ALL_REGISTRANTS.contains(&kind) =>
        {
            *holder = Some(ours);
            not_ours(with_key(registered))
        }
        Some(_) if other == Key(0) => {
            return (Err(Cause::Device("invalid field".into())), vec![]);
        }
        // A host that gives its own key is removed itself.
        _ => match with_key(registered) {
            none if none.is_empty() => return conflict(),
            found => found,
        },
    };
    for victim in &victims {
        unregister(registered, holder, *victim);
    }
    (Ok(Done::Changed), victims)
}
