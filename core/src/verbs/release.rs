//! Release: let commands in flight end, log the ports out, and remove everything.
//!
//! The order matters. If a port logs out with a command in flight, the kernel hangs
//! forever. If a LUN is unmapped under a live port, initiators get an I/O error. So the
//! order is: quiesce, drain, log out, unmap.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::action::Action;
use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::disks::ownership::{self, Keys, Left};
use crate::fc;
use crate::kernel::reservation::Key;
use crate::kernel::{Chain, ChainResult, Kernel, KernelError, Op};
use crate::lio;
use crate::run_files::registry;
use crate::saved_reservations;
use crate::situation::found::Found;
use crate::situation::scope::Scope;

use super::account::Accounts;
use super::drain::{drain, wait_until};
use super::expedited::expedited;
use super::guests::guests;
use super::nftables::Nftables;
use super::{hang, late, look, told};

/// How much of the time a release may wait for other groups' ports, in percent.
const PERCENT_TO_BE_ALONE: u32 = 40;
/// The title of the step that gives up the disks.
const GIVE_UP: &str = "give up the disks";
/// How long disks that this node does not serve may take to report their reservations.
const PATIENCE: Duration = Duration::from_secs(5);
/// Advice for a logout that failed.
const NOTHING_UNMAPPED: &str = "Nothing was unmapped under it. If the kernel does not \
                                answer, only fencing gets this node back";
/// The title of the step that closes the disks.
pub(super) const CLOSE: &str = "close the disks and give them up";

/// Stops serving a group on this node. If nothing of it is here, that is a success. The
/// keys on its disks are given up. A key that stays is only a warning, because nothing on
/// this node writes to the disk any longer. A database entry that stays is only a warning
/// too.
///
/// # Errors
/// When something is left with which this node could serve: a port, a session, an export,
/// an open disk, a keeper, or a command that may still end a later ownership. Only
/// fencing can rule that out, so the agent reports every error as a failed stop.
pub fn release(action: &mut Action, scope: &Scope) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    // A stop does not depend on nftables, and they may use only a small part of its time.
    let mut nftables = Nftables::get_ready(kernel, scope, budget);
    let found = look(kernel, scope)?;
    let disks = scope.disks(kernel, &found.export);
    // The note of the cluster's word is only a hint. If it cannot be read, every key with
    // this node's name counts as this node's.
    let keys = Keys::of(kernel, action.node).unwrap_or_else(|error| {
        log::warn!("{error}");
        Keys::new(action.node, None)
    });
    let accounts = Accounts::of(kernel, &found);
    action.end("look");
    if found.live().next().is_some() {
        alone(action, &found)?;
        // Nothing may come between the drain and the logout, so this comes before both.
        hang::none(kernel, &found)?;
        drain(kernel, &found, &accounts, &mut nftables, budget)?;
        action.end("drain");
        nftables.start_again(kernel, budget);
        log_out(action, scope, &found)?;
        action.end("logout");
    }

    // From here on every step is tried, even if one before it failed.
    let mut left: Vec<Failure> = Vec::new();
    expedited(kernel, scope, budget, || {
        let mut step = |title, chains| {
            if let Err(errors) = Step::new(title, chains).apply(kernel, budget) {
                left.push(Failure::kernel(title, &errors));
            }
        };
        let ports = lio::remove_ports(&found.export).into_iter();
        ports.for_each(|(title, chains)| step(title, chains));
        // Initiators are not served through strays, so a stray that stays is no failure.
        let (title, strays) = lio::remove_strays(&found.export);
        if let Err(errors) = Step::new(title, strays).apply(kernel, budget) {
            log::warn!("{title}: {}", told(&errors));
        }
        action.end("remove");
        let (closed, given_up) = disown(action, &found, disks, &keys);
        let (title, hbas) = lio::remove_hbas(&found.export);
        step(title, hbas);
        // Only what could still serve, or may still be carried out, makes a stop fail. A
        // key that stays does not, because the disk's next owner removes it before a port
        // appears.
        for (title, errors) in [(CLOSE, closed), (GIVE_UP, given_up.outstanding)] {
            left.extend((!errors.is_empty()).then(|| Failure::kernel(title, &errors)));
        }
        if !given_up.keys.is_empty() {
            log::warn!("{GIVE_UP}: {}; a key of ours may stay", told(&given_up.keys));
        }
        nftables.lift(kernel, budget);
        accounts.end(kernel, scope, &mut nftables, budget);
    });
    // This comes before the last look, so that the look shows what late calls have done.
    left.extend(late::serves_no_more(kernel, &scope.name, budget).err());
    let still = look(kernel, scope)?;
    action.end("disown");

    if left.is_empty() && !still.is_gone() {
        let stays = |wwpn| !still.is_idle(wwpn);
        let vports = still.vports.iter().filter(|port| stays(port.wwpn));
        let names = vports.map(|port| port.vport.clone());
        let trees = still.export.trees.iter().filter(|tree| stays(tree.wwpn));
        let trees = trees.map(|tree| tree.path.display().to_string());
        let hbas = still.export.hbas.iter().map(|path| path.display().to_string());
        let keepers = still.keepers.iter().map(|keeper| keeper.at.display().to_string());
        let names: Vec<_> = names.chain(trees).chain(hbas).chain(keepers).collect();
        let cause = format!("still there: {}", names.join(", "));
        left.push(Failure::new(Kind::Failed, "look once more", cause));
    }
    if let Some(first) = left.first() {
        let further = left.iter().skip(1).map(Failure::to_string);
        return Err(further.fold(first.clone(), Failure::and));
    }
    for wwpn in &scope.wwpns {
        // An entry is only a hint, and what it describes is gone. /run, where it is, may
        // be full.
        if let Err(error) = registry::forget(kernel, &scope.name, *wwpn) {
            log::warn!("forget the virtual port: {error}");
        }
    }
    Ok(())
}

