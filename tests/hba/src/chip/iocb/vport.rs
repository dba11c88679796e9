//! Entries about virtual ports: their setup, their end, and the addresses they get.

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::Reject;
use understudy_fabric::wwn::Wwn;

use crate::fields::{Entry, Fields, id_bytes};
use crate::wire::Names;

use super::kind;

/// Completion status of VP_CONFIG and VP_CTRL.
pub mod vp_status {
    #![allow(missing_docs, reason = "the names are the driver's")]
    pub const COMPLETE: u16 = 0;
    pub const NOT_DISABLED: u16 = 1;
    pub const BAD_INDEX: u16 = 2;
    pub const UNKNOWN: u16 = 3;
}

/// A VP_CONFIG entry, which sets up one virtual port and enables it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VpConfig {
    /// Whether the port is enabled as well. The driver always asks for that, and nothing
    /// else is known here.
    pub enable: bool,
    /// How many ports the entry is about. Only 1 is known here.
    pub count: u8,
    /// The port's index, from 1.
    pub vp: u8,
    /// Whether the port serves as a target.
    pub target: bool,
    /// Whether the port is an initiator.
    pub initiator: bool,
    /// The port's names.
    pub names: Names,
}

impl VpConfig {
    const TARGET_DISABLED: u8 = 1 << 5;
    const INITIATOR: u8 = 1 << 4;

    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        Self {
            enable: entry.u8(12) == 1,
            count: entry.u8(13),
            vp: entry.u8(14),
            target: entry.u8(16) & Self::TARGET_DISABLED == 0,
            initiator: entry.u8(16) & Self::INITIATOR != 0,
            names: Names { wwpn: Wwn(entry.name(20)), wwnn: Wwn(entry.name(28)) },
        }
    }

    /// Turns the entry into its answer.
    pub fn finish(entry: &mut Entry, status: u16) {
        entry.set_u16(10, status);
    }
}

/// A VP_CTRL entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpControl {
    /// What to do: 0 enable, 8 and above disable.
    pub command: u16,
    /// The ports that it is about.
    pub vps: Vec<u8>,
}

impl VpControl {
    /// Disable without a LOGO to other ports.
    pub const DISABLE: u16 = 0x08;
    /// Disable, and log out of all ports. This is the one that the driver sends.
    pub const DISABLE_LOGO_ALL: u16 = 0x0b;

    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        let map = u128::from_le_bytes(entry.array(16));
        let vps = (1..=128_u8).filter(|vp| map >> (vp - 1) & 1 == 1).collect();
        Self { command: entry.u16(12), vps }
    }

    /// Turns the entry into its answer. A failure names the first port that failed.
    pub fn finish(entry: &mut Entry, status: u16, failed: u8) {
        entry.set_u16(8, u16::from(failed));
        entry.set_u16(10, status);
    }
}

/// How a port got its address, or why it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdStatus {
    /// The port has its address.
    Acquired,
    /// The port has another address than before.
    Changed,
    /// The login failed. The fabric's LS_RJT is told, if it sent one.
    Failed(Option<Reject>),
}

/// A RPT_ID entry in format 1: a port got its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportId {
    /// The port.
    pub vp: u8,
    /// How it went.
    pub status: IdStatus,
    /// The port's address, or [`Fcid::NONE`].
    pub id: Fcid,
    /// The name of the F_Port.
    pub f_port: Wwn,
    /// The name of the fabric.
    pub fabric: Wwn,
}

impl ReportId {
    /// The topology: an F_Port at the other end of a point-to-point link.
    const F_PORT: u8 = 6;

    /// Returns the entry.
    pub fn encode(&self) -> Entry {
        let mut entry = Entry::new(kind::REPORT_ID);
        let (status, reject) = match self.status {
            IdStatus::Acquired => (0, None),
            IdStatus::Changed => (2, None),
            IdStatus::Failed(reject) => (1, reject),
        };
        let acquired = u8::from(status != 1);
        entry.set(8, &[acquired, 1, self.vp, status]);
        entry.set(12, &id_bytes(self.id));
        entry.set(15, &[1, 0, Self::F_PORT]);
        if let Some(reject) = reject {
            entry.set(32, &[0, reject.explanation, reject.reason]);
        }
        entry.set(40, &self.f_port.0.to_be_bytes());
        entry.set(48, &self.fabric.0.to_be_bytes());
        entry
    }
}
