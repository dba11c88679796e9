//! The latch: one event is visible to the driver, and the others wait behind it.
//!
//! The driver takes an event and clears it (`hccr`), and the next one becomes visible at
//! once. What an event brings along is shown with it, and not before: the mailboxes of an
//! answer, and the entries of a ring up to the one that the event is about.

use std::collections::VecDeque;

use super::mailbox::Mailboxes;

/// Host status: an event is visible.
const EVENT: u32 = 1 << 15;

/// How many events may wait. A driver that runs takes each at once.
const MOST: usize = 4096;

/// Something for the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The answer to a mailbox command.
    Mailbox(Mailboxes),
    /// An asynchronous event: mailboxes 0 to 3.
    Async([u16; 4]),
    /// Entries in the response ring, up to this index.
    Responses(u32),
    /// Entries in the ATIO ring.
    Atios,
}

/// Codes of events in the host status.
mod code {
    pub(super) const MAILBOX_OK: u32 = 0x10;
    pub(super) const MAILBOX_FAILED: u32 = 0x11;
    pub(super) const ASYNC: u32 = 0x12;
    pub(super) const RESPONSES: u32 = 0x13;
    pub(super) const ATIOS: u32 = 0x1c;
}

/// The visible event, and those behind it.
#[derive(Debug, Default)]
pub struct Latch {
    host_status: u32,
    bank: Mailboxes,
    response_in: u32,
    waiting: VecDeque<Event>,
}

impl Latch {
    /// Queues an event. Returns whether it is visible now.
    pub fn post(&mut self, event: Event) -> bool {
        if !self.is_visible() {
            self.show(event);
            return true;
        }
        let full = self.waiting.len() >= MOST;
        match (self.waiting.back_mut(), &event) {
            // One event announces all entries before it.
            (Some(Event::Responses(last)), Event::Responses(index)) => *last = *index,
            (Some(Event::Atios), Event::Atios) => {}
            // A driver that takes no events loses the last ones.
            _ if full => log::warn!("event lost: {event:04x?}"),
            _ => self.waiting.push_back(event),
        }
        false
    }

    /// Removes the visible event. Returns whether another one is visible now.
    pub fn consume(&mut self) -> bool {
        self.host_status = 0;
        match self.waiting.pop_front() {
            Some(event) => self.show(event),
            None => return false,
        }
        true
    }

    /// Whether an event is visible.
    pub fn is_visible(&self) -> bool {
        self.host_status & EVENT != 0
    }

    /// Returns the register that shows which event is visible.
    pub fn host_status(&self) -> u32 {
        self.host_status
    }

    /// Returns the mailboxes that the driver reads.
    pub fn bank(&self) -> &Mailboxes {
        &self.bank
    }

    /// Returns the end of the entries in the response ring that events have announced.
    pub fn response_in(&self) -> u32 {
        self.response_in
    }

    fn show(&mut self, event: Event) {
        let (code, mailbox0) = match event {
            Event::Mailbox(mailboxes) => {
                let ok = mailboxes.is_ok();
                self.bank = mailboxes;
                let code = if ok { code::MAILBOX_OK } else { code::MAILBOX_FAILED };
                (code, self.bank.at(0))
            }
            Event::Async(values) => {
                for (index, value) in (0..).zip(values) {
                    self.bank.set_at(index, value);
                }
                (code::ASYNC, self.bank.at(0))
            }
            Event::Responses(index) => {
                self.response_in = index;
                (code::RESPONSES, 0)
            }
            Event::Atios => (code::ATIOS, 0),
        };
        self.host_status = EVENT | code | u32::from(mailbox0) << 16;
    }
}
