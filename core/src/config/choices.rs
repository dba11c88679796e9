//! Parameters that are chosen from a few words, and the words.

use serde::{Deserialize, Serialize};

use super::kind::words;

/// What guarantees that one node owns a group's disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// SCSI-3 persistent reservations, ours.
    Scsi3Pr,
    /// Something outside (DRBD, say).
    None,
}

words!(Ownership { "scsi3-pr" => Self::Scsi3Pr, "none" => Self::None });

/// The word of the parameter `driver` for the LIO driver that belongs to the physical
/// port's driver. The parameter's other words are the names of LIO drivers.
pub const AUTO: &str = "auto";

/// Which of the reservations that initiators make through the group's ports outlive a
/// takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preserve {
    /// All of them.
    All,
    /// Only those made with APTPL, by which an initiator asks for this (SPC-4 5.13.5).
    Aptpl,
    /// None.
    None,
}

words!(Preserve {
    "all" => Self::All,
    "aptpl" => Self::Aptpl,
    "none" => Self::None,
});

/// What the loss of a physical port's link means to the groups on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkLoss {
    /// A failure.
    Fail,
    /// No failure: the cluster has rules for it.
    Degraded,
}

words!(LinkLoss { "fail" => Self::Fail, "degraded" => Self::Degraded });
