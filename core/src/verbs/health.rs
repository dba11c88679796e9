//! Health: how a group is on this node. The kernel is asked before the configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::action::Action;
use crate::config::group::{DeviceName, Group, LinkLoss, Ownership, PortSpec, Slot};
use crate::disks::disk::{self, Disk};
use crate::disks::ownership::{self, Checked, Keys};
use crate::fc::{self, PortState, VirtualPort, VportState};
use crate::kernel::{Chain, Kernel, KernelError, Op};
use crate::lio::numbers;
use crate::lio::{self, ALUA_ACTIVE_OPTIMIZED};
use crate::run_files::registry::EntryDisk;
use crate::saved_reservations;
use crate::situation::found::Found;
use crate::situation::scope::Scope;

use super::hang;
use super::here::{find_disks, left_out};
use super::late::{self, Asking};
use super::multipath;

/// How long a port may take to log in again before a monitor fails.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time between two looks at a port that is not logged in.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How closely a monitor looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Ports and targets. This only reads sysfs and configfs (OCF level 0).
    Port,
    /// In addition, whether every LUN carries out commands, and whether this node still
    /// owns its disk (OCF level 10).
    Owner,
    /// In addition, whether every disk answers a read (OCF level 20).
    Disk,
}

/// The health of a group on this node. The list is exhaustive: a caller has to answer each
/// of them, or a group could be started twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The group is served completely.
    Running,
    /// The group is served, and something is wrong that is no reason to stop it. A port
    /// may be missing or logged out because its fabric or link is lost, if the
    /// configuration tolerates that. A disk may have somebody else's keys. Or a reload
    /// has refused to put another disk behind a number.
    Degraded(Vec<String>),
    /// Nothing of the group is on this node.
    NotRunning,
    /// Something of the group is on this node, and these faults are why it is not served
    /// properly.
    Failed(Vec<String>),
}

/// Returns the health of a group. A configuration that cannot be parsed hides nothing
/// that is on this node. If nothing is, it does not matter.
pub fn health(action: &Action, scope: &Scope, level: Level) -> Health {
    let kernel = action.kernel;
    let found = match scope.glance(kernel) {
        Ok(found) => found,
        Err(error) => return Health::Failed(vec![error.to_string()]),
    };
    // Targets that somebody else made do not count. Otherwise the cluster would see the
    // group running on two nodes and stop it on both.
    if found.is_empty() || scope.is_of_others(&found) {
        return Health::NotRunning;
    }
    let group = match &scope.group {
        Ok(group) => group,
        Err(error) => {
            return Health::Failed(vec![format!(
                "it is here, and misconfigured: {error}"
            )]);
        }
    };
    let (group, refused) = match in_force(kernel, scope, group, &found) {
        Ok(found) => found,
        Err(error) => return Health::Failed(vec![error.to_string()]),
    };
    let group = group.as_ref();
    // First everything that the kernel shows at once. Disks are asked only if that is
    // sound.
    let (mut faults, mut lost) = ports(action, group, &found);
    lost.extend(refused);
    // What LIO exports beyond the group is no fault, because Pacemaker, not a monitor,
    // puts a changed configuration into force.
    faults.extend(lio::missing(group, &found.export));
    faults.extend(turned_away(kernel, group, level));
    faults.extend(unkept(group, &found));
    faults.extend(departed(kernel, scope));
    faults.extend(hang::hanging(kernel, &found));
    if faults.is_empty() && level >= Level::Owner {
        faults.extend(unheard(action, &found));
        match find_disks(kernel, scope, group) {
            Ok(disks) => {
                faults.extend(misled(kernel, scope, group, &disks));
                lost.extend(multipath::by_one_path(kernel, &disks));
                match late::asking(kernel, &group.name) {
                    Asking::Free => {
                        let Checked { faults: more, doubts } =
                            deeper(action, group, &disks, level);
                        faults.extend(more);
                        lost.extend(doubts);
                    }
                    // For a while, a slow answer is no failure.
                    Asking::Hangs => {}
                    Asking::Fault(fault) => faults.push(fault),
                }
            }
            Err(failure) => faults.push(failure.to_string()),
        }
    }
    match (faults.is_empty(), lost.is_empty()) {
        (true, true) => Health::Running,
        (true, false) => Health::Degraded(lost),
        (false, _) => Health::Failed(faults.into_iter().chain(lost).collect()),
    }
}

