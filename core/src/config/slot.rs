//! Slots: the places that disks have in a group.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place that a disk has in its group: behind a LUN number, or as the state disk. In
/// JSON a slot is a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "u16", into = "u16")]
pub enum Slot {
    /// The disk of a LUN with this number, 0 to 16383. A larger number would need an
    /// address method (SAM-5 4.7), and LIO sends numbers without one (`int_to_scsilun`).
    Lun(u16),
    /// The state disk (parameter `state`), which initiators do not see.
    Reservations,
}

impl Slot {
    /// Returns the LUN number; `None` for the state disk.
    pub fn lun(self) -> Option<u16> {
        match self {
            Self::Lun(number) => Some(number),
            Self::Reservations => None,
        }
    }
}

/// The number that stands for the state disk in JSON. No LUN can have it.
const RESERVATIONS: u16 = u16::MAX;

impl From<u16> for Slot {
    fn from(number: u16) -> Self {
        if number == RESERVATIONS { Self::Reservations } else { Self::Lun(number) }
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> Self {
        slot.lun().unwrap_or(RESERVATIONS)
    }
}

/// Prints the slot for people: `LUN 3`, or `the state device`.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lun(number) => write!(f, "LUN {number}"),
            Self::Reservations => f.write_str("the state device"),
        }
    }
}
