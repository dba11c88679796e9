//! Initiators' own persistent reservations, saved across a takeover. LIO has them in
//! memory, and what it saves against a loss of power is on this node's own disk. So a
//! keeper makes LIO save them on the state disk, which moves with the group. On the next
//! node they are written into LIO again, before the port appears.

pub mod aptpl;
pub mod memory;
mod reconciled;

pub use reconciled::reconciled;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::config::group::{Group, Preserve};
use crate::disks::disk::Disk;
use crate::kernel::state::Record;
use crate::kernel::{self, Chain, Done, Kernel, KernelError, Op, paths};
use crate::lio;
use crate::wwn::Wwn;

/// The title of the step that writes the saved reservations into LIO.
pub(crate) const GIVE_BACK: &str = "give initiators their reservations back";

/// A group's keeper on this node, or the links that one has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keeper {
    /// The directory at which the keeper is mounted.
    pub at: PathBuf,
    /// The state disk; `None` if the keeper has ended and only links are left.
    pub device: Option<PathBuf>,
    /// The links in LIO's directory that lead into the keeper's directory.
    pub links: Vec<PathBuf>,
}

/// Returns the keepers of the groups with these node names. Links are read only if one of
/// these keepers runs, or if one is `expected` to.
///
/// # Errors
/// When the mounts or the links cannot be read.
pub(crate) fn observe(
    kernel: &dyn Kernel,
    wwnns: &[Wwn],
    expected: bool,
) -> Result<Vec<Keeper>, KernelError> {
    let mounts = kernel::attribute(kernel, Path::new(paths::MOUNTS))?;
    let device = |at: &Path| {
        let mut words = mounts.lines().map(|line| line.split_whitespace());
        let mount = words.find_map(|mut words| {
            Some((words.next()?, words.next()?)).filter(|(_, on)| Path::new(on) == at)
        });
        mount.map(|(device, _)| PathBuf::from(device))
    };
    let mut keepers: Vec<_> = wwnns
        .iter()
        .map(|wwnn| paths::kept(*wwnn))
        .map(|at| Keeper { device: device(&at), at, links: Vec::new() })
        .collect();
    if expected || keepers.iter().any(|keeper| keeper.device.is_some()) {
        let links = links(kernel)?;
        for keeper in &mut keepers {
            let its = links.iter().filter(|(_, to)| to.starts_with(&keeper.at));
            keeper.links = its.map(|(link, _)| link.clone()).collect();
        }
    }
    keepers.retain(|keeper| keeper.device.is_some() || !keeper.links.is_empty());
    Ok(keepers)
}

fn links(kernel: &dyn Kernel) -> Result<Vec<(PathBuf, PathBuf)>, KernelError> {
    let Some(root) = root(kernel) else { return Ok(Vec::new()) };
    let dir = root.join("pr");
    if kernel.exists(&dir) { kernel.links(&dir) } else { Ok(Vec::new()) }
}

/// Returns LIO's directory for state files; `None` unless it is below /var or /etc.
/// Anybody could have set this path, so nothing is made or removed anywhere else.
pub(crate) fn root(kernel: &dyn Kernel) -> Option<PathBuf> {
    let root = PathBuf::from(kernel.read(&paths::lio_dbroot()).ok()?.trim());
    ["/var", "/etc"].iter().any(|dir| paths::is_below(&root, dir)).then_some(root)
}

/// Returns the operations that ask each running keeper whether it answers.
pub(crate) fn questions(keepers: &[Keeper]) -> Vec<Chain> {
    let running = keepers.iter().filter(|keeper| keeper.device.is_some());
    running.map(|keeper| vec![Op::HearKeeper(keeper.at.clone())]).collect()
}

/// Returns the operations that end a keeper. No initiator may be logged in any longer.
pub(crate) fn end(keeper: &Keeper) -> Chain {
    let links = keeper.links.iter().cloned().map(Op::Unlink);
    links.chain([Op::EndKeeper(keeper.at.clone())]).collect()
}

