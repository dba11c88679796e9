//! Commands that test, load and start the chip, and tell what it can do.

use understudy_fabric::bytes::Put;

use crate::chip::{FLASH_BASE, FLASH_LEN, Mailboxes, Status};

use super::super::Hba;
use super::{Outcome, done, failed};

/// The version of the firmware: 8.7.0, as of many cards.
const VERSION: (u16, u16, u16) = (8, 7, 0);
/// The end of the chip's own memory, by which the driver sizes its dump buffer.
const MEMORY_END: u32 = 0x1f_ffff;
/// Attributes of the firmware: it has virtual ports.
const ATTRIBUTES: u16 = 1 << 2;

/// How many commands there may be at a time, each way.
const EXCHANGES: u16 = 2048;
/// How many virtual ports there may be. One more must be a multiple of 64.
const VPORTS: u16 = 63;
/// The largest part of the flash that one command reads, in words.
const LONGEST_DUMP: u32 = 0x1_0000;

impl Hba {
    pub(super) fn execute(&self) -> Outcome {
        done(&[(1, EXCHANGES), (2, 0), (3, 0)])
    }

    pub(super) fn stop(&mut self) -> Outcome {
        self.reset_chip();
        done(&[])
    }

    pub(super) fn version(&self) -> Outcome {
        let [high_a, high_b, low_a, low_b] = MEMORY_END.to_be_bytes();
        done(&[
            (1, VERSION.0),
            (2, VERSION.1),
            (3, VERSION.2),
            (4, u16::from_be_bytes([low_a, low_b])),
            (5, u16::from_be_bytes([high_a, high_b])),
            (6, ATTRIBUTES),
            (15, 0),
            (16, 0),
            (17, 0),
        ])
    }

    pub(super) fn resources(&self) -> Outcome {
        done(&[
            (1, EXCHANGES),
            (2, EXCHANGES),
            (3, EXCHANGES),
            (6, EXCHANGES),
            (7, EXCHANGES),
            (10, EXCHANGES),
            (11, VPORTS),
            (12, 0),
        ])
    }

    /// Copies a part of the flash into the guest's memory. Other parts of the chip cannot
    /// be read.
    pub(super) fn dump_ram(&mut self, mailboxes: &Mailboxes) -> Outcome {
        let first = mailboxes.pair(8, 1).checked_sub(FLASH_BASE);
        let words = mailboxes.pair(4, 5);
        let Some(first) = first.filter(|first| *first < FLASH_LEN) else {
            return failed(Status::Error);
        };
        if words > LONGEST_DUMP {
            return failed(Status::Parameter);
        }
        let mut bytes = Vec::new();
        for word in (first..).take(usize::try_from(words).unwrap_or(0)) {
            bytes.put(&self.chip.read_flash(word).to_le_bytes());
        }
        match self.memory.write(mailboxes.address(), &bytes) {
            Ok(()) => done(&[]),
            Err(fault) => {
                self.nonsense(format!("a dump has no room: {fault}"));
                failed(Status::Parameter)
            }
        }
    }
}
