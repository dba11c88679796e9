//! Commands of initiators: from the frame to the driver, and what the driver does next.

use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::frame::FcHeader;

use crate::chip::iocb::{Ctio, CtioStatus, Phase, atio};
use crate::fields::Entry;
use crate::wire::{DataFault, ExchangeId, Vp, WireError};

use super::super::Hba;
use super::super::faults::Faults;
use super::super::remotes::Stage;
use super::super::segments::Segments;

/// How long data of an initiator may take where the driver sets no limit.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that the driver works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Command {
    /// The port of the HBA.
    pub(in super::super) vp: Vp,
    /// The address of the initiator.
    pub(in super::super) id: Fcid,
    /// The entry that waits for data of the initiator, if there is one.
    pub(super) waiting: Option<Waiting>,
}

/// An entry that waits for data of the initiator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) entry: Entry,
    /// The first byte of the data in the whole transfer.
    offset: u32,
    /// Where the data goes.
    segments: Segments,
    /// Whether all of it could be written so far.
    fits: bool,
    /// The FCP_RSP that follows.
    response: Option<Vec<u8>>,
    silent: bool,
}

impl Hba {
    /// Brings a command to the driver, if its initiator is logged in.
    pub(in super::super) fn command_received(
        &mut self,
        vp: Vp,
        exchange: ExchangeId,
        header: &FcHeader,
        cmnd: &[u8],
    ) {
        const SHORTEST: usize = 32;
        let id = header.s_id;
        let stage = self.state.remotes.at(vp, id).map(|remote| remote.stage);
        let logged_in = stage == Some(Stage::Prli) && self.state.is_target(vp);
        if !logged_in || cmnd.len() < SHORTEST {
            self.wire.drop(exchange);
            if stage.is_none() {
                self.send_logo(vp, id);
            }
            return;
        }
        self.state.commands.insert(exchange, Command { vp, id, waiting: None });
        self.tell_target(atio(exchange.0, header, cmnd));
    }

    /// Goes on with a command as the driver says.
    pub(in super::super) fn continue_command(&mut self, entry: Entry, rest: &[Entry]) {
        if Faults::strikes(&mut self.faults.lose_ctios) {
            return;
        }
        let ctio = Ctio::decode(&entry);
        let exchange = ExchangeId(ctio.exchange);
        if ctio.terminate {
            let known = self.end_exchange(exchange, CtioStatus::Aborted);
            let status =
                if known { CtioStatus::Success } else { CtioStatus::UnknownExchange };
            return self.finish_ctio(&entry, status, exchange);
        }
        let busy = self.state.commands.get(&exchange).map(|c| c.waiting.is_some());
        if busy != Some(false) {
            return self.finish_ctio(&entry, CtioStatus::UnknownExchange, exchange);
        }
        let length = if ctio.phase == Phase::None { 0 } else { ctio.length };
        let segments = Segments::gather(ctio.first, rest, ctio.segments, length);
        let Some(segments) = segments else {
            self.nonsense(format!("a CTIO whose segments do not fit: {entry:?}"));
            self.end_exchange(exchange, CtioStatus::Aborted);
            return self.finish_ctio(&entry, CtioStatus::Aborted, exchange);
        };
        match ctio.phase {
            Phase::Out => self.ask_for_data(exchange, entry, &ctio, segments),
            Phase::In => {
                let sent = self.send_data(exchange, &ctio, &segments);
                self.conclude(exchange, &entry, sent, ctio.response, ctio.silent);
            }
            Phase::None => {
                self.conclude(exchange, &entry, Ok(()), ctio.response, ctio.silent);
            }
        }
    }

    /// Writes data of an initiator where the driver wants it.
    pub(in super::super) fn data_received(
        &mut self,
        exchange: ExchangeId,
        offset: u32,
        bytes: &[u8],
    ) {
        let command = self.state.commands.get_mut(&exchange);
        let Some(waiting) = command.and_then(|command| command.waiting.as_mut()) else {
            return;
        };
        let skip = offset.saturating_sub(waiting.offset);
        waiting.fits &= waiting.segments.write(skip, bytes, &self.memory);
    }

