//! Entries of the request ring.

mod login;
mod pass;
mod vport;

use crate::chip::Mailboxes;
use crate::chip::iocb::{BAD_TYPE, kind};
use crate::fields::{Entry, Fields};

use super::Hba;
use super::exchanges::Origin;

/// A handle that says that nobody waits for the answer.
const SKIP: u32 = 0x0fff_ffff;
/// How many answers may wait for room in the response ring before requests wait as well.
const MOST_ANSWERS: usize = 4096;
/// How many bytes of data may wait to be sent before requests wait as well.
const MOST_DATA: usize = 32 << 20;
/// How many mailboxes an entry has.
const ENTRY_MAILBOXES: usize = 28;

impl Hba {
    /// Takes the entries of the request ring before the index `end`, as far as there is
    /// room for what follows from them.
    pub(super) fn take_requests(&mut self, end: u32) {
        if self.state.setup.is_none() {
            return;
        }
        if !self.state.requests.has(end) {
            return self.nonsense(format!("the request ring has no entry {end}"));
        }
        self.state.requests_end = end;
        while !self.is_congested() {
            let Some(entry) = self.next_request(end) else { break };
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

    /// Goes on with entries that had to wait.
    pub(super) fn resume_requests(&mut self) {
        if self.requests_wait() && !self.is_congested() {
            self.take_requests(self.state.requests_end);
        }
    }

    /// Whether there are entries in the request ring that were not taken.
    pub(super) fn requests_wait(&self) -> bool {
        let waits = self.state.requests.out() != self.state.requests_end;
        waits && self.state.setup.is_some()
    }

    /// Whether too much waits already, for the driver or for the fabric.
    pub(super) fn is_congested(&self) -> bool {
        self.unsent > MOST_DATA || self.state.responses.waiting() > MOST_ANSWERS
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
        // A mailbox command waits for its answer, so none of these may come by one.
        let ring = origin == Origin::Ring;
        match entry.kind() {
            kind::MARKER if ring && entry.handle() == SKIP => {}
            kind::MARKER => self.finish(origin, entry),
            kind::LOGIN_OUT => self.login_out(entry, origin),
            kind::CT => self.ct(entry, origin),
            kind::ELS => self.els(entry, origin),
            kind::VP_CONFIG => self.configure_vport(entry, origin),
            kind::VP_CONTROL => self.control_vports(entry, origin),
            kind::MAILBOX if ring => self.mailbox_entry(entry),
            kind::NOTIFY_ACK if ring => self.acknowledge(entry),
            kind::CTIO if ring => self.continue_command(entry, rest),
            kind::ABORT_RESPONSE if ring => self.answer_abort(entry),
            kind::COMMAND_7 => self.issue(entry, rest, origin),
            kind::TASK_MANAGEMENT => self.manage(entry, origin),
            kind::ABORT => self.abort_command(entry, origin),
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