/// Returns the operations that make LIO save a new LUN's registrations through the
/// keeper. By itself LIO saves only those made with APTPL. With [`Preserve::All`] it
/// saves all of them, at every change.
pub(crate) fn lead(root: &Path, group: &Group, disk: &Disk, backstore: &Path) -> Chain {
    let serial = disk.unit_serial(group.wwnn);
    let file = paths::aptpl(root, &serial);
    let to = paths::kept_files(group.wwnn).join(paths::aptpl_name(&serial));
    // LIO may have written a file of its own where the link is to be. That file is out of
    // date.
    let mut chain = vec![Op::Unlink(file.clone()), Op::Link { at: file, to }];
    if group.preserve == Preserve::All {
        let path = backstore.join("attrib/force_pr_aptpl");
        chain.push(Op::Write { path, text: "1".into() });
    }
    chain
}

/// Returns the step that starts a keeper and writes into LIO what initiators had
/// registered and reserved on `disks`. LUNs that are exported already are left out,
/// because LIO takes no registrations for them. This node must own the state disk by now.
///
/// # Errors
/// When LIO's directory for state files is in no proper place, or the state disk cannot
/// be read. Then nothing may be served, because an initiator that a reservation shuts out
/// could write.
pub(crate) fn give_back(
    kernel: &dyn Kernel,
    group: &Group,
    state: &Disk,
    disks: &[Disk],
    export: &lio::Export,
    budget: Budget,
) -> Result<Step, Failure> {
    if root(kernel).is_none() {
        let cause =
            format!("{} names no place below /var", paths::lio_dbroot().display());
        return Err(Failure::new(Kind::Node, GIVE_BACK, cause)
            .advise("LIO sets it when it is loaded; see who has changed it"));
    }
    let records = load(kernel, &state.node, budget).map_err(|e| unreadable(&e))?;
    let linked = export.linked();
    let known: BTreeMap<_, _> =
        records.iter().map(|record| (record.serial.as_str(), &record.text)).collect();
    let at = paths::kept(group.wwnn);
    let keep = Op::Keep { device: state.node.clone(), at: at.clone() };
    // If the group exports nothing, a keeper that runs is a late one. An action that was
    // killed has started it, and it has read the state disk before others wrote to it.
    let late = linked.is_empty().then_some(Op::EndKeeper(at));
    let mut chains = vec![late.into_iter().chain([keep]).collect()];
    for disk in disks {
        let Some(lun) = disk.slot.lun() else { continue };
        let path = lio::backstore_path(group.wwnn, lun);
        let Some(text) = known.get(disk.unit_serial(group.wwnn).as_str()) else {
            continue;
        };
        if !linked.contains(path.as_path()) {
            chains.push(told(group, lun, &path, text));
        }
    }
    Ok(Step::new(GIVE_BACK, chains))
}

/// Reads the records on a state disk.
///
/// # Errors
/// When the disk cannot be read, or has data of another kind.
pub(crate) fn load(
    kernel: &dyn Kernel,
    device: &Path,
    budget: Budget,
) -> Result<Vec<Record>, KernelError> {
    let load = vec![Op::LoadState(device.to_owned())];
    let loaded = kernel.run(&[load], budget.end).pop().unwrap_or_default();
    match loaded.into_last()? {
        Done::State(records) => Ok(records),
        _ => Err(KernelError::errno("read state device", device, Errno::EIO)),
    }
}

/// Returns the operations that write a LUN's saved registrations into LIO. Registrations
/// that no longer belong to the group are left out.
fn told(group: &Group, lun: u16, backstore: &Path, text: &str) -> Chain {
    let registrations = aptpl::registrations(text);
    let write = |registration: &aptpl::Registration| {
        let path = backstore.join("pr/res_aptpl_metadata");
        Op::Write { path, text: registration.metadata(lun) }
    };
    let (ours, gone): (Vec<_>, Vec<_>) =
        registrations.iter().partition(|registration| registration.is_of(group));
    for registration in gone {
        let who = registration.get("initiator_node");
        log::info!("LUN {lun}: {who} is no initiator of the group any more");
    }
    ours.into_iter().map(write).collect()
}

fn unreadable(error: &KernelError) -> Failure {
    Failure {
        kind: Kind::Node,
        ..Failure::kernel(GIVE_BACK, std::slice::from_ref(error))
    }
    .advise(
        "Without it, initiators that a reservation keeps out would be let in. To begin \
         again, write zeros to the first MiB of the state device",
    )
}
