//! Entries of an initiator: commands, task management, aborts, and how they ended.

use understudy_fabric::addr::Fcid;

use crate::fields::{Entry, Fields, id_at, swap_words};
use crate::wire::fcp::{self, Residual, Response, Transfer};

use super::{FAILED, Segment, kind, scsi_status};

/// A COMMAND_TYPE_7 entry, or a TSK_MGMT: the driver wants an FCP_CMND sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// The driver's number for the target.
    pub handle: u16,
    /// The port of the HBA.
    pub vp: u8,
    /// The address of the target.
    pub id: Fcid,
    /// Seconds that the command may take; 0 for no limit of the driver's.
    pub timeout: u16,
    /// The FCP_CMND.
    pub cmnd: fcp::Command,
    /// How many segments there are: one in the entry, the others in those that continue
    /// it.
    pub segments: u16,
    /// The first segment.
    pub first: Segment,
}

impl Command {
    /// Takes a COMMAND_TYPE_7 apart.
    pub fn decode(entry: &Entry) -> Self {
        let [flags, function] = entry.u16(24).to_le_bytes();
        let transfer = Transfer {
            write: flags & 1 != 0,
            read: flags & 2 != 0,
            length: entry.u32(44),
        };
        let cmnd = fcp::Command {
            lun: entry.swapped(16),
            reference: entry.u8(27),
            attribute: entry.u8(26),
            function,
            transfer,
            cdb: entry.swapped(28),
        };
        let (timeout, segments) = (entry.u16(10), entry.u16(12));
        Self { cmnd, timeout, segments, first: Segment::at(entry, 52), ..nexus(entry) }
    }

    /// Takes a TSK_MGMT apart.
    pub fn management(entry: &Entry) -> Self {
        const FUNCTIONS: [u8; 5] = [
            fcp::Command::CLEAR_ACA,
            fcp::Command::TARGET_RESET,
            fcp::Command::CLEAR_TASK_SET,
            fcp::Command::ABORT_TASK_SET,
            fcp::Command::LUN_RESET,
        ];
        let flags = entry.u32(24);
        let function = (0..).zip(FUNCTIONS).filter(|(bit, _)| flags >> bit & 1 == 1);
        let function = function.fold(0, |all, (_, function)| all | function);
        let nexus = nexus(entry);
        let cmnd = fcp::Command { lun: entry.swapped(16), function, ..nexus.cmnd };
        Self { cmnd, timeout: entry.u16(14), ..nexus }
    }
}

/// Returns a command that does nothing, from the port to the target that an entry names.
fn nexus(entry: &Entry) -> Command {
    Command {
        handle: entry.u16(8),
        vp: entry.u8(51),
        id: id_at(entry, 48),
        timeout: 0,
        cmnd: fcp::Command::default(),
        segments: 0,
        first: Segment::default(),
    }
}

/// How a command of the driver's ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Completion {
    /// The target responded, and all data was moved.
    Complete = 0x00,
    /// The chip could not reach the guest's memory.
    DmaError = 0x02,
    /// The target's response made no sense.
    Transport = 0x03,
    /// The driver had it aborted, or reset the LUN.
    Aborted = 0x05,
    /// The time is up.
    TimedOut = 0x06,
    /// The target had more data than there was room for.
    Overrun = 0x07,
    /// The target aborted it.
    AbortedByTarget = 0x13,
    /// Less data was moved than the driver expected.
    Underrun = 0x15,
    /// The port of the HBA is not logged in to the fabric.
    PortUnavailable = 0x28,
    /// The target is logged out.
    LoggedOut = 0x29,
    /// The target was logged in again.
    ConfigurationChanged = 0x2a,
    /// All exchanges are in use.
    NoExchange = 0x2c,
}

/// A STATUS entry: how a command or a task management function ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandStatus<'a> {
    /// The handle of the driver's entry.
    pub handle: u32,
    /// How the command ended.
    pub completion: Completion,
    /// The originator's exchange ID.
    pub ox_id: u16,
    /// How many bytes were not moved, by what firmware has seen.
    pub residual: u32,
    /// The FCP_RSP, if one came.
    pub response: Option<&'a Response>,
}

