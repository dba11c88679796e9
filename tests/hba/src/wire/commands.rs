//! Commands: as a target, and as an initiator (FCP-4).

use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::frame::Fcoe;

use super::exchange::Kind;
use super::fcp::{self, Response, Transfer, TransferReady};
use super::sequence::{FIRST, INITIATIVE, LAST, OFFSET, Stretch, ends};
use super::{DataFault, Event, ExchangeId, Vp, Wire, WireError};

/// The shortest FCP_CMND: LUN, control, CDB and FCP_DL.
const SHORTEST: usize = 32;

/// # Commands of others, for which we are the target
impl Wire {
    /// Sends data: to the initiator of a command what it reads, or, on a command of ours,
    /// exactly what [`Event::DataWanted`] asked for. `offset` counts from the beginning of
    /// the whole transfer. The bytes go out at once, as one sequence.
    pub fn send_data(
        &mut self,
        exchange: ExchangeId,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), WireError> {
        let len = u32::try_from(bytes.len()).map_err(|_| WireError::TooLong)?;
        offset.checked_add(len).ok_or(WireError::TooLong)?;
        let open = self.exchange_mut(exchange)?;
        let end = match &mut open.kind {
            Kind::Target { ask: None, moved } => {
                *moved = moved.saturating_add(len);
                0
            }
            Kind::Initiator { wanted, .. } if wanted.is_some() => {
                if *wanted != Some((offset, len)) {
                    return Err(WireError::TooLong);
                }
                *wanted = None;
                INITIATIVE
            }
            _ => return Err(WireError::WrongState),
        };
        let what = (fcp::R_CTL_DATA, fcp::TYPE);
        self.send_at(exchange, what, OFFSET, end, offset, bytes);
        Ok(())
    }

    /// Asks an initiator for data, by FCP_XFER_RDY. It comes as [`Event::Data`], frame by
    /// frame, and then [`Event::DataDone`]. If not all is here by `deadline`, that is an
    /// error. One such question may be open at a time.
    pub fn ask_data(
        &mut self,
        exchange: ExchangeId,
        offset: u32,
        length: u32,
        deadline: Duration,
    ) -> Result<(), WireError> {
        let end = offset.checked_add(length).ok_or(WireError::TooLong)?;
        let open = self.exchange_mut(exchange)?;
        match &mut open.kind {
            Kind::Target { ask: ask @ None, .. } if length > 0 => {
                *ask = Some(Stretch::new(offset, end));
            }
            _ => return Err(WireError::WrongState),
        }
        open.deadline = Some(deadline);
        let ready = TransferReady { offset, length }.encode();
        self.send_on(exchange, (fcp::R_CTL_XFER_RDY, fcp::TYPE), 0, INITIATIVE, &ready);
        Ok(())
    }

    /// Sends an FCP_RSP, which ends the exchange. [`fcp::Response`] makes one.
    pub fn send_response(
        &mut self,
        exchange: ExchangeId,
        payload: &[u8],
    ) -> Result<(), WireError> {
        match self.exchange_mut(exchange)?.kind {
            Kind::Target { .. } => {
                self.send_on(exchange, (fcp::R_CTL_RSP, fcp::TYPE), LAST, 0, payload);
                self.exchanges.close(exchange);
                Ok(())
            }
            _ => Err(WireError::WrongState),
        }
    }
}

/// # Commands of ours, for which we are the initiator
impl Wire {
    /// Sends an FCP_CMND. [`Event::Data`] and [`Event::DataWanted`] follow, then
    /// [`Event::Response`]. How long it may take is firmware's to say, by
    /// [`abort`](Self::abort).
    pub fn send_command(
        &mut self,
        vp: Vp,
        d_id: Fcid,
        cmnd: &[u8],
    ) -> Result<ExchangeId, WireError> {
        let transfer = Transfer::of(cmnd).ok_or(WireError::TooShort)?;
        let end = if transfer.read { transfer.length } else { 0 };
        let read = Stretch::new(0, end);
        let kind = Kind::Initiator { transfer, read, fault: None, wanted: None };
        let exchange = self.begin(vp, d_id, kind)?;
        self.send_on(exchange, (fcp::R_CTL_CMND, fcp::TYPE), FIRST, INITIATIVE, cmnd);
        Ok(exchange)
    }
}

