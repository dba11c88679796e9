//! A takeover group: the unit that moves from node to node.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::device_name::DeviceName;
pub use super::slot::Slot;

use crate::wwn::Wwn;

/// A virtual port of a group, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The port name that initiators know.
    pub wwpn: Wwn,
    /// The fabric that the port must appear in, by any of its names; empty for any
    /// fabric. A fabric may have several names, because a port knows it by the switch
    /// next to it.
    pub fabrics: Vec<Wwn>,
}

impl PortSpec {
    /// Returns whether the port may appear in a fabric.
    pub fn goes_to(&self, fabric: Wwn) -> bool {
        self.fabrics.is_empty() || self.fabrics.contains(&fabric)
    }

    /// Returns the names of the port's fabric, for people: `A or B`.
    pub fn fabrics_in_words(&self) -> String {
        let names: Vec<_> = self.fabrics.iter().map(Wwn::to_string).collect();
        names.join(" or ")
    }
}

/// A disk of a group, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// The disk's place in the group.
    #[serde(rename = "lun")]
    pub slot: Slot,
    /// How the configuration names the disk.
    pub device: DeviceName,
}

/// What guarantees that one node owns a group's disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// SCSI-3 persistent reservations, ours.
    Scsi3Pr,
    /// Something outside (DRBD, say).
    None,
}

/// The LIO driver that serves a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverChoice {
    /// The LIO driver that belongs to the physical port's driver.
    Auto,
    /// `fc`, for libfc ports.
    TcmFc,
    /// `qla2xxx`.
    Qla2xxx,
}

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

/// What the loss of a physical port's link means to the groups on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkLoss {
    /// A failure.
    Fail,
    /// No failure: the cluster has rules for it.
    Degraded,
}

/// A takeover group as configured: one WWNN, its ports, disks and initiators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The Pacemaker resource's name.
    pub name: String,
    /// Node name of every port.
    pub wwnn: Wwn,
    /// At least one.
    pub ports: Vec<PortSpec>,
    /// The LUNs' disks: at least one, each LUN number once.
    pub disks: Vec<DiskSpec>,
    /// At least one.
    pub initiators: Vec<Wwn>,
    /// See [`Ownership`].
    pub ownership: Ownership,
    /// The node that the group belongs to, if the configuration says.
    pub home: Option<String>,
    /// See [`DriverChoice`].
    pub driver: DriverChoice,
    /// What a monitor says of a port whose link is lost.
    pub link_loss: LinkLoss,
    /// Whether grace periods are expedited while LUNs come and go.
    pub expedite: bool,
    /// The device on which initiators' reservations are kept; `None` where none are.
    pub state: Option<DeviceName>,
    /// Which of the initiators' reservations are kept.
    pub preserve: Preserve,
}

/// Everything that is wrong with a configuration, not only the first thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct GroupError(pub Vec<String>);

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Of more people read none.
        const TOLD: usize = 8;
        let told: Vec<&str> = self.0.iter().take(TOLD).map(String::as_str).collect();
        f.write_str(&told.join("; "))?;
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// LUN numbers above this need an addressing method that LIO does not decode.
pub(super) const LUN_MAX: u16 = 16383;

/// Returns whether two names are of one node: Pacemaker compares them without regard to case
/// (`pcmk__str_casei`).
pub fn is_same_node(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

impl Group {
    /// Returns every disk that is owned: the LUNs', then the state device.
    pub fn all_disks(&self) -> Vec<DiskSpec> {
        let slot = Slot::Reservations;
        let state = self.state.clone().map(|device| DiskSpec { slot, device });
        self.disks.iter().cloned().chain(state).collect()
    }

    /// Returns the LUN numbers.
    pub fn luns(&self) -> impl Iterator<Item = u16> {
        self.disks.iter().filter_map(|disk| disk.slot.lun())
    }

    /// Returns whether the group is at home on this node.
    pub fn is_native(&self, node: &str) -> bool {
        self.home.as_deref().is_some_and(|home| is_same_node(home, node))
    }
}