impl CommandStatus<'_> {
    /// Returns the status of a command that had no response.
    pub fn new(handle: u32, completion: Completion) -> Self {
        Self { handle, completion, ox_id: 0, residual: 0, response: None }
    }

    /// How many bytes of response information and sense data the entry has.
    const ROOM: usize = 28;
    /// How many an entry has that continues it.
    const MORE_ROOM: usize = 60;

    /// Returns the entry, and those that continue its sense data.
    pub fn encode(&self) -> Vec<Entry> {
        let mut first = Entry::new(kind::STATUS);
        first.set_u32(4, self.handle);
        first.set_u16(8, self.completion as u16);
        first.set_u16(10, self.ox_id);
        first.set_u32(12, self.residual);
        let Some(response) = self.response else { return vec![first] };
        let Response { status, residual, info, sense } = response;
        let (direction, residual) = match *residual {
            Residual::None => (0, 0),
            Residual::Under(bytes) => (scsi_status::UNDER, bytes),
            Residual::Over(bytes) => (scsi_status::OVER, bytes),
        };
        let bit = |bytes: &[u8], bit| if bytes.is_empty() { 0 } else { bit };
        let flags = direction
            | bit(info, scsi_status::RESPONSE_VALID)
            | bit(sense, scsi_status::SENSE_VALID);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        first.set_u16(22, flags | u16::from(*status));
        first.set_u32(24, residual);
        first.set_u32(28, len(sense));
        first.set_u32(32, len(info));
        let bytes = [&info[..], sense].concat();
        let (head, tail) = bytes.split_at(bytes.len().min(Self::ROOM));
        first.set(36, &swap_words(head));
        let more = tail.chunks(Self::MORE_ROOM).map(|piece| {
            let mut entry = Entry::new(kind::STATUS_CONTINUED);
            entry.set(4, &swap_words(piece));
            entry
        });
        std::iter::once(first).chain(more).collect()
    }
}

/// An ABORT entry: the driver wants a command aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortCommand {
    /// The handle of the command's entry.
    pub handle: u32,
}

impl AbortCommand {
    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        Self { handle: entry.u32(12) }
    }

    /// Turns the entry into its answer: whether there was such a command.
    pub fn finish(entry: &mut Entry, known: bool) {
        entry.set_u16(8, if known { 0 } else { FAILED });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_bytes_of_a_response_reach_the_driver(
            info in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 8)],
            sense in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let response = Response { info, sense, ..Response::default() };
            let status = CommandStatus {
                handle: 7,
                completion: Completion::Complete,
                ox_id: 0,
                residual: 0,
                response: Some(&response),
            };
            let entries = status.encode();
            // The driver turns round the words of each entry, and takes what is left.
            let mut bytes = entries[0].swapped::<28>(36).to_vec();
            for entry in &entries[1..] {
                prop_assert_eq!((entry.kind(), entry.count()), (0x10, 1));
                bytes.extend(entry.swapped::<60>(4));
            }
            let expected = [&response.info[..], &response.sense].concat();
            prop_assert_eq!(&bytes[..expected.len()], &expected[..]);
            prop_assert!(bytes.len() < expected.len().max(28) + 60);
            prop_assert_eq!(entries[0].u32(28) as usize, response.sense.len());
            prop_assert_eq!(entries[0].u32(32) as usize, response.info.len());
        }

        #[test]
        fn an_fcp_cmnd_has_what_the_driver_wrote(
            noise in any::<[u8; 32]>(),
            tail in any::<[u8; 24]>(),
        ) {
            let mut entry = Entry::new(kind::COMMAND_7);
            entry.set(8, &noise);
            entry.set(40, &tail);
            let command = Command::decode(&entry);
            let cmnd = command.cmnd.encode();
            prop_assert_eq!(&swap_words(&cmnd[..8]), &entry.0[16..24]);
            prop_assert_eq!(&swap_words(&cmnd[12..28]), &entry.0[28..44]);
            prop_assert_eq!((cmnd[8], cmnd[9]), (entry.0[27], entry.0[26] & 7));
            prop_assert_eq!((cmnd[10], cmnd[11]), (entry.0[25], entry.0[24] & 3));
            prop_assert_eq!(u32::from_be_bytes(cmnd.array(28)), entry.u32(44));
        }
    }

    #[test]
    fn a_function_has_its_bit_of_the_wire() {
        let functions = [0x40, 0x20, 0x04, 0x02, 0x10];
        for (bit, function) in functions.into_iter().enumerate() {
            let mut entry = Entry::new(kind::TASK_MANAGEMENT);
            entry.set_u32(24, 1 << 31 | 1 << bit);
            assert_eq!(Command::management(&entry).cmnd.function, function);
        }
    }
}
