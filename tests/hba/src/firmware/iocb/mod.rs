//! Entries of the request ring.

mod login;
mod pass;
mod vport;

use crate::chip::Mailboxes;
use crate::chip::iocb::{BAD_TYPE, PORT_LOGGED_OUT, kind};
use crate::fields::{Entry, Fields};

use super::Hba;
use super::exchanges::Origin;

/// A handle that says that nobody waits for the answer.
const SKIP: u32 = 0x0fff_ffff;
/// How many mailboxes an entry has.
const ENTRY_MAILBOXES: usize = 28;

impl Hba {
    /// Takes the entries of the request ring before the index `end`.
    pub(super) fn take_requests(&mut self, end: u32) {
        if self.state.setup.is_none() {
            return;
        }
        while let Some(entry) = self.next_request(end) {
            // Entries that belong together are one request.
            let more = entry.count().saturating_sub(1);
            let rest: Vec<Entry> =
                (0..more).map_while(|_| self.next_request(end)).collect();
            if rest.len() < usize::from(more) {
                self.nonsense(format!("a request of {} entries is cut", entry.count()));
                break;
            }
            self.carry_out_entry(entry, &rest, Origin::Ring);
        }
        self.chip.set_request_out(self.state.requests.out());
    }

    fn next_request(&mut self, end: u32) -> Option<Entry> {
        match self.state.requests.take(end, &self.memory)? {
            Ok(entry) => Some(entry),
            Err(fault) => {
                self.nonsense(format!("the request ring: {fault}"));
                None
            }
        }
    }

    /// Carries out an entry, with those that continue it.
    pub(super) fn carry_out_entry(
        &mut self,
        mut entry: Entry,
        rest: &[Entry],
        origin: Origin,
    ) {
        log::debug!("entry {entry:?}");
        match entry.kind() {
            kind::MARKER if entry.handle() == SKIP => {}
            kind::MARKER => self.finish(origin, entry),
            kind::LOGIN_OUT => self.login_out(entry, origin),
            kind::CT => self.ct(entry),
            kind::ELS => self.els(entry),
            kind::VP_CONFIG => self.configure_vport(entry, origin),
            kind::VP_CONTROL => self.control_vports(entry, origin),
            kind::MAILBOX => self.mailbox_entry(entry),
            kind::NOTIFY_ACK => self.acknowledge(entry),
            kind::CTIO => self.continue_command(entry, rest),
            kind::ABORT_RESPONSE => self.answer_abort(entry),
            // An initiator's entries: nobody can be logged in as a target yet.
            kind::COMMAND_7 | kind::COMMAND_6 | kind::TASK_MANAGEMENT => {
                let mut status = Entry::new(kind::STATUS);
                status.set_u32(4, entry.handle());
                status.set_u16(8, PORT_LOGGED_OUT);
                self.finish(origin, status);
            }
            kind::ABORT => {
                // The command to abort is not known.
                entry.set_u16(8, 0x31);
                self.finish(origin, entry);
            }
            other => {
                self.nonsense(format!("an entry of type {other:#04x}"));
                entry.set(3, &[BAD_TYPE]);
                self.finish(origin, entry);
            }
        }
    }

    /// Carries out a mailbox command that has the form of an entry.
    fn mailbox_entry(&mut self, mut entry: Entry) {
        let values: Vec<u16> =
            (0..ENTRY_MAILBOXES).map(|index| entry.u16(8 + 2 * index)).collect();
        let mailboxes = Mailboxes::new(&values);
        match self.mailbox_by_entry(&mailboxes) {
            Some(answer) => {
                for (index, at) in (0..).zip((8..64).step_by(2)) {
                    entry.set_u16(at, answer.at(index));
                }
            }
            None => entry.set_u16(8, crate::chip::Status::Invalid as u16),
        }
        self.respond(entry);
    }
}
