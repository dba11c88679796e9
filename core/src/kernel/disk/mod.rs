//! The protocols that disks are asked in: SCSI and NVMe. This is the only place that tells
//! one kind of disk from the other.

pub mod nvme;
pub(super) mod opened;
mod scsi;
pub mod sense;
mod vpd;

use std::path::Path;

use crate::kernel::op::{Done, Op};
use crate::kernel::{Cause, KernelError, nexus};
use nvme::Nvme;
use nvme::names::is_nvme;
use scsi::Scsi;

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

/// Checks that what answers by a path is the disk that the kernel found there. A path that
/// does not answer is not judged here.
pub fn identify(root: &Path, path: &Path, op: &Op) -> Result<Done, KernelError> {
    let Some([known, now]) = of(path).renamed(root, path) else {
        return Ok(Done::Unchanged);
    };
    let why = format!("it is {now}, and this node knows it as {known}");
    Err(op.failed(Cause::Device(why)))
}
