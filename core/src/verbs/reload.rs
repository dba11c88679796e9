//! Reload: add and remove LUNs and initiators while the group is served.
//!
//! A LUN is removed like a port: it is quiesced and drained, and only then unmapped.
//! Commands to the other LUNs go on meanwhile. LIO reports each change to the initiators
//! (unit attention 3F/0E, `core_enable_device_list_for_node`).

use std::collections::BTreeSet;

use crate::action::Action;
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::config::group::{Group, Ownership};
use crate::disks::disk::{self, Disk};
use crate::disks::ownership::{self, Keys};
use crate::fc;
use crate::kernel::Chain;
use crate::kernel::reservation::Reservation;
use crate::lio::numbers;
use crate::lio::{self, Obsolete, Wanted};
use crate::run_files::registry::{self, Entry};
use crate::situation::found::Found;
use crate::situation::scope::Scope;

use super::drain::{PERCENT_TO_DRAIN, in_flight, still_in_flight, wait_until};
use super::expedited::expedited;
use super::here::{driver, find_disks, luns, misconfigured, same_state};
use super::takeover::export;
use super::{late, look, queues, unseen};

/// Changes a group that is served here to what its configuration says now. The ports are
/// not touched. If nothing has changed, nothing is done.
///
/// # Errors
/// The failure names the step and the cause. Nothing is changed if a disk is missing or
/// cannot be owned, or if a number would get another disk ([`numbers::KEEP`]). Nor is
/// anything if the disk of a LUN that stays has come back under another name. A later
/// failure leaves the changes that were made. A stop removes them with the rest.
pub fn reload(action: &mut Action, scope: &Scope) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let group = scope.group.as_ref().map_err(misconfigured)?;
    late::settled(kernel, &group.name, budget)?;
    let all = find_disks(kernel, scope, group)?;
    let disks = luns(&all);
    scope.claims.allow(kernel, group, &all)?;
    let found = look(kernel, scope)?;
    numbers_kept(group, &disks, &found)?;
    let driver = driver(kernel, group, &found, &[])?;
    let entries = entries(action, group, &all, scope, &found)?;
    let obsolete = Obsolete::of(group, &disks, &found.export);
    nothing_rebuilt(group, &obsolete)?;
    same_state(&all, &found)?;

    // Until the end, the database has the disks that come and those that go, because this
    // node may own either.
    for entry in &entries {
        let mut both = entry.clone();
        let before = scope.entries.iter().filter(|old| old.wwpn == entry.wwpn);
        both.disks.extend(before.flat_map(|old| old.disks.clone()));
        registry::record(kernel, &both)?;
    }
    action.end("look");
    // New disks are owned before anything is removed, so that a failure changes nothing.
    let keys = Keys::of(kernel, action.node).map_err(unseen)?;
    let owned = group.ownership == Ownership::Scsi3Pr;
    if owned {
        let coming: Vec<Disk> =
            disks.iter().filter(|d| !serves(&found, group, d)).cloned().collect();
        let free = Reservation::default();
        disk::identified(kernel, &coming, budget)?;
        let take = |disk: &Disk| ownership::take(&disk.node, &keys, &free);
        let own = Step::new("own the disks", coming.iter().map(take).collect());
        ownership::own(kernel, &coming, &own, &keys, budget).inspect_err(|_| {
            let nodes: Vec<_> = coming.iter().map(|disk| disk.node.clone()).collect();
            ownership::give_up(kernel, &nodes, &keys, budget);
        })?;
        action.end("own");
    }
    drain(action, &obsolete)?;
    action.end("drain");
    expedited(kernel, scope, budget, || {
        let mut steps = obsolete.remove().into_iter();
        steps.try_for_each(|(title, chains)| apply(action, title, chains))
    })?;
    action.end("remove");
    if owned {
        // Only disks that LIO has closed are given up.
        let mut left = scope.disks(kernel, &found.export);
        let stay: BTreeSet<_> = all.iter().map(|disk| &disk.node).collect();
        // One that has left has another name by now, if it is here.
        left.retain(|node| !stay.contains(node) && !disk::has_left(kernel, node));
        let errors = ownership::give_up(kernel, &left, &keys, budget).all();
        if !errors.is_empty() {
            return Err(Failure::kernel("give up the disks", &errors));
        }
        action.end("disown");
    }
    // A new size, and the queues' settings, must be in place before new LUNs are seen.
    disk::rescan(kernel, &disks, budget);
    queues::set(kernel, &disks, budget);
    let now = look(kernel, scope)?.export;
    let (vports, absent) = (&found.vports, &[]);
    let wanted = Wanted { group, driver, export: &now, vports, absent };
    expedited(kernel, scope, budget, || export(action, &wanted, &all))?;
    action.end("export");
    entries.iter().try_for_each(|entry| registry::record(kernel, entry))
}