/// Waits until a physical port that is to be turned off carries no other group's virtual
/// port, which would go off with it. If both groups leave this node, they do so side by
/// side.
fn alone(action: &Action, found: &Found) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let own: Vec<_> = found.live().filter(|p| p.is_own()).map(|p| p.wwpn).collect();
    if own.is_empty() {
        return Ok(());
    }
    let hanging = || match guests(kernel, &own) {
        Ok(ports) => ports.iter().flatten().map(|port| port.wwpn.to_string()).collect(),
        // A port that cannot be read may belong to another group.
        Err(error) => vec![error.to_string()],
    };
    let end = budget.first(PERCENT_TO_BE_ALONE).end;
    if wait_until(kernel, end, || hanging().is_empty()) {
        return Ok(());
    }
    let cause = format!("virtual ports hang from it: {}", hanging().join(", "));
    Err(Failure::new(Kind::Failed, "turn the physical port off", cause)
        .advise("Move the groups away first that this port carries as a guest"))
}

/// Closes the disks and gives them up. Returns the errors of closing, and what is left on
/// the disks. If this node did not serve the disks, only keys can be left: a command that
/// is carried out late does no harm there.
fn disown(
    action: &Action,
    found: &Found,
    disks: Vec<PathBuf>,
    keys: &Keys,
) -> (Vec<KernelError>, Left) {
    let Action { kernel, budget, .. } = *action;
    if found.is_gone() {
        // This node does not serve these disks, so only those with a key of this node are
        // given up.
        let end = budget.end.min(kernel.now() + PATIENCE);
        let soon = Budget { end, ..budget };
        let (ours, mut keys_left) = ownership::owned(kernel, &disks, keys, soon);
        keys_left.extend(ownership::give_up(kernel, &ours, keys, soon).all());
        return (Vec::new(), Left { keys: keys_left, ..Left::default() });
    }
    // Results come in the order of the chains: first the disks that are given up, then
    // others that are only closed.
    let step = Step::new(CLOSE, closing(found, &disks, keys.now));
    let mut results = step.run(kernel, budget);
    let others = results.split_off(disks.len().min(results.len()));
    let mut open: Vec<_> =
        others.into_iter().filter_map(|result| result.failed).collect();
    let (mut closed, mut left) = (Vec::new(), Vec::new());
    for ((disk, chain), result) in disks.into_iter().zip(&step.chains).zip(results) {
        match (chain.get(result.done.len()), result.failed) {
            (Some(Op::RemoveDir(_) | Op::Unlink(_) | Op::EndKeeper(_)), Some(error)) => {
                open.push(error);
            }
            (_, failed) => {
                closed.push(disk);
                left.push(ChainResult { failed, ..result });
            }
        }
    }
    (open, ownership::given_up(kernel, &closed, left, keys, budget))
}

