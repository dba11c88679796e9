//! Parameters whose value is one of a few words, each with its type.

use serde::{Deserialize, Serialize};

use super::kind::words;

/// What guarantees that one node owns a group's disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ownership {
    /// SCSI-3 (or NVMe) persistent reservations that understudy makes itself.
    Scsi3Pr,
    /// Something outside understudy, such as DRBD.
    None,
}

words!(Ownership { "scsi3-pr" => Self::Scsi3Pr, "none" => Self::None });

/// The word of the parameter `driver` for the LIO driver that belongs to the physical
/// port's driver. The parameter's other words are the names of LIO drivers.
pub const AUTO: &str = "auto";

/// Which reservations of initiators the node that takes the group over restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preserve {
    /// Every registration and reservation.
    All,
    /// Only those made with APTPL, the bit by which an initiator asks for this (SPC-4
    /// 5.13.5).
    Aptpl,
    /// No registration or reservation.
    None,
}

words!(Preserve {
    "all" => Self::All,
    "aptpl" => Self::Aptpl,
    "none" => Self::None,
});

/// How a monitor judges a group whose physical port has lost its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkLoss {
    /// The monitor fails, so Pacemaker starts the group again where it can.
    Fail,
    /// The monitor reports the group as degraded. Rules in the cluster decide whether it
    /// moves.
    Degraded,
}

words!(LinkLoss { "fail" => Self::Fail, "degraded" => Self::Degraded });
