//! A disk of a group, as it was found on this node, and checks of it: is it still there,
//! is it the right disk, is it whole, has it grown.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use super::find::{FIND, is_same_name, node_of, one_of_several, wwid_in};
pub use super::find::{find_all, find_any};
use super::find::{is_there, wwid_of};
use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::config::group::{DeviceName, Slot};
use crate::digest::fnv128;
use crate::kernel::nexus::{self, DiskPath, Look};
use crate::kernel::{self, Chain, Done, Kernel, KernelError, Op, paths};
use crate::wwn::Wwn;

/// How long disks may take to report who they are and how large. No step waits longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A disk of a group that was found on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The disk's place in the group.
    pub slot: Slot,
    /// How the configuration names the disk.
    pub device: DeviceName,
    /// The disk's device node, such as `/dev/sdb`. It may change with every boot.
    pub node: PathBuf,
    /// The kernel's name for the disk: `sdb`.
    pub name: String,
    /// The world-wide identifier that the disk reports; `None` for one that reports none,
    /// such as a DRBD device.
    pub wwid: Option<String>,
    /// Whether the disk is a multipath device.
    pub is_multipath: bool,
}

impl Disk {
    /// Returns whether a device node is a node of this disk: the one it was found at, or
    /// one with the disk's WWID.
    pub(crate) fn is_at(&self, kernel: &dyn Kernel, node: &Path) -> bool {
        let wwid = || wwid_of(kernel, node.file_name()?.to_str()?);
        self.node == node || self.wwid.is_some() && wwid() == self.wwid
    }

    /// Returns the unit serial number that initiators see for this disk as a LUN of this
    /// group. Every node comes to the same number, and it is not the disk's own. It has
    /// 32 hex digits. The kernel puts the first 25 into the NAA identifier.
    pub fn unit_serial(&self, wwnn: Wwn) -> String {
        let device = self.device.to_string();
        let disk = self.wwid.as_deref().unwrap_or(&device);
        format!("{:032x}", fnv128(&[&wwnn.hex(), disk]))
    }
}

/// Access to the kernel's files through the kernel door, for [`nexus`].
struct Seen<'a>(&'a dyn Kernel);

impl Look for Seen<'_> {
    fn text(&self, path: &Path) -> Option<String> {
        self.0.read(path).ok()
    }

    fn names(&self, dir: &Path) -> Vec<String> {
        self.0.list(dir).unwrap_or_default()
    }
}

/// Returns the paths of a disk: those of a multipath device, or else the disk itself.
pub(crate) fn paths_of(kernel: &dyn Kernel, node: &Path) -> Vec<DiskPath> {
    nexus::of(&Seen(kernel), node)
}

/// Returns whether a device that is open has left this node. The kernel keeps its name
/// for it as long as it is open, but no longer shows it, and answers every request with
/// an error.
pub(crate) fn has_left(kernel: &dyn Kernel, node: &Path) -> bool {
    let name = node.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| !kernel.exists(&Path::new(paths::BLOCK).join(name)))
}

/// Checks that each disk still has the device node at which it was found. It may have
/// left, and another disk may have come under that name. Once a disk is open, no other
/// can get its name.
///
/// # Errors
/// [`Kind::Node`], because another node may still see the disks.
pub(crate) fn still_there(kernel: &dyn Kernel, disks: &[Disk]) -> Result<(), Failure> {
    let gone = disks.iter().filter(|disk| !is_there(kernel, disk));
    let words = |disk: &Disk| {
        let (slot, node) = (disk.slot, disk.node.display());
        format!("{slot}: {} is no longer {node}", disk.device)
    };
    let causes: Vec<_> = gone.map(words).collect();
    if causes.is_empty() {
        return Ok(());
    }
    let advice = "The disk has left this node meanwhile; see why: its cable, its path, the \
                  kernel's log";
    Err(Failure::of(Kind::Node, FIND, causes).advise(advice))
}

