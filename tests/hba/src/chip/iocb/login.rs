//! LOGINOUT_PORT: the driver logs in to another port, or out of it.

use understudy_fabric::addr::Fcid;

use crate::fields::{Entry, Fields, id_at};

use super::FAILED;

/// What is to be done with a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// PLOGI, and then PRLI unless that is to be skipped.
    Plogi {
        /// Whether PLOGI is left out where the other port is logged in already.
        conditional: bool,
        /// Whether PRLI is left to a later entry.
        skip_prli: bool,
    },
    /// PRLI.
    Prli,
    /// ADISC.
    Adisc,
    /// LOGO.
    Logo {
        /// Whether nothing is sent: firmware only forgets the login.
        implicit: bool,
    },
    /// PRLO without a frame.
    ImplicitPrlo,
    /// Something that this firmware does not know.
    Other(u8),
}

/// A LOGINOUT_PORT entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginOut {
    /// What is to be done.
    pub operation: Operation,
    /// The driver's number for the other port.
    pub handle: u16,
    /// The port of the HBA.
    pub vp: u8,
    /// The address of the other port.
    pub id: Fcid,
}

/// What a port can do, as its PRLI says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortRoles {
    /// Service parameter word 3 of its PRLI, or of its answer to one.
    pub word3: u16,
}

impl PortRoles {
    const TARGET: u16 = 1 << 4;
    const INITIATOR: u16 = 1 << 5;
    const CONFIRM: u16 = 1 << 7;

    /// Returns the bits as an answered entry has them: 4 target, 5 initiator, 7 confirmed
    /// completion.
    fn parameter(self) -> u32 {
        u32::from(self.word3 & (Self::TARGET | Self::INITIATOR | Self::CONFIRM))
    }
}

/// Why a login failed: parameter 0 of an answered entry.
pub mod failure {
    #![allow(missing_docs, reason = "the names are the driver's")]
    pub const NO_LINK: u32 = 0x01;
    pub const NO_EXCHANGE: u32 = 0x03;
    pub const COMMAND_FAILED: u32 = 0x04;
    pub const NOT_LOGGED_IN: u32 = 0x09;
    pub const REJECTED: u32 = 0x18;
    pub const BAD_PARAMETER: u32 = 0x19;
    pub const PORT_ID_USED: u32 = 0x1a;
    pub const HANDLE_USED: u32 = 0x1b;
    pub const NO_FLOGI: u32 = 0x1f;
}

impl LoginOut {
    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        let flags = entry.u16(12);
        let bit = |n: u16| flags >> n & 1 == 1;
        let operation = match flags & 0xf {
            0 => Operation::Plogi { conditional: bit(4), skip_prli: bit(5) },
            1 => Operation::Prli,
            2 | 3 => Operation::Adisc,
            8 => Operation::Logo { implicit: bit(4) || bit(5) },
            9 if bit(4) => Operation::ImplicitPrlo,
            other => Operation::Other(other.to_le_bytes()[0]),
        };
        let (handle, vp) = (entry.u16(10), entry.u8(14));
        Self { operation, handle, vp, id: id_at(entry, 16) }
    }

    /// Turns the entry into the answer that all is done.
    pub fn succeed(entry: &mut Entry, roles: PortRoles) {
        entry.clear(8, 2);
        entry.clear(20, 44);
        entry.set_u32(20, roles.parameter());
        // Parameter 10: the class 3 parameters are valid.
        entry.set_u32(60, 1);
    }

    /// Turns the entry into the answer that it failed. The second number tells more, for
    /// some reasons.
    pub fn fail(entry: &mut Entry, reason: u32, more: u32) {
        entry.set_u16(8, FAILED);
        entry.clear(20, 44);
        entry.set_u32(20, reason);
        entry.set_u32(24, more);
    }
}
