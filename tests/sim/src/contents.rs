//! What disks hold: the last write of each initiator that writes to them.

use understudy_core::wwn::Wwn;

/// A write, as a disk holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Written {
    /// The flow that wrote it, by its number.
    pub flow: usize,
    /// Which of the flow's writes it is.
    pub number: u64,
}

/// Where on a disk: the initiator, and the port that it writes through.
pub(super) type Place = (Wwn, Wwn);
