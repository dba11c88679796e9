//! Everything that leaves the fabric: frames into outboxes and the capture, events into
//! the log; and which links must not be read from for now.
//!
//! # Lossless without deadlock
//!
//! No frame between live ports is ever dropped: the kernel's target driver never recovers
//! from a lost one. Frames wait in the outbox of their link. A link that fills another
//! one's outbox beyond [`HIGH`] is *stalled*: it is not read from until that outbox is
//! down to [`LOW`], so its node's own socket fills and the sender waits.
//!
//! Plain backpressure of that kind can lock up in a circle: A fills B's outbox, B fills
//! A's, neither is read from, and neither node reads because it waits to write. So one
//! rule comes first: **a link whose own outbox holds more than [`LOW`] is always read
//! from.** Then whenever X is stalled on Y, Y's outbox is above LOW, so Y is read from, so
//! Y's node can write, gets round to reading, and its outbox drains: X's stall ends. The
//! price is that an outbox can grow past HIGH, by what links that are themselves behind
//! send to it; initiators' queue depths bound that.
//!
//! A node that does not read at all (a stopped guest) stalls its peers only once HIGH is
//! reached, and until its ports age out: then nothing is left in its outbox.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::addr::Mac;
use crate::event::Event;
use crate::fabric::Output;
use crate::journal::Journal;
use crate::link::Outbox;
use crate::pcap::{Capture, Direction};
use crate::port::LinkId;

/// An outbox above this size stalls the links that send to it.
pub const HIGH: usize = 16 << 20;
/// An outbox at or below this size stalls no link.
pub const LOW: usize = 8 << 20;

/// The way out of a link to its node.
#[derive(Debug, Default)]
pub struct Wire {
    /// What waits for the node.
    pub outbox: Outbox,
    /// The link with the full outbox to which this link's node last sent.
    stalled_on: Option<LinkId>,
    /// Frames received from the node.
    pub received: u64,
    /// Frames sent to the node.
    pub sent: u64,
}

/// The ways out of all links.
#[derive(Debug)]
pub struct Wires {
    /// The way out of each link.
    pub wires: Vec<Wire>,
    /// The event log.
    pub journal: Journal<Event>,
    capture: Option<Capture>,
    reading: Option<LinkId>,
    started: Instant,
    epoch: Duration,
    error: Option<io::Error>,
}

impl Wires {
    /// Returns wires for this many links. The clock starts now.
    pub fn new(links: usize, journal: Journal<Event>, capture: Option<Capture>) -> Self {
        Self {
            wires: std::iter::repeat_with(Wire::default).take(links).collect(),
            journal,
            capture,
            reading: None,
            started: Instant::now(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            error: None,
        }
    }

    /// Returns the time since the start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns when the start was, as a time since 1970.
    pub fn epoch(&self) -> Duration {
        self.epoch
    }

    /// Notes that a frame came in. What is sent until the next call follows from it.
    pub fn received(&mut self, link: LinkId, frame: &[u8], now: Duration) {
        self.reading = Some(link);
        if let Some(wire) = self.wires.get_mut(link.0) {
            wire.received += 1;
        }
        self.capture(link, Direction::Received, now, frame);
    }

    /// Notes that what is sent from now on follows from no link's frame.
    pub fn idle(&mut self) {
        self.reading = None;
    }

    /// Whether a link must not be read from for now.
    pub fn is_stalled(&self, link: LinkId) -> bool {
        let wire = |link: LinkId| self.wires.get(link.0);
        let behind = |wire: &Wire| wire.outbox.len() > LOW;
        wire(link).is_some_and(|this| {
            let other = this.stalled_on.and_then(wire);
            other.is_some_and(behind) && !behind(this)
        })
    }

    /// Writes the capture's buffer. A run without its records would be worthless, so an
    /// error of this or an earlier write ends the program.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(capture) = &mut self.capture {
            capture.flush()?;
        }
        self.error.take().map_or(Ok(()), Err)
    }

    /// Returns whether something waits to be written by [`Self::sync`].
    pub fn is_dirty(&self) -> bool {
        self.error.is_some() || self.capture.as_ref().is_some_and(Capture::is_dirty)
    }

    fn capture(
        &mut self,
        link: LinkId,
        direction: Direction,
        now: Duration,
        frame: &[u8],
    ) {
        if let Some(capture) = &mut self.capture {
            let result = capture.frame(link, direction, self.epoch + now, frame);
            self.error = self.error.take().or(result.err());
        }
    }
}

impl Output for Wires {
    fn frame(&mut self, link: LinkId, frame: &[u8]) {
        let Some(wire) = self.wires.get_mut(link.0) else { return };
        wire.outbox.push(frame);
        wire.sent += 1;
        let full = wire.outbox.len() > HIGH;
        let reader = self.reading.and_then(|reading| self.wires.get_mut(reading.0));
        if let Some(reader) = reader.filter(|_| full) {
            reader.stalled_on = Some(link);
        }
        let now = if self.capture.is_some() { self.now() } else { Duration::ZERO };
        self.capture(link, Direction::Sent, now, frame);
    }

    fn revoke(&mut self, link: LinkId, mac: Mac) {
        if let Some(wire) = self.wires.get_mut(link.0) {
            wire.outbox.retain(|frame| !frame.starts_with(&mac.0));
        }
    }

    fn event(&mut self, event: Event) {
        let t = (self.epoch + self.now()).as_secs_f64();
        let result = self.journal.record(|seq| Event { seq, t, ..event });
        self.error = self.error.take().or(result.err());
    }
}