/// Returns the operations that close disks and give them up, a chain for each disk. A
/// disk that cannot be closed is not given up, because it would be open here without an
/// owner. Chains that close other backstores follow.
pub(super) fn closing(found: &Found, disks: &[PathBuf], key: Key) -> Vec<Chain> {
    let mut close: BTreeMap<&PathBuf, Chain> = BTreeMap::new();
    for store in &found.export.backstores {
        close.entry(&store.device).or_default().extend(lio::close(store));
    }
    for keeper in &found.keepers {
        let device = keeper.device.as_ref().unwrap_or(&keeper.at);
        close.entry(device).or_default().extend(saved_reservations::end(keeper));
    }
    let of = |disk: &PathBuf| {
        let mut chain = close.remove(disk).unwrap_or_default();
        chain.extend(ownership::leave(disk, key));
        chain
    };
    let mut chains: Vec<Chain> = disks.iter().map(of).collect();
    chains.extend(close.into_values());
    chains
}

/// Returns the operations that take every port out of the fabric. A port is deleted, or
/// only logged out if its target is bound to it.
pub(super) fn logouts(
    kernel: &dyn Kernel,
    found: &Found,
) -> Result<Vec<Chain>, KernelError> {
    found.live().map(|port| found.driver(port.wwpn).vanish(kernel, port)).collect()
}

/// Logs every port out. After an error a port may still be there, so nothing may be
/// unmapped under it.
fn log_out(action: &Action, scope: &Scope, found: &Found) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let title = "log the virtual port out";
    let logouts =
        logouts(kernel, found).map_err(|error| Failure::kernel(title, &[error]))?;
    let step = Step::new(title, logouts);
    let hangs = found.live().filter_map(|port| found.driver(port.wwpn).may_hang(port));
    let hang = hangs.min_by_key(|hang| hang.after);
    let patience = hang.map_or(budget.end, |hang| kernel.now() + hang.after);
    let answer = step.apply(kernel, Budget { end: budget.end.min(patience), ..budget });
    let vports = fc::virtual_ports(kernel)
        .map_err(|error| Failure::kernel("look for the virtual port", &[error]))?;
    let ours = vports.into_iter().filter(|port| scope.wwpns.contains(&port.wwpn));
    let now = Found { vports: ours.collect(), ..found.clone() };
    let mut there = now.live().peekable();
    match answer {
        _ if there.peek().is_none() && !is_late(&answer) => Ok(()),
        Ok(()) => {
            let names: Vec<_> =
                there.map(|port| format!("{} ({})", port.vport, port.state)).collect();
            let cause = format!("still there: {}", names.join(", "));
            Err(Failure::new(Kind::Failed, step.title, cause))
        }
        Err(errors) => {
            let advice = hang.map_or(NOTHING_UNMAPPED, |hang| hang.advice);
            Err(Failure::kernel(step.title, &errors).advise(advice))
        }
    }
}

/// Returns whether a logout ran out of time. While the kernel is still deleting a port,
/// the port is not gone, even if the kernel no longer lists it.
fn is_late(answer: &Result<(), Vec<KernelError>>) -> bool {
    answer.as_ref().is_err_and(|errors| errors.iter().any(|error| error.is_late()))
}