/// Returns the group as it is served, and what of its configuration is not in force. If a
/// reload has refused to put another disk behind a number, nothing of the new
/// configuration is in force. That is possible only if a disk has another name than in
/// the database.
fn in_force<'a>(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &'a Group,
    found: &Found,
) -> Result<(Cow<'a, Group>, Vec<String>), KernelError> {
    let configured: BTreeMap<Slot, &DeviceName> =
        group.disks.iter().map(|disk| (disk.slot, &disk.device)).collect();
    let mut known = scope.entries.iter().flat_map(|entry| &entry.disks);
    let is_renamed = |its: &EntryDisk| {
        configured.get(&its.spec.slot).is_some_and(|device| **device != its.spec.device)
    };
    if !known.any(is_renamed) {
        return Ok((Cow::Borrowed(group), Vec::new()));
    }
    let export = scope.survey(kernel)?.export;
    let disks = disk::find_any(kernel, &group.disks);
    let misplaced = numbers::misplaced(group, &disks, &export);
    if misplaced.is_empty() {
        return Ok((Cow::Borrowed(group), misplaced));
    }
    // The database has the disks that are served, and LIO has the initiators.
    let mut before = group.clone();
    let disks = scope.entries.first().map(|entry| &entry.disks);
    before.disks = disks.into_iter().flatten().map(|disk| disk.spec.clone()).collect();
    let acls = || found.export.trees.iter().flat_map(|tree| &tree.acls);
    before.initiators.retain(|name| acls().any(|acl| acl.initiator() == Some(*name)));
    Ok((Cow::Owned(before), misplaced))
}

/// Returns what is wrong with the ports, in two lists. Ports that have only lost their
/// link are in the second one, if the configuration tolerates that.
fn ports(action: &Action, group: &Group, found: &Found) -> (Vec<String>, Vec<String>) {
    let Action { kernel, budget, .. } = *action;
    let (mut faults, mut lost) = (Vec::new(), Vec::new());
    let patience = kernel.now() + PATIENCE.min(budget.length() / 2);
    for port in &group.ports {
        let wwpn = port.wwpn;
        let Some(vport) = found.vport(wwpn) else {
            let fault = format!("port {wwpn} is not here");
            match left_out(kernel, group, port) {
                Ok(true) if !found.vports.is_empty() => {
                    lost.push(fault + ": its fabric is lost");
                }
                Ok(_) => faults.push(fault),
                Err(failure) => faults.push(format!("{fault}; {failure}")),
            }
            continue;
        };
        if vport.wwnn != group.wwnn {
            faults.push(format!("port {wwpn} has node name {}", vport.wwnn));
        }
        // A link that flaps is no failure, because the port logs in again by itself.
        let mut state = Some(vport.state.clone());
        while let Some(fault) = not_served(kernel, port, vport, state.as_ref()) {
            match fc::is_online(kernel, &vport.parent) {
                Ok(false) if group.link_loss == LinkLoss::Degraded => {
                    lost.push(fault);
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    faults.push(format!("{fault}; {error}"));
                    break;
                }
            }
            let hopeless = |state| found.driver(wwpn).hopeless(state).is_some();
            if kernel.now() >= patience || state.as_ref().is_some_and(hopeless) {
                faults.push(fault);
                break;
            }
            kernel.sleep(LOOK_AGAIN);
            state = fc::state(kernel, vport).ok();
        }
    }
    (faults, lost)
}

/// Returns in words why a virtual port is not logged in to its fabric; `None` if it is.
/// `state` is `None` if the port has disappeared since it was found.
fn not_served(
    kernel: &dyn Kernel,
    port: &PortSpec,
    vport: &VirtualPort,
    state: Option<&VportState>,
) -> Option<String> {
    let wwpn = port.wwpn;
    if state != Some(&VportState::Active) {
        let state = state.map_or("gone", VportState::word);
        return Some(format!("port {wwpn} is {state} ({})", vport.vport));
    }
    match fc::host_of(kernel, wwpn) {
        Ok(Some(host)) if host.state == PortState::Online => None,
        Ok(Some(host)) => Some(format!("port {wwpn} is Active and {}", host.state)),
        Ok(None) => Some(format!("port {wwpn} has no fc_host")),
        Err(error) => Some(format!("port {wwpn}: {error}")),
    }
}

