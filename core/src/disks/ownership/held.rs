//! A disk, and who has reserved it.

use crate::disks::disk::Disk;
use crate::kernel::reservation::Reservation;

/// A disk, and who has reserved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The disk.
    pub disk: Disk,
    /// The registrations and the reservation as the disk reports them; `None` where it was
    /// not asked.
    pub reservation: Option<Reservation>,
}

impl Held {
    /// Returns the disk with what it has answered; `None` where it was not asked.
    pub fn answered(&self) -> Option<(&Disk, &Reservation)> {
        Some((&self.disk, self.reservation.as_ref()?))
    }
}

/// A disk that was not asked.
impl From<Disk> for Held {
    fn from(disk: Disk) -> Self {
        Self { disk, reservation: None }
    }
}