/// Checks that no number gets another disk than initiators know. Otherwise a command that
/// an initiator sends again could be carried out on the wrong disk.
fn numbers_kept(group: &Group, disks: &[Disk], found: &Found) -> Result<(), Failure> {
    let causes = numbers::misplaced(group, disks, &found.export);
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::of(Kind::Refused, numbers::KEEP, causes).advise(numbers::OUT_THEN_IN))
}

/// Refuses to take a LUN away that stays in the group, and to make it again. Its disk has left
/// this node and come back under another name; initiators meet errors, and would lose the LUN.
fn nothing_rebuilt(group: &Group, obsolete: &Obsolete) -> Result<(), Failure> {
    let stays = |number: u16| group.luns().any(|lun| lun == number);
    let rebuilt = obsolete.luns.iter().filter(|lun| stays(lun.number));
    let numbers: BTreeSet<u16> = rebuilt.map(|lun| lun.number).collect();
    let words = |number| format!("LUN {number} is not open under its disk's name");
    let causes: Vec<_> = numbers.into_iter().map(words).collect();
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::of(Kind::Failed, "look at this node", causes)
        .advise("Its disk has left and come back; restart the group"))
}

/// Returns whether a disk is exported already, under its number in the configuration.
fn serves(found: &Found, group: &Group, disk: &Disk) -> bool {
    let path = lio::backstore_of(group.wwnn, disk);
    let there = path.and_then(|path| found.export.backstore(&path)).filter(|b| b.enabled);
    there.is_some_and(|b| b.holds(group.wwnn, disk))
}

/// Returns the database entry of each port, with the new disks.
fn entries(
    action: &Action,
    group: &Group,
    disks: &[Disk],
    scope: &Scope,
    found: &Found,
) -> Result<Vec<Entry>, Failure> {
    let Action { kernel, node, .. } = *action;
    let physical = fc::physical_ports(kernel).map_err(unseen)?;
    let entry = |port: &crate::config::group::PortSpec| {
        let is_reusable = found.situation(port.wwpn).is_reusable();
        let vport = found.vport(port.wwpn).filter(|_| !is_reusable);
        let carrier = vport.and_then(|v| physical.iter().find(|p| p.host == v.parent));
        let carrier = carrier.ok_or_else(|| {
            let cause = format!("port {} is not served here", port.wwpn);
            Failure::new(Kind::Failed, "look at this node", cause)
                .advise("A reload changes LUNs and initiators; restart the group")
        })?;
        let mut entry = Entry::new(kernel, node, group, disks, port, carrier);
        let before = scope.entries.iter().find(|old| old.wwpn == port.wwpn);
        if let Some(before) = before {
            entry.since = before.since;
            entry.took.clone_from(&before.took);
        }
        Ok(entry)
    };
    group.ports.iter().map(entry).collect()
}

fn apply(
    action: &Action,
    title: &'static str,
    chains: Vec<Chain>,
) -> Result<(), Failure> {
    let done = Step::new(title, chains).apply(action.kernel, action.budget);
    done.map_err(|errors| Failure::kernel(title, &errors))
}

/// Turns away commands to the LUNs that are to be removed, and waits until none is in
/// flight. For commands that LIO has accepted and not yet given to a disk, the removal
/// itself waits (`transport_clear_lun_ref`).
fn drain(action: &Action, obsolete: &Obsolete) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let stores = &obsolete.backstores;
    apply(action, "quiesce the LUNs", lio::quiesce(stores))?;
    let end = budget.first(PERCENT_TO_DRAIN).end;
    if wait_until(kernel, end, || in_flight(kernel, stores).is_empty()) {
        return Ok(());
    }
    let busy = in_flight(kernel, stores);
    apply(action, "serve the LUNs again", lio::resume(stores))?;
    Err(still_in_flight(busy, budget.spent(kernel))
        .advise("The LUNs were kept; see why the disk does not answer"))
}