impl Wire {
    /// Takes an FCP_CMND.
    pub(super) fn command_received(&mut self, vp: Vp, frame: &Fcoe<'_>) {
        if !ends(frame) || frame.payload.len() < SHORTEST {
            return self.discard("FCP_CMND is short");
        }
        if !self.exchanges.may_begin(vp, &frame.header) {
            return self.discard("FCP_CMND that begins no exchange");
        }
        let header = frame.header;
        let kind = Kind::Target { ask: None, moved: 0 };
        match self.exchanges.accept(vp, &header, kind) {
            Some(exchange) => {
                let cmnd = frame.payload.to_vec();
                self.events.push(Event::Command { vp, exchange, header, cmnd });
            }
            // SAM's status for it. What the hardware answers is not known.
            None => {
                let full =
                    Response { status: Response::TASK_SET_FULL, ..Response::default() };
                self.send(header.reply(fcp::R_CTL_RSP), 0, &full.encode());
            }
        }
    }

    /// Takes a frame of data.
    pub(super) fn data_received(&mut self, vp: Vp, frame: &Fcoe<'_>) {
        let found = self.exchanges.met(vp, &frame.header);
        let open = found.and_then(|id| Some((id, self.exchanges.get_mut(id)?)));
        let Some((exchange, open)) = open.filter(|(_, open)| !open.aborted) else {
            return self.discard("data of no exchange");
        };
        let stretch = match &mut open.kind {
            Kind::Target { ask: Some(stretch), .. } => stretch,
            Kind::Initiator { read, fault: None, .. } => read,
            _ => return self.discard("data that nobody asked for"),
        };
        let offset = stretch.next;
        let outcome = stretch.take(frame);
        let whole = stretch.is_whole();
        if outcome.is_ok() && !frame.payload.is_empty() {
            let bytes = frame.payload.to_vec();
            self.events.push(Event::Data { exchange, offset, bytes });
        }
        match (&mut open.kind, outcome) {
            // What is read may come in several sequences.
            (Kind::Initiator { fault, .. }, outcome) => *fault = outcome.err(),
            (Kind::Target { .. }, Ok(())) if !ends(frame) => {}
            (Kind::Target { ask, moved }, outcome) => {
                *moved = moved.saturating_add(ask.take().map_or(0, |ask| ask.moved()));
                open.deadline = None;
                let whole = if whole { Ok(()) } else { Err(DataFault::Short) };
                let result = outcome.and(whole);
                self.events.push(Event::DataDone { exchange, result });
            }
            _ => {}
        }
    }

    /// Takes an FCP_XFER_RDY for a command of ours.
    pub(super) fn ready_received(&mut self, vp: Vp, frame: &Fcoe<'_>) {
        let found = self.exchanges.met(vp, &frame.header);
        let ready = TransferReady::decode(frame.payload);
        let wanted = found.zip(ready).and_then(|(exchange, ready)| {
            let TransferReady { offset, length } = ready;
            let open = self.exchanges.get_mut(exchange).filter(|open| !open.aborted)?;
            match &mut open.kind {
                Kind::Initiator { transfer, wanted: wanted @ None, .. }
                    if transfer.write
                        && length > 0
                        && offset.checked_add(length)? <= transfer.length =>
                {
                    *wanted = Some((offset, length));
                    Some(Event::DataWanted { exchange, offset, length })
                }
                _ => None,
            }
        });
        match wanted {
            Some(event) => self.events.push(event),
            None => self.discard("FCP_XFER_RDY that does not fit"),
        }
    }

    /// Takes an FCP_RSP to a command of ours.
    pub(super) fn response_received(&mut self, vp: Vp, frame: &Fcoe<'_>) {
        let found = self.exchanges.met(vp, &frame.header);
        let received = found.and_then(|id| match &self.exchanges.get(id)?.kind {
            Kind::Initiator { read, fault, .. } => {
                Some((id, fault.map_or(Ok(read.next), Err)))
            }
            _ => None,
        });
        match received.filter(|_| ends(frame)) {
            Some((exchange, received)) => {
                self.exchanges.close(exchange);
                let payload = frame.payload.to_vec();
                self.events.push(Event::Response { exchange, payload, received });
            }
            None => self.discard("FCP_RSP of no command"),
        }
    }

    /// Ends the wait for data that was asked for.
    pub(super) fn data_overdue(&mut self, exchange: ExchangeId) {
        let Some(open) = self.exchanges.get_mut(exchange) else { return };
        open.deadline = None;
        if let Kind::Target { ask, .. } = &mut open.kind {
            *ask = None;
        }
        let result = Err(DataFault::Timeout);
        self.events.push(Event::DataDone { exchange, result });
    }
}
