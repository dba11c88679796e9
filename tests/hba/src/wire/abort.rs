//! ABTS, both ways (FC-FS-3 clause 16.3.3).

use std::time::Duration;

use understudy_fabric::bytes::Put;
use understudy_fabric::els::command;
use understudy_fabric::frame::{FcHeader, Fcoe};

use super::exchange::{Exchange, Kind, Purpose};
use super::sequence::INITIATIVE;
use super::{AbortAnswer, Cause, Event, ExchangeId, Vp, Wire, WireError, bls};

/// The low half of the name of an ABTS. No exchange has it.
const NUMBER: u32 = 0xfffe;
/// How many ABTS for exchanges that this HBA does not have may wait for firmware.
const MOST_UNKNOWN: usize = 256;

/// An ABTS that waits for firmware's answer.
#[derive(Debug)]
pub(super) struct Abort {
    pub(super) vp: Vp,
    pub(super) header: FcHeader,
    exchange: Option<ExchangeId>,
    rx_id: u16,
}

/// # Aborts
impl Wire {
    /// Answers an ABTS. To accept it ends the exchange that it is about, if that is still
    /// open. An error is the reason and explanation of the BA_RJT, after which the exchange
    /// goes on.
    pub fn answer_abort(
        &mut self,
        abort: ExchangeId,
        answer: Result<(), (u8, u8)>,
    ) -> Result<(), WireError> {
        let abort = self.aborts.remove(&abort).ok_or(WireError::Unknown)?;
        self.send_abort_answer(&abort.header, abort.rx_id, answer);
        let Some(exchange) = abort.exchange else { return Ok(()) };
        if answer.is_ok() {
            self.exchanges.close(exchange);
        } else if let Some(open) = self.exchanges.get_mut(exchange) {
            open.aborted = false;
        }
        Ok(())
    }

    /// Sends ABTS for an exchange: a request or a command of ours, or a command of somebody
    /// else. [`Event::AbortDone`] ends it, at the latest after twice R_A_TOV. Until then
    /// no other event names it.
    pub fn abort(
        &mut self,
        exchange: ExchangeId,
        now: Duration,
    ) -> Result<(), WireError> {
        match self.exchange(exchange)?.kind {
            Kind::Request(..) | Kind::Initiator { .. } | Kind::Target { .. } => {
                self.send_abort(exchange, true, now);
                Ok(())
            }
            _ => Err(WireError::WrongState),
        }
    }
}

impl Wire {
    /// Sends ABTS for an exchange. `known` is whether firmware waits for the end.
    pub(super) fn send_abort(&mut self, id: ExchangeId, known: bool, now: Duration) {
        let deadline = now.saturating_add(self.r_a_tov.saturating_mul(2));
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.kind = Kind::Aborting(known);
        exchange.deadline = Some(deadline);
        self.send_on(id, (bls::R_CTL_ABTS, 0), 0, INITIATIVE, &[]);
    }

    fn send_abort_answer(
        &mut self,
        abts: &FcHeader,
        rx_id: u16,
        answer: Result<(), (u8, u8)>,
    ) {
        let (header, payload) = bls::answer(abts, rx_id, answer);
        self.send(header, 0, &payload);
    }

    /// Handles an ABTS. Firmware decides about commands; an ELS is aborted at once.
    pub(super) fn abort_received(&mut self, vp: Vp, header: &FcHeader) {
        let found = self.exchanges.met(vp, header);
        let Some(id) = found else { return self.unknown_abort(vp, header) };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let rx_id = exchange.rx_id;
        match &mut exchange.kind {
            Kind::Target { .. } | Kind::Initiator { .. } if exchange.aborted => {
                self.discard("ABTS while one waits");
            }
            Kind::Target { .. } | Kind::Initiator { .. } => {
                exchange.aborted = true;
                if let Kind::Target { ask, .. } = &mut exchange.kind {
                    *ask = None;
                    exchange.deadline = None;
                }
                self.hand_up(Abort { vp, header: *header, exchange: Some(id), rx_id });
            }
            Kind::Aborting(_) | Kind::Resting => {
                self.send_abort_answer(header, rx_id, Ok(()));
            }
            Kind::Request(..) | Kind::Arriving(_) | Kind::Els => {
                self.send_abort_answer(header, rx_id, Ok(()));
                self.end(id, Cause::Aborted);
            }
        }
    }

    fn unknown_abort(&mut self, vp: Vp, header: &FcHeader) {
        let unknown = self.aborts.values().filter(|abort| abort.exchange.is_none());
        if self.options.hand_up_unknown_aborts && unknown.count() < MOST_UNKNOWN {
            let rx_id = header.rx_id;
            self.hand_up(Abort { vp, header: *header, exchange: None, rx_id });
        } else {
            self.send_abort_answer(header, header.rx_id, Err(bls::NO_EXCHANGE));
        }
    }

    fn hand_up(&mut self, abort: Abort) {
        // Fewer wait than there are names: one for each exchange, and a few unknown ones.
        let id = loop {
            self.last_abort = self.last_abort.wrapping_add(1);
            let id = ExchangeId(u32::from(self.last_abort) << 16 | NUMBER);
            if !self.aborts.contains_key(&id) {
                break id;
            }
        };
        let Abort { vp, header, exchange, .. } = abort;
        self.aborts.insert(id, abort);
        self.events.push(Event::Abort { vp, abort: id, exchange, header });
    }

    /// Handles a BA_ACC or BA_RJT.
    pub(super) fn abort_answered(&mut self, vp: Vp, frame: &Fcoe<'_>, now: Duration) {
        let found = self.exchanges.met(vp, &frame.header);
        let answer = bls::read_answer(frame.header.r_ctl, frame.payload);
        match found.zip(answer) {
            Some((id, answer)) => self.abort_ended(id, answer, now),
            None => self.discard("answer to no ABTS"),
        }
    }

    /// Ends an exchange whose ABTS has had its answer, or its time. Where BA_ACC came, the
    /// number of an exchange of ours rests for R_A_TOV, so that no late frame of it is
    /// taken for another's.
    pub(super) fn abort_ended(
        &mut self,
        id: ExchangeId,
        answer: AbortAnswer,
        now: Duration,
    ) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let Kind::Aborting(known) = exchange.kind else {
            return self.discard("answer to no ABTS");
        };
        if exchange.ours && answer == AbortAnswer::Accepted {
            exchange.kind = Kind::Resting;
            exchange.deadline = Some(now.saturating_add(self.r_a_tov));
        } else {
            self.exchanges.close(id);
        }
        if known {
            self.events.push(Event::AbortDone { exchange: id, answer });
        }
    }

    /// Frees the number of an exchange after its rest, and tells the other end so by RRQ
    /// (FC-FS-3: Reinstate Recovery Qualifier). No answer is waited for.
    pub(super) fn rested(&mut self, id: ExchangeId, now: Duration) {
        let Some(exchange) = self.exchanges.close(id) else { return };
        let Exchange { vp, local, remote, ox_id, rx_id, .. } = exchange;
        let mut rrq = vec![command::RRQ, 0, 0, 0];
        rrq.put_u32(local.0);
        rrq.put_u16(ox_id);
        rrq.put_u16(rx_id);
        // Without a free exchange there is no RRQ. The other end has a timer of its own.
        let _ = self.request(vp, remote, Purpose::Own, &rrq, now);
    }
}