    /// Tells the driver that the data of an initiator is there, or will not come.
    pub(in super::super) fn data_done(
        &mut self,
        exchange: ExchangeId,
        result: Result<(), DataFault>,
    ) {
        let command = self.state.commands.get_mut(&exchange);
        let Some(waiting) = command.and_then(|command| command.waiting.take()) else {
            return;
        };
        let Waiting { entry, fits, response, silent, .. } = waiting;
        match result {
            Ok(()) if fits => self.conclude(exchange, &entry, Ok(()), response, silent),
            Err(DataFault::Timeout) => {
                self.finish_ctio(&entry, CtioStatus::Timeout, exchange);
            }
            _ => {
                log::warn!("data of exchange {:#x}: {result:?}", exchange.0);
                self.finish_ctio(&entry, CtioStatus::Aborted, exchange);
            }
        }
    }

    /// Answers an entry of the driver's. The answer says whether the exchange is open.
    pub(super) fn finish_ctio(
        &mut self,
        entry: &Entry,
        status: CtioStatus,
        exchange: ExchangeId,
    ) {
        let open = self.state.commands.contains_key(&exchange);
        self.respond(Ctio::finish(entry, status, open || status == CtioStatus::Success));
    }

    fn ask_for_data(
        &mut self,
        exchange: ExchangeId,
        entry: Entry,
        ctio: &Ctio,
        segments: Segments,
    ) {
        let limit = match ctio.timeout {
            0 | u16::MAX => PATIENCE,
            seconds => Duration::from_secs(u64::from(seconds)),
        };
        let deadline = self.now + limit;
        match self.wire.ask_data(exchange, ctio.offset, ctio.length, deadline) {
            Ok(()) => {
                let waiting = Waiting {
                    entry,
                    offset: ctio.offset,
                    segments,
                    fits: true,
                    response: ctio.response.clone(),
                    silent: ctio.silent,
                };
                if let Some(command) = self.state.commands.get_mut(&exchange) {
                    command.waiting = Some(waiting);
                }
            }
            Err(error) => self.refuse_ctio(exchange, &entry, error),
        }
    }

    fn send_data(
        &mut self,
        exchange: ExchangeId,
        ctio: &Ctio,
        segments: &Segments,
    ) -> Result<(), WireError> {
        let Some(bytes) = segments.read(0, ctio.length, &self.memory) else {
            self.nonsense("data to send that is not in memory");
            return Err(WireError::TooLong);
        };
        self.unsent = self.unsent.saturating_add(bytes.len());
        self.wire.send_data(exchange, ctio.offset, &bytes)
    }

    /// Sends the response, if there is one, and answers the entry.
    fn conclude(
        &mut self,
        exchange: ExchangeId,
        entry: &Entry,
        data: Result<(), WireError>,
        response: Option<Vec<u8>>,
        silent: bool,
    ) {
        let responded = data.and_then(|()| match &response {
            Some(response) => self.wire.send_response(exchange, response),
            None => Ok(()),
        });
        match responded {
            Ok(()) => {
                if response.is_some() {
                    self.state.commands.remove(&exchange);
                }
                if !silent {
                    self.respond(Ctio::finish(entry, CtioStatus::Success, true));
                }
            }
            Err(error) => self.refuse_ctio(exchange, entry, error),
        }
    }

    fn refuse_ctio(&mut self, exchange: ExchangeId, entry: &Entry, error: WireError) {
        log::debug!("exchange {:#x}: {error}", exchange.0);
        let status = match error {
            WireError::NoPort | WireError::NotLoggedIn => CtioStatus::LoggedOut,
            WireError::Unknown => CtioStatus::UnknownExchange,
            _ => CtioStatus::Aborted,
        };
        if error == WireError::Unknown {
            self.state.commands.remove(&exchange);
        }
        self.finish_ctio(entry, status, exchange);
    }
}
