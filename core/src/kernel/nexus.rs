//! The paths of a disk. To the disk each path is a nexus, with its own registration. A
//! command by a path that is not registered meets a reservation conflict.
//!
//! Device mapper is no help. It sends a registration to every path of a multipath device,
//! also to dead ones, stops at the first that fails, and takes back the others
//! (`dm_pr_register` in drivers/md/dm.c). It sends a question by the path that is in use,
//! even if that is dead (`dm_prepare_ioctl`). So understudy asks each path itself, and
//! leaves out dead ones.

use std::path::{Path, PathBuf};

use super::op::{Done, Op};
use super::{KernelError, paths};

/// The beginning of a multipath device's uuid (`UUID_PREFIX` of multipath-tools).
pub(crate) const MULTIPATH: &str = "mpath-";
/// The states of a path that takes commands. The first is of a SCSI device (`sdev_states`
/// in drivers/scsi/scsi_sysfs.c), the second of an NVMe controller
/// (`nvme_sysfs_show_state` in drivers/nvme/host/sysfs.c).
const UP: [&str; 2] = ["running", "live"];

/// A tree of files that has sysfs in it, the kernel's or a simulated one.
pub trait Look {
    /// Returns the text of an attribute; `None` if it cannot be read.
    fn text(&self, path: &Path) -> Option<String>;
    /// Returns the names in a directory, sorted; none if there is no such directory.
    fn names(&self, dir: &Path) -> Vec<String>;
}

/// A path of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskPath {
    /// The path's device node.
    pub node: PathBuf,
    /// The state of the SCSI device or the NVMe controller. Empty if there is none, as
    /// for a multipath device of the NVMe driver.
    pub state: String,
}

impl DiskPath {
    /// Returns whether the kernel sends commands by this path.
    #[must_use]
    pub(crate) fn is_up(&self) -> bool {
        self.state.is_empty() || UP.contains(&self.state.as_str())
    }
}

/// Returns whether a disk is a multipath device of device mapper.
pub(crate) fn is_multipath(tree: &dyn Look, disk: &Path) -> bool {
    let uuid = tree.text(&paths::block(&name(disk), "dm/uuid"));
    uuid.is_some_and(|uuid| uuid.starts_with(MULTIPATH))
}

/// Returns the paths of a disk: those of a multipath device, or else the disk itself.
pub fn of(tree: &dyn Look, disk: &Path) -> Vec<DiskPath> {
    let path = |node: PathBuf| {
        let state = tree.text(&paths::block(&name(&node), "device/state"));
        DiskPath { state: state.unwrap_or_default().trim().to_owned(), node }
    };
    if !is_multipath(tree, disk) {
        return vec![path(disk.to_owned())];
    }
    let slaves = tree.names(&paths::block(&name(disk), "slaves"));
    slaves.into_iter().map(|slave| path(disk.with_file_name(slave))).collect()
}

/// Returns the kernel's name for the disk with this device node.
pub(super) fn name(disk: &Path) -> String {
    disk.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Carries out an operation on a disk, by its paths. Every path that is up registers,
/// unregisters, and is asked which disk is behind it. Any other operation is done once,
/// by the first path that works. A path that fails is skipped if another one works.
///
/// # Errors
/// What the disk answered. If no path reached the disk, how the first of them failed.
pub fn by_paths(
    op: &Op,
    mut paths: Vec<DiskPath>,
    mut send: impl FnMut(&Path) -> Result<Done, KernelError>,
) -> Result<Done, KernelError> {
    if paths.iter().any(DiskPath::is_up) {
        paths.retain(DiskPath::is_up);
    }
    let (mut done, mut answered, mut unreached) = (None, None, None);
    for path in &paths {
        match send(&path.node) {
            Ok(answer) if !is_by_each(op) => return Ok(answer),
            Ok(answer) => done = Some(answer),
            Err(error) if error.cause.is_paths() => unreached = unreached.or(Some(error)),
            Err(error) => answered = answered.or(Some(error)),
        }
    }
    // An array may keep one registration for several paths. Then the second path finds no
    // key to give up.
    let may_differ = matches!(op, Op::Unregister { .. });
    match (done, answered) {
        (Some(done), None) => Ok(done),
        (Some(done), Some(_)) if may_differ => Ok(done),
        (_, Some(error)) => Err(error),
        (None, None) => Err(unreached
            .unwrap_or_else(|| op.failed(super::Cause::Device("it has no path".into())))),
    }
}

/// Returns whether an operation has to be done by each path.
fn is_by_each(op: &Op) -> bool {
    matches!(
        op,
        Op::Identify(_) | Op::Join { .. } | Op::Register { .. } | Op::Unregister { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_takes_commands_is_up() {
        let is_up = |state: &str| {
            DiskPath { node: PathBuf::from("/dev/sda"), state: state.into() }.is_up()
        };
        assert!(["", "running", "live"].into_iter().all(is_up));
        assert!(!["offline", "blocked", "connecting", "deleting"].into_iter().any(is_up));
    }
}
