//! The firmware: it stands between the chip, which the driver sees, and the wire, which
//! the fabric sees.
//!
//! [`Hba`] is a pure state machine. Accesses to registers, frames and the time go in;
//! interrupts, frames and reports come out.
//!
//! - `mailbox`: mailbox commands.
//! - `iocb`: entries of the request ring; logins, CT and ELS, virtual ports.
//! - `target`: commands of initiators, from the frame to the driver and back.
//! - `initiator`: commands of the driver, from the entry to the frame and back.
//! - `link`: logins to the fabric, and the events that tell the driver.
//! - `remotes`: the other ports that are logged in.
//! - `segments`: data in the guest's memory.
//! - `switches`: what no source settles.

mod exchanges;
mod faults;
mod initiator;
mod iocb;
mod link;
mod mailbox;
mod remotes;
mod report;
mod segments;
mod setup;
mod state;
mod switches;
mod target;

use std::time::Duration;

use crate::chip::{Chip, Doorbell, Event, Flash};
use crate::fields::{ENTRY_LEN, Entry};
use crate::pci::{Device, GuestMemory};
use crate::wire::{self, Counters, Names, Wire};

pub use faults::Fault;
pub use report::Report;
pub use state::{PortState, SessionState};
pub use switches::{Switches, YieldedLogin};

use faults::Faults;
use state::State;

/// How many reports are kept until somebody takes them.
const MAX_REPORTS: usize = 10_000;
/// How much of a guest's nonsense is reported until it is powered off.
const MAX_NONSENSE: u32 = 1000;

/// A host bus adapter: chip, firmware and wire.
#[derive(Debug)]
pub struct Hba {
    chip: Chip,
    memory: GuestMemory,
    wire: Wire,
    switches: Switches,
    faults: Faults,
    /// What a reset of the chip forgets.
    state: State,
    /// Whether there is light on the fibre.
    light: bool,
    /// Bytes of data in frames that nobody has taken yet.
    unsent: usize,
    now: Duration,
    reports: Vec<Report>,
    /// How much nonsense was reported.
    nonsense: u32,
}

impl Hba {
    /// Returns an HBA as it is after power-on, without light.
    pub fn new(names: Names, switches: Switches, wire: wire::Options) -> Self {
        Self {
            chip: Chip::new(Flash::new(names)),
            memory: GuestMemory::default(),
            wire: Wire::new(wire),
            switches,
            faults: Faults::default(),
            state: State::default(),
            light: false,
            unsent: 0,
            now: Duration::ZERO,
            reports: Vec::new(),
            nonsense: 0,
        }
    }

    /// Tells the HBA what time it is. Everything that follows happens now.
    pub fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Notes that there is light on the fibre, or none any longer.
    pub fn set_light(&mut self, light: bool) {
        if light == self.light {
            return;
        }
        self.light = light;
        self.wire.link(light, self.now);
        self.settle();
    }

    /// Takes an Ethernet frame from the fabric.
    pub fn receive(&mut self, frame: &[u8]) {
        self.wire.receive(frame, self.now);
        self.settle();
    }

    /// Does what is due now.
    pub fn tick(&mut self) {
        self.settle();
        self.wire.tick(self.now);
        self.settle();
        self.retry_login();
        self.end_aborted_entries();
        self.abort_overdue();
        self.resume_requests();
        self.resume_data();
        self.settle();
    }

    /// Returns when [`Self::tick`] has to be called next.
    pub fn deadline(&self) -> Option<Duration> {
        let ending = self.state.ending.iter().map(|(due, _)| *due);
        let waits = self.requests_wait() || !self.state.wanted.is_empty();
        let resumes = waits && !self.is_congested();
        let ending = ending.chain(resumes.then_some(self.now));
        let others = self.state.retry_login.into_iter().chain(self.issued_deadline());
        self.wire.deadline().into_iter().chain(others).chain(ending).min()
    }

    /// Returns the frames to send, in order.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        self.unsent = 0;
        self.wire.take_frames()
    }

    /// Returns whether the guest is to be interrupted.
    pub fn take_interrupt(&mut self) -> bool {
        self.chip.take_interrupt()
    }

    /// Returns what has happened since the last call.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Returns the wire's counts of frames.
    pub fn counters(&self) -> Counters {
        self.wire.counters()
    }

    /// Returns the switches, to read or to change them.
    pub fn switches(&mut self) -> &mut Switches {
        &mut self.switches
    }

    /// Loses power: the chip is reset, and the guest's memory is gone.
    pub fn power_off(&mut self) {
        self.reset_chip();
        self.memory.clear();
        self.nonsense = 0;
    }

    /// Handles what the wire has to tell, until it has nothing more to tell.
    fn settle(&mut self) {
        loop {
            let events = self.wire.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                self.on_wire(event);
            }
        }
    }

    fn ring(&mut self, doorbell: Doorbell) {
        match doorbell {
            Doorbell::Reset => self.reset_chip(),
            Doorbell::Mailbox(mailboxes) => self.mailbox(mailboxes),
            Doorbell::Requests(end) => self.take_requests(end),
            Doorbell::Responses(start) => {
                self.state.responses.read_up_to(start);
                self.write_responses();
            }
            Doorbell::Atios(start) => {
                self.state.atios.read_up_to(start);
                self.write_atios();
            }
        }
        self.settle();
    }

    /// Forgets everything but flash, light and switches, as the chip does at a reset.
    fn reset_chip(&mut self) {
        let was_started = self.state.setup.is_some();
        self.chip.reset();
        self.state = State::default();
        if self.switches.logout_at_reset {
            self.wire.reset(self.now);
        } else {
            self.wire.link(false, self.now);
            self.wire.reset(self.now);
            self.wire.link(self.light, self.now);
        }
        if was_started {
            self.report(Report::Reset);
        }
    }

    /// Brings an entry to the driver by the response ring.
    fn respond(&mut self, entry: Entry) {
        self.state.responses.push(entry);
        self.write_responses();
    }

    fn write_responses(&mut self) {
        if let Some(end) = self.state.responses.write(&self.memory) {
            self.chip.post(Event::Responses(end));
        }
    }

    /// Brings an entry to the driver by the ATIO ring.
    fn tell_target(&mut self, entry: Entry) {
        self.state.atios.push(entry);
        self.write_atios();
    }

    fn write_atios(&mut self) {
        if self.state.atios.write(&self.memory).is_some() {
            self.chip.post(Event::Atios);
        }
    }

    fn report(&mut self, report: Report) {
        if self.reports.len() < MAX_REPORTS {
            self.reports.push(report);
        }
    }

    fn nonsense(&mut self, what: impl Into<String>) {
        let what = what.into();
        log::warn!("the guest wrote nonsense: {what}");
        if self.nonsense < MAX_NONSENSE {
            self.nonsense += 1;
            self.report(Report::Nonsense { what });
        }
    }

    /// Returns the entry at an address of the guest's.
    fn read_entry(&self, address: u64) -> Option<Entry> {
        let mut entry = Entry([0; ENTRY_LEN]);
        self.memory.read(address, &mut entry.0).ok().map(|()| entry)
    }
}

impl Device for Hba {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        self.chip.read(offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let Some(doorbell) = self.chip.write(offset, data) {
            self.ring(doorbell);
        }
    }

    fn reset(&mut self) {
        self.reset_chip();
    }

    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.memory
    }
}