/// Checks that each disk is a whole disk. A reservation is always one of the whole disk.
/// Made for a partition or a volume, it would shut out the users of the rest of the disk,
/// and their reservation would shut out this group.
///
/// # Errors
/// [`Kind::Configuration`], because a partition is one on every node.
pub(crate) fn whole(kernel: &dyn Kernel, disks: &[Disk]) -> Result<(), Failure> {
    let why = |disk: &Disk| {
        // Only names that end in a digit can be a partition's or a device mapper's. That
        // saves two reads for each `sdb`.
        let may_be = disk.name.ends_with(|last: char| last.is_ascii_digit());
        let read = |name| match may_be {
            true => kernel::attribute(kernel, &paths::block(&disk.name, name)),
            false => Ok(String::new()),
        };
        match (read("partition"), read("dm/uuid")) {
            (Ok(number), _) if !number.is_empty() => Some("is a partition".to_owned()),
            (_, Ok(uuid)) if !uuid.is_empty() && !disk.is_multipath => {
                let kind = uuid.split('-').next().unwrap_or_default();
                Some(format!("is a device of device mapper's, {kind}"))
            }
            (Err(error), _) | (_, Err(error)) => Some(error.to_string()),
            _ => None,
        }
    };
    let named = |disk: &Disk| {
        let (slot, name) = (disk.slot, &disk.name);
        Some(format!("{slot}: {} ({name}) {}", disk.device, why(disk)?))
    };
    let causes: Vec<_> = disks.iter().filter_map(named).collect();
    if causes.is_empty() {
        return Ok(());
    }
    let advice = "Use whole disks. Or set ownership=none and let another resource \
                  guarantee that only one node uses the disks beneath: LVM-activate \
                  with a system id";
    Err(Failure::of(Kind::Configuration, FIND, causes).advise(advice))
}

/// Checks that each disk still reports the identity that this node remembers. An array
/// may have put another disk in its place. A disk that does not answer in time is not
/// judged.
///
/// # Errors
/// [`Kind::Node`], because another node may know the new disk already.
pub(crate) fn identified(
    kernel: &dyn Kernel,
    disks: &[Disk],
    budget: Budget,
) -> Result<(), Failure> {
    ask(kernel, disks, budget, |node| vec![Op::Identify(node)])
}

/// Asks each disk who it is, as [`identified`] does, and then how large it is, because
/// this node may remember an old size.
///
/// # Errors
/// Those of [`identified`]. If the kernel refuses a new size, that is only logged.
pub(crate) fn asked(
    kernel: &dyn Kernel,
    disks: &[Disk],
    budget: Budget,
) -> Result<(), Failure> {
    ask(kernel, disks, budget, |node| vec![Op::Identify(node.clone()), Op::Rescan(node)])
}

fn ask(
    kernel: &dyn Kernel,
    disks: &[Disk],
    budget: Budget,
    questions: impl Fn(PathBuf) -> Chain,
) -> Result<(), Failure> {
    let chains: Vec<Chain> =
        disks.iter().map(|disk| questions(disk.node.clone())).collect();
    let end = budget.end.min(kernel.now() + PATIENCE);
    let mut causes = Vec::new();
    for (disk, result) in disks.iter().zip(kernel.run(&chains, end)) {
        let is_other = result.done.is_empty();
        match result.into_last() {
            Err(error) if is_other && !error.is_late() => {
                let (slot, name) = (disk.slot, &disk.name);
                causes.push(format!("{slot} ({name}): {}", error.cause));
            }
            answer => grown(disk, answer),
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let advice = "The array has another disk in its place. Have this node look again: \
                  rescan-scsi-bus.sh --forcerescan, or remove the disk from the node \
                  and scan for it";
    Err(Failure::of(Kind::Node, IDENTIFY, causes).advise(advice))
}

/// The title of the step that asks disks who they are.
pub(crate) const IDENTIFY: &str = "look who the disks are";

/// Makes the kernel read the size of each disk again, and logs each that has grown. If
/// the kernel refuses a new size, that is only logged too: initiators do not need it
/// until they use the new space.
pub(crate) fn rescan(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) {
    let chains: Vec<Chain> =
        disks.iter().map(|disk| vec![Op::Rescan(disk.node.clone())]).collect();
    let end = budget.end.min(kernel.now() + PATIENCE);
    for (disk, result) in disks.iter().zip(kernel.run(&chains, end)) {
        grown(disk, result.into_last());
    }
}

/// Logs the answer to the question for a disk's size.
fn grown(disk: &Disk, answer: Result<Done, KernelError>) {
    let slot = disk.slot;
    match answer {
        Ok(Done::Changed) => {
            log::info!("{slot} has grown; initiators see it when they rescan");
        }
        Ok(_) => {}
        Err(error) => log::warn!("{slot}: {error}"),
    }
}

/// Returns the names of the block devices that are stacked on the block device `name`,
/// such as a multipath device on one of its paths.
///
/// # Errors
/// When they cannot be listed. A device that has no such list has none.
pub(crate) fn holders(
    kernel: &dyn Kernel,
    name: &str,
) -> Result<Vec<String>, KernelError> {
    match kernel.list(&paths::block(name, "holders")) {
        Err(error) if error.is_gone() => Ok(Vec::new()),
        holders => holders,
    }
}
