//! The protocols that disks are asked in: SCSI and NVMe. This is the only place that tells
//! one kind of disk from the other.

use std::path::Path;

use super::nvme::Nvme;
use super::op::{Done, Op};
use super::scsi::Scsi;
use super::{Cause, KernelError, nexus};

/// What a disk is asked, by one of its paths.
pub trait Protocol {
    /// Carries out an operation on the disk's registrations and reservation.
    fn perform(&self, path: &Path, op: &Op) -> Result<Done, KernelError>;
    /// Returns the name that the kernel has for a disk, and the name that the disk has now,
    /// where they differ. A disk that does not say is not judged.
    fn renamed(&self, root: &Path, path: &Path) -> Option<[String; 2]>;
    /// Returns the size in bytes that a disk has, where the disk has to be asked for it.
    fn capacity(&self, path: &Path) -> Option<u64>;
}

/// Returns the protocol of a disk, or of one path of it. Device mapper passes SCSI commands
/// on.
pub fn of(disk: &Path) -> &'static dyn Protocol {
    match is_nvme(&nexus::name(disk)) {
        true => &Nvme,
        false => &Scsi,
    }
}

/// Returns whether a block device of this name is an NVMe namespace: the kernel calls them
/// `nvme0n1` (`nvme_alloc_ns` in drivers/nvme/host/core.c).
pub fn is_nvme(name: &str) -> bool {
    name.starts_with("nvme")
}

/// Checks that what answers by a path is the disk that the kernel found there. A path that
/// does not answer is not judged here.
pub fn identify(root: &Path, path: &Path, op: &Op) -> Result<Done, KernelError> {
    let Some([known, now]) = of(path).renamed(root, path) else {
        return Ok(Done::Unchanged);
    };
    let why = format!("it is {now}, and this node knows it as {known}");
    Err(op.failed(Cause::Device(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disks_name_tells_its_protocol() {
        assert!(["nvme0n1", "nvme0c1n1", "nvme12n3"].into_iter().all(is_nvme));
        assert!(!["sda", "dm-3", "vda", "md0"].into_iter().any(is_nvme));
    }
}
