//! A disk of a group as it was found on this node: its paths, its size, whether it is still
//! there and still itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::find::{
    FIND, find_all, find_any, is_same_name, node_of, one_of_several, wwid_in,
};
use super::find::{is_there, wwid_of};
use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::config::group::{DeviceName, Slot};
use crate::digest::fnv128;
use crate::kernel::nexus::{self, DiskPath, Look};
use crate::kernel::{self, Chain, Done, Kernel, KernelError, Op, paths};
use crate::wwn::Wwn;

/// How long disks may take to say how large they are: nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A disk of the group, found here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The disk's place in the group.
    pub slot: Slot,
    /// How the configuration names the disk.
    pub device: DeviceName,
    /// The device node, such as `/dev/sdb`. After a reboot it may be another one.
    pub node: PathBuf,
    /// The kernel's name for the disk: `sdb`.
    pub name: String,
    /// The world-wide identifier that the disk reports, if it does (a DRBD device does
    /// not).
    pub wwid: Option<String>,
    /// Whether it is a multipath device.
    pub is_multipath: bool,
}

impl Disk {
    /// Returns whether a device node is this disk, under this name or another.
    pub fn is_at(&self, kernel: &dyn Kernel, node: &Path) -> bool {
        let wwid = || wwid_of(kernel, node.file_name()?.to_str()?);
        self.node == node || self.wwid.is_some() && wwid() == self.wwid
    }

    /// Returns the unit serial number by which initiators know this disk as a LUN of this
    /// group. It is the same from every node, and is not the disk's own. It has 32 hex
    /// digits, and the kernel puts the first 25 into the NAA identifier.
    pub fn unit_serial(&self, wwnn: Wwn) -> String {
        let device = self.device.to_string();
        let disk = self.wwid.as_deref().unwrap_or(&device);
        format!("{:032x}", fnv128(&[&wwnn.hex(), disk]))
    }
}

/// The kernel's files, as they are seen from here.
struct Seen<'a>(&'a dyn Kernel);

impl Look for Seen<'_> {
    fn text(&self, path: &Path) -> Option<String> {
        self.0.read(path).ok()
    }

    fn names(&self, dir: &Path) -> Vec<String> {
        self.0.list(dir).unwrap_or_default()
    }
}

/// Returns the paths of a disk.
pub fn paths_of(kernel: &dyn Kernel, node: &Path) -> Vec<DiskPath> {
    nexus::of(&Seen(kernel), node)
}

/// Returns whether a device that was opened has left this node. Its name is nobody else's as
/// long as it is open, but the kernel shows it no longer, and answers all requests to it with
/// an error.
pub fn has_left(kernel: &dyn Kernel, node: &Path) -> bool {
    let name = node.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| !kernel.exists(&Path::new(paths::BLOCK).join(name)))
}

/// Checks that each disk has still the node where it was found: it may have left, and another
/// have come under its name. Once a disk is open its name is nobody else's.
///
/// # Errors
/// [`Kind::Node`]: another node may see them.
pub fn still_there(kernel: &dyn Kernel, disks: &[Disk]) -> Result<(), Failure> {
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

/// Checks that each disk is a whole one. A reservation is the whole disk's: of a partition or
/// a volume it would keep out the users of the rest, and be taken with theirs.
///
/// # Errors
/// [`Kind::Configuration`]: it is so on every node.
pub fn whole(kernel: &dyn Kernel, disks: &[Disk]) -> Result<(), Failure> {
    let why = |disk: &Disk| {
        // The kernel's names of others have no number at their end.
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
    let advice = "Give whole disks; or set ownership=none and let another resource see to it \
                  that one node alone has what is below: LVM-activate with a system id";
    Err(Failure::of(Kind::Configuration, FIND, causes).advise(advice))
}

/// Checks that each disk is what this node knows it as: an array may have put another disk in
/// its place. A disk that does not answer is not judged.
///
/// # Errors
/// [`Kind::Node`]: another node may know better.
pub fn identified(
    kernel: &dyn Kernel,
    disks: &[Disk],
    budget: Budget,
) -> Result<(), Failure> {
    ask(kernel, disks, budget, |node| vec![Op::Identify(node)])
}

/// Asks each disk who it is, as [`identified`] does, and how large it is by now: this node may
/// remember an old size.
///
/// # Errors
/// Those of [`identified`]. A size that the kernel does not take is only logged.
pub fn asked(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) -> Result<(), Failure> {
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
    let advice = "The array has another disk in its place. Have this node look anew: \
                  rescan-scsi-bus.sh --forcerescan, or take the disk out and find it again";
    Err(Failure::of(Kind::Node, IDENTIFY, causes).advise(advice))
}

/// The step that asks disks who they are.
pub const IDENTIFY: &str = "look who the disks are";

/// Makes the kernel notice which disks have grown, and logs each. A new size that the
/// kernel does not take is only logged: nobody needs it until initiators use the new end.
pub fn rescan(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) {
    let chains: Vec<Chain> =
        disks.iter().map(|disk| vec![Op::Rescan(disk.node.clone())]).collect();
    let end = budget.end.min(kernel.now() + PATIENCE);
    for (disk, result) in disks.iter().zip(kernel.run(&chains, end)) {
        grown(disk, result.into_last());
    }
}

/// Logs what came of the question how large a disk is.
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

/// Returns the names of the devices that have a block device open as a part of themselves.
///
/// # Errors
/// When there are some and they cannot be listed.
pub fn holders(kernel: &dyn Kernel, name: &str) -> Result<Vec<String>, KernelError> {
    match kernel.list(&paths::block(name, "holders")) {
        Err(error) if error.is_gone() => Ok(Vec::new()),
        holders => holders,
    }
}
