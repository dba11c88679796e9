//! A disk together with its reservation.

use crate::disks::disk::Disk;
use crate::kernel::reservation::Reservation;

/// A disk, and the reservation that it reported if it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The disk.
    pub disk: Disk,
    /// The registrations and the reservation that the disk reported; `None` if it was not
    /// asked.
    pub reservation: Option<Reservation>,
}

impl Held {
    /// Returns the disk and its reservation; `None` if it was not asked.
    pub(crate) fn answered(&self) -> Option<(&Disk, &Reservation)> {
        Some((&self.disk, self.reservation.as_ref()?))
    }
}

/// Makes a disk one whose reservation was not asked for.
impl From<Disk> for Held {
    fn from(disk: Disk) -> Self {
        Self { disk, reservation: None }
    }
}
