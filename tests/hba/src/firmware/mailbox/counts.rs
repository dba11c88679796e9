//! The command that tells how many frames came and went.

use crate::chip::{Mailboxes, Status};

use super::super::Hba;
use super::{Outcome, done, failed};

/// The length of the counts in words (`struct link_statistics`).
const WORDS: usize = 128;
/// The places of the counts that are not always zero.
const SENT: usize = 33;
const RECEIVED: usize = 34;
const DISCARDED: usize = 35;

impl Hba {
    /// Writes the counts of the whole chip into the guest's memory, whichever port they
    /// are asked of. The driver asks for them whenever one of an `fc_host`'s statistics is
    /// read (`qla24xx_get_isp_stats`).
    pub(super) fn counts(&self, mailboxes: &Mailboxes) -> Outcome {
        let counters = self.wire.counters();
        let count = |place| match place {
            SENT => counters.sent,
            RECEIVED => counters.received,
            DISCARDED => counters.discarded,
            _ => 0,
        };
        let length = usize::from(mailboxes.at(8)).min(WORDS);
        // The chip has 32 bits for each count, and a count that is full begins again.
        let words = (0..length).map(|place| count(place) as u32);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        match self.memory.write(mailboxes.address(), &bytes) {
            Ok(()) => done(&[]),
            Err(_) => failed(Status::Parameter),
        }
    }
}
