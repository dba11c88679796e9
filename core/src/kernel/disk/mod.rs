//! The protocols of disks: SCSI and NVMe. Only this module knows which disk speaks which.

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

/// A protocol in which a disk is asked, by one of its paths.
pub(crate) trait Protocol {
    /// Carries out an operation on the disk's registrations and reservation.
    fn perform(&self, path: &Path, op: &Op) -> Result<Done, KernelError>;
    /// Returns two names if they differ: the one that the kernel has for the disk, and
    /// the one that the disk reports now. `None` also for a disk that does not answer.
    fn renamed(&self, root: &Path, path: &Path) -> Option<[String; 2]>;
    /// Returns the size that the disk reports, in bytes; `None` if the kernel learns of a
    /// new size by itself, or the disk does not answer.
    fn capacity(&self, path: &Path) -> Option<u64>;
}

/// Returns the protocol of a disk or of one of its paths. Device mapper passes SCSI
/// commands on to the paths.
pub(crate) fn of(disk: &Path) -> &'static dyn Protocol {
    match is_nvme(&nexus::name(disk)) {
        true => &Nvme,
        false => &Scsi,
    }
}

/// Checks that the disk behind a path still is the one that the kernel found there. A
/// path that does not answer passes the check.
pub(crate) fn identify(root: &Path, path: &Path, op: &Op) -> Result<Done, KernelError> {
    let Some([known, now]) = of(path).renamed(root, path) else {
        return Ok(Done::Unchanged);
    };
    let why = format!("it is {now}, and this node knows it as {known}");
    Err(op.failed(Cause::Device(why)))
}
