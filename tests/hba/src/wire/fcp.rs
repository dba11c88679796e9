//! The information units of FCP: command, transfer ready, response.
//!
//! Formats: FCP-4 clause 9; include/uapi/scsi/fc/fc_fcp.h in Linux.

use understudy_fabric::bytes::{Put, Reader};

/// FC type of FCP.
pub const TYPE: u8 = 0x08;
/// R_CTL of FCP_DATA: solicited data.
pub const R_CTL_DATA: u8 = 0x01;
/// R_CTL of FCP_XFER_RDY: data descriptor.
pub const R_CTL_XFER_RDY: u8 = 0x05;
/// R_CTL of FCP_CMND: unsolicited command.
pub const R_CTL_CMND: u8 = 0x06;
/// R_CTL of FCP_RSP: command status.
pub const R_CTL_RSP: u8 = 0x07;

/// The parts of an FCP_CMND that say how much data goes where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Whether the initiator sends data.
    pub write: bool,
    /// Whether the initiator receives data.
    pub read: bool,
    /// FCP_DL: the number of bytes.
    pub length: u32,
}

impl Transfer {
    /// Takes an FCP_CMND apart. Returns `None` where bytes are missing.
    pub fn of(cmnd: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(cmnd);
        reader.skip(11)?;
        let flags = reader.u8()?;
        reader.skip(16 + usize::from(flags >> 2) * 4)?;
        let (write, read) = (flags & 1 != 0, flags & 2 != 0);
        Some(Self { write, read, length: reader.u32()? })
    }
}

/// An FCP_CMND with a CDB of 16 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Command {
    /// The LUN.
    pub lun: [u8; 8],
    /// The command reference number.
    pub reference: u8,
    /// The task attribute, from 0 to 7: 0 is simple.
    pub attribute: u8,
    /// The task management function, as a bit, or 0 for a command.
    pub function: u8,
    /// How much data goes where.
    pub transfer: Transfer,
    /// The SCSI command.
    pub cdb: [u8; 16],
}

impl Command {
    /// Task management function: abort the initiator's tasks of a LUN.
    pub const ABORT_TASK_SET: u8 = 0x02;
    /// Task management function: abort all tasks of a LUN.
    pub const CLEAR_TASK_SET: u8 = 0x04;
    /// Task management function: reset a LUN.
    pub const LUN_RESET: u8 = 0x10;
    /// Task management function: reset the target.
    pub const TARGET_RESET: u8 = 0x20;
    /// Task management function: clear an auto contingent allegiance.
    pub const CLEAR_ACA: u8 = 0x40;

    /// Returns the FCP_CMND.
    pub fn encode(&self) -> Vec<u8> {
        let Transfer { write, read, length } = self.transfer;
        let mut out = Vec::with_capacity(32);
        out.put(&self.lun);
        out.put(&[self.reference, self.attribute & 7, self.function]);
        out.put_u8(u8::from(write) | u8::from(read) << 1);
        out.put(&self.cdb);
        out.put_u32(length);
        out
    }
}

/// An FCP_XFER_RDY: the target is ready for this much data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferReady {
    /// The offset in the whole transfer.
    pub offset: u32,
    /// The number of bytes.
    pub length: u32,
}

impl TransferReady {
    /// Takes an FCP_XFER_RDY apart.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self { offset: reader.u32()?, length: reader.u32()? })
    }

    /// Returns the FCP_XFER_RDY.
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        out.put_u32(self.offset);
        out.put_u32(self.length);
        out.put_zeros(4);
        out
    }
}

/// How much of FCP_DL was not moved, or would have been needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Residual {
    /// All was moved.
    #[default]
    None,
    /// This many bytes were not moved.
    Under(u32),
    /// This many bytes did not fit.
    Over(u32),
}

/// An FCP_RSP: how a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The SCSI status.
    pub status: u8,
    /// What was not moved.
    pub residual: Residual,
    /// FCP_RSP_INFO, whose fourth byte is the answer to a task management function. Empty
    /// if there is none; else 4 or 8 bytes.
    pub info: Vec<u8>,
    /// The sense data, or nothing.
    pub sense: Vec<u8>,
}

impl Response {
    /// SCSI status: the target has no room for the command.
    pub const TASK_SET_FULL: u8 = 0x28;

    const INFO_VALID: u8 = 1;
    const SENSE_VALID: u8 = 2;
    const OVER: u8 = 4;
    const UNDER: u8 = 8;

    /// Takes an FCP_RSP apart. Returns `None` where bytes are missing.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        reader.skip(10)?;
        let (flags, status) = (reader.u8()?, reader.u8()?);
        let (residual, sense, info) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let valid =
            |bit, len| if flags & bit == 0 { Some(0) } else { usize::try_from(len).ok() };
        let info = reader.take(valid(Self::INFO_VALID, info)?)?.to_vec();
        let sense = reader.take(valid(Self::SENSE_VALID, sense)?)?.to_vec();
        let residual = match flags & (Self::OVER | Self::UNDER) {
            0 => Residual::None,
            Self::OVER => Residual::Over(residual),
            _ => Residual::Under(residual),
        };
        Some(Self { status, residual, info, sense })
    }

    /// Returns the FCP_RSP.
    pub fn encode(&self) -> Vec<u8> {
        let (direction, residual) = match self.residual {
            Residual::None => (0, 0),
            Residual::Under(bytes) => (Self::UNDER, bytes),
            Residual::Over(bytes) => (Self::OVER, bytes),
        };
        let bit = |bytes: &[u8], bit| if bytes.is_empty() { 0 } else { bit };
        let flags = direction
            | bit(&self.info, Self::INFO_VALID)
            | bit(&self.sense, Self::SENSE_VALID);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(24 + self.info.len() + self.sense.len());
        out.put_zeros(10);
        out.put(&[flags, self.status]);
        out.put_u32(residual);
        out.put_u32(len(&self.sense));
        out.put_u32(len(&self.info));
        out.put(&self.info);
        out.put(&self.sense);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn residual() -> impl Strategy<Value = Residual> {
        prop_oneof![
            Just(Residual::None),
            any::<u32>().prop_map(Residual::Under),
            any::<u32>().prop_map(Residual::Over),
        ]
    }

    proptest! {
        #[test]
        fn the_transfer_of_a_command_survives_the_wire(
            write in any::<bool>(),
            read in any::<bool>(),
            length in any::<u32>(),
            cdb in any::<[u8; 16]>(),
        ) {
            let transfer = Transfer { write, read, length };
            let (lun, reference, attribute, function) = ([0; 8], 0, 0, 0);
            let command = Command { lun, reference, attribute, function, transfer, cdb };
            prop_assert_eq!(Transfer::of(&command.encode()), Some(transfer));
        }

        #[test]
        fn a_response_survives_the_wire(
            status in any::<u8>(),
            residual in residual(),
            info in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 8)],
            sense in prop::collection::vec(any::<u8>(), 0..96),
        ) {
            let response = Response { status, residual, info, sense };
            prop_assert_eq!(Response::decode(&response.encode()), Some(response));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Response::decode(&bytes), TransferReady::decode(&bytes), Transfer::of(&bytes));
        }
    }

    #[test]
    fn the_length_stands_after_the_additional_cdb() {
        let mut cmnd = vec![0; 28];
        cmnd[11] = 4 << 2 | 1;
        cmnd.extend([0xee; 16]);
        cmnd.extend(7_u32.to_be_bytes());
        assert_eq!(
            Transfer::of(&cmnd),
            Some(Transfer { write: true, read: false, length: 7 })
        );
        assert_eq!(Transfer::of(&cmnd[..47]), None);
    }
}
