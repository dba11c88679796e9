//! Commands of the driver's: from the entry to the wire, and their data both ways.

use std::time::Duration;

use understudy_fabric::addr::Fcid;

use crate::chip::iocb::{BAD_PARAMETER, Command, CommandStatus, Completion};
use crate::fields::Entry;
use crate::wire::fcp::{self, Transfer};
use crate::wire::{ExchangeId, Vp, WireError};

use super::super::Hba;
use super::super::exchanges::Origin;
use super::super::remotes::Stage;
use super::super::segments::Segments;
use super::abort::Aborting;

/// A command of the driver's that has not ended.
#[derive(Debug)]
pub(in super::super) struct Issued {
    /// The port of the HBA.
    pub(super) vp: Vp,
    /// The address of the target.
    pub(super) id: Fcid,
    /// The driver's number for the command.
    pub(super) handle: u32,
    /// Where the answer goes.
    pub(super) origin: Origin,
    /// The FCP_CMND.
    pub(super) cmnd: fcp::Command,
    /// How many bytes were moved.
    pub(super) moved: u32,
    /// Whether all that was read had room in the guest's memory.
    pub(super) fits: bool,
    /// The abort that is under way, if one is.
    pub(super) aborting: Option<Aborting>,
    /// Where the data is, or goes.
    segments: Segments,
    /// When its time is up, if the driver sets a limit.
    deadline: Option<Duration>,
}

impl Issued {
    /// Returns how many bytes the driver wanted moved and were not.
    pub(super) fn residual(&self) -> u32 {
        self.cmnd.transfer.length.saturating_sub(self.moved)
    }

    /// Returns when the command's time is up, unless it is being aborted.
    pub(super) fn due(&self) -> Option<Duration> {
        self.deadline.filter(|_| self.aborting.is_none())
    }
}

impl Hba {
    /// Sends a command of the driver's.
    pub(in super::super) fn issue(
        &mut self,
        entry: Entry,
        rest: &[Entry],
        origin: Origin,
    ) {
        let command = Command::decode(&entry);
        let Transfer { write, read, length } = command.cmnd.transfer;
        // Data goes one way, or there is none.
        let sensible = if length == 0 { !(write && read) } else { write != read };
        let segments = Segments::gather(command.first, rest, command.segments, length);
        match segments.filter(|_| sensible) {
            Some(segments) => self.send_command(&entry, &command, segments, origin),
            None => self.give_back(entry, origin, "a command whose data does not fit"),
        }
    }

    /// Manages tasks of a target as the driver says. Without a function the FCP_CMND would
    /// be a command: TEST UNIT READY.
    pub(in super::super) fn manage(&mut self, entry: Entry, origin: Origin) {
        let command = Command::management(&entry);
        if command.cmnd.function == 0 {
            return self.give_back(entry, origin, "no task management function");
        }
        self.send_command(&entry, &command, Segments::default(), origin);
    }

    /// Returns an entry to the driver that makes no sense.
    fn give_back(&mut self, mut entry: Entry, origin: Origin, what: &str) {
        self.nonsense(format!("{what}: {entry:?}"));
        entry.set(3, &[BAD_PARAMETER]);
        self.finish(origin, entry);
    }

    /// Writes what a command reads into the guest's memory.
    pub(in super::super) fn data_read(
        &mut self,
        exchange: ExchangeId,
        offset: u32,
        bytes: &[u8],
    ) {
        let Some(issued) = self.state.issued.get_mut(&exchange) else { return };
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        issued.moved = issued.moved.saturating_add(len);
        issued.fits &= issued.segments.write(offset, bytes, &self.memory);
    }

    /// Sends what a target asks for, or later if too much waits to be sent.
    pub(in super::super) fn data_wanted(
        &mut self,
        exchange: ExchangeId,
        offset: u32,
        length: u32,
    ) {
        if self.is_congested() {
            self.state.wanted.push_back((exchange, offset, length));
            return;
        }
        let Some(issued) = self.state.issued.get_mut(&exchange) else { return };
        if issued.aborting.is_some() {
            return;
        }
        let Some(bytes) = issued.segments.read(offset, length, &self.memory) else {
            self.nonsense("data to write that is not in memory");
            return self.give_up(exchange, Completion::DmaError);
        };
        issued.moved = issued.moved.saturating_add(length);
        self.unsent = self.unsent.saturating_add(bytes.len());
        if let Err(error) = self.wire.send_data(exchange, offset, &bytes) {
            log::debug!("data of exchange {:#x}: {error}", exchange.0);
        }
    }

    /// Sends the data that had to wait.
    pub(in super::super) fn resume_data(&mut self) {
        while !self.is_congested() {
            let Some((exchange, offset, length)) = self.state.wanted.pop_front() else {
                return;
            };
            self.data_wanted(exchange, offset, length);
        }
    }

    /// Sends an FCP_CMND to a target that is logged in.
    fn send_command(
        &mut self,
        entry: &Entry,
        command: &Command,
        segments: Segments,
        origin: Origin,
    ) {
        let Command { vp, id, cmnd, .. } = *command;
        let vp = Vp(vp);
        let sent = if self.takes_commands(command) {
            let sent = self.wire.send_command(vp, id, &cmnd.encode());
            sent.map_err(completion_of)
        } else {
            Err(Completion::LoggedOut)
        };
        match sent {
            Ok(exchange) => {
                let issued = Issued {
                    vp,
                    id,
                    handle: entry.handle(),
                    origin,
                    cmnd,
                    moved: 0,
                    fits: true,
                    aborting: None,
                    segments,
                    deadline: self.limit(command.timeout),
                };
                self.state.issued.insert(exchange, issued);
            }
            Err(completion) => {
                let status = CommandStatus::new(entry.handle(), completion);
                self.answer_command(origin, &status);
            }
        }
    }

    /// Returns when the time of a command is up that begins now.
    fn limit(&self, seconds: u16) -> Option<Duration> {
        let limit = Duration::from_secs(u64::from(seconds));
        (!matches!(seconds, 0 | u16::MAX)).then_some(self.now + limit)
    }

    /// Whether the port that a command is for is logged in. The driver may log in again
    /// under an address or a handle while an older command is on its way.
    fn takes_commands(&self, command: &Command) -> bool {
        let remote = self.state.remotes.get(Vp(command.vp), command.handle);
        remote.is_some_and(|remote| {
            remote.id == command.id && remote.stage >= Stage::PrliPending
        })
    }
}

fn completion_of(error: WireError) -> Completion {
    match error {
        WireError::NoExchange => Completion::NoExchange,
        _ => Completion::PortUnavailable,
    }
}
