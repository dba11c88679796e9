//! The entries of the rings: requests of the driver, and what firmware tells it.
//!
//! Formats: drivers/scsi/qla2xxx/qla_fw.h, and qla_target.h for those of a target.

mod initiator;
mod login;
mod pass;
mod target;
mod vport;

pub use initiator::{AbortCommand, Command, CommandStatus, Completion};
pub use login::{LoginOut, Operation, PortRoles, failure};
pub use pass::{Ct, Els, Segment};
pub use target::{
    AbortReceived, AbortResponse, Ctio, CtioStatus, Notify, NotifyAck, Phase, atio,
};
pub use vport::{IdStatus, ReportId, VpConfig, VpControl, vp_status};

/// Types of entries.
pub mod kind {
    #![allow(missing_docs, reason = "the names are the driver's")]
    pub const STATUS: u8 = 0x03;
    pub const MARKER: u8 = 0x04;
    pub const ATIO: u8 = 0x06;
    pub const CONTINUE: u8 = 0x0a;
    pub const IMMEDIATE_NOTIFY: u8 = 0x0d;
    pub const NOTIFY_ACK: u8 = 0x0e;
    pub const STATUS_CONTINUED: u8 = 0x10;
    pub const CTIO: u8 = 0x12;
    pub const TASK_MANAGEMENT: u8 = 0x14;
    pub const COMMAND_7: u8 = 0x18;
    pub const CT: u8 = 0x29;
    pub const VP_CONTROL: u8 = 0x30;
    pub const VP_CONFIG: u8 = 0x31;
    pub const REPORT_ID: u8 = 0x32;
    pub const ABORT: u8 = 0x33;
    pub const MAILBOX: u8 = 0x39;
    pub const LOGIN_OUT: u8 = 0x52;
    pub const ELS: u8 = 0x53;
    pub const ABORT_RECEIVED: u8 = 0x54;
    pub const ABORT_RESPONSE: u8 = 0x55;
}

/// Completion status of an entry: the port is not there.
pub const PORT_UNAVAILABLE: u16 = 0x28;
/// Completion status of an entry: the port is logged out.
pub const PORT_LOGGED_OUT: u16 = 0x29;
/// Completion status of an entry: it failed; the entry says why.
pub const FAILED: u16 = 0x31;
/// Completion status of an entry: no answer came in time.
pub const TIMED_OUT: u16 = 0x06;
/// Completion status of an entry: the chip could not reach the guest's memory.
pub const DMA_ERROR: u16 = 0x02;

/// What an entry says of a response beside its SCSI status.
mod scsi_status {
    /// Response information is valid.
    pub(super) const RESPONSE_VALID: u16 = 0x100;
    /// Sense data are valid.
    pub(super) const SENSE_VALID: u16 = 0x200;
    /// Data did not fit.
    pub(super) const OVER: u16 = 0x400;
    /// Less data was moved than was expected.
    pub(super) const UNDER: u16 = 0x800;
}

/// Entry status: the entry makes no sense to firmware (RF_INV_E_TYPE).
pub const BAD_TYPE: u8 = 1 << 2;
/// Entry status: a field of the entry makes no sense (RF_INV_E_PARAM).
pub const BAD_PARAMETER: u8 = 1 << 3;