/// Returns a fault for each LUN that does not carry out commands. A stop that failed
/// leaves all LUNs in this state, so level 0 only asks the first one.
///
/// Only the ALUA state is read. A LUN can only lead to a backstore that is enabled
/// (`target_fabric_port_link`), and the backstore cannot be removed while a LUN leads to
/// it.
fn turned_away(kernel: &dyn Kernel, group: &Group, level: Level) -> Vec<String> {
    let asked = if level == Level::Port { 1 } else { group.disks.len() };
    let fault = |lun: u16| match lio::alua(kernel, &lio::backstore_path(group.wwnn, lun))
    {
        Ok(state) if state == ALUA_ACTIVE_OPTIMIZED => None,
        Ok(state) if state.is_empty() => Some(format!("LUN {lun} has no backstore")),
        Ok(state) => Some(format!("LUN {lun} is in ALUA state {state}")),
        Err(error) => Some(format!("LUN {lun}: {error}")),
    };
    group.luns().take(asked).filter_map(fault).collect()
}

/// Returns a fault for each disk that has left this node since LIO opened it. The
/// database has the names. LIO still serves such a disk, and every command ends with an
/// error.
pub(super) fn departed(kernel: &dyn Kernel, scope: &Scope) -> Vec<String> {
    let disks = scope.entries.iter().flat_map(|e| e.disks.iter().chain(&e.state));
    let disks: BTreeMap<Slot, &PathBuf> =
        disks.map(|disk| (disk.spec.slot, &disk.node)).collect();
    let gone = disks.into_iter().filter(|(_, node)| disk::has_left(kernel, node));
    let words = |(slot, node): (Slot, &PathBuf)| {
        format!("{slot} is {}, which has left this node", node.display())
    };
    gone.map(words).collect()
}

/// Returns a fault for each LUN whose disk has left and come back under another name, so
/// that LIO has the old device open. The state disk is checked too. The database need not
/// know of the change.
fn misled(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    disks: &[Disk],
) -> Vec<String> {
    let found = match scope.survey(kernel) {
        Ok(found) => found,
        Err(error) => return vec![error.to_string()],
    };
    let opened = |disk: &Disk| {
        let Some(path) = lio::backstore_of(group.wwnn, disk) else {
            return found.keepers.iter().find_map(|keeper| keeper.device.clone());
        };
        let store = found.export.backstore(&path)?;
        store.enabled.then(|| store.device.clone())
    };
    let other = |disk: &Disk| {
        let open = opened(disk).filter(|open| !disk.is_at(kernel, open))?;
        let (name, open, now) = (disk.slot, open.display(), disk.node.display());
        Some(format!("{name} is open as {open}, and its disk is {now}"))
    };
    disks.iter().filter_map(other).collect()
}

/// Returns the fault that initiators' reservations are not saved although the group has a
/// state disk.
fn unkept(group: &Group, found: &Found) -> Option<String> {
    let kept = || found.keepers.iter().any(|keeper| keeper.device.is_some());
    let fault = "initiators' reservations are not kept: there is no keeper";
    (group.state.is_some() && !kept()).then(|| fault.to_owned())
}

/// Returns a fault for each keeper that has died or hangs. LIO waits for such a keeper,
/// or refuses reservations.
fn unheard(action: &Action, found: &Found) -> Vec<String> {
    let Action { kernel, budget, .. } = *action;
    let chains = saved_reservations::questions(&found.keepers);
    let end = budget.end.min(kernel.now() + PATIENCE);
    let results = kernel.run(&chains, end).into_iter();
    results.filter_map(|result| Some(result.failed?.to_string())).collect()
}

fn deeper(action: &Action, group: &Group, disks: &[Disk], level: Level) -> Checked {
    let Action { kernel, node, budget, .. } = *action;
    let mut checked = match (group.ownership, Keys::of(kernel, node)) {
        (Ownership::None, _) => Checked::default(),
        (Ownership::Scsi3Pr, Ok(keys)) => ownership::check(kernel, disks, &keys, budget),
        (Ownership::Scsi3Pr, Err(error)) => {
            Checked { faults: vec![error.to_string()], ..Checked::default() }
        }
    };
    let faults = &mut checked.faults;
    if faults.is_empty() {
        disk::rescan(kernel, disks, budget);
    }
    if level >= Level::Disk && faults.is_empty() {
        let chains: Vec<Chain> =
            disks.iter().map(|disk| vec![Op::ReadDisk(disk.node.clone())]).collect();
        for (disk, answer) in disks.iter().zip(kernel.run(&chains, budget.end)) {
            match answer.failed {
                // A disk that is slow has not failed.
                Some(error) if error.is_late() => {
                    log::warn!("{}: {error}", disk.slot);
                }
                Some(error) => faults.push(format!("{}: {error}", disk.slot)),
                None => {}
            }
        }
    }
    checked
}
