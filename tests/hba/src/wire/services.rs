//! Extended link services and common transport: requests, their answers, and what is
//! answered without firmware (FC-LS, FC-GS).

use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::ct;
use understudy_fabric::els::{self, Reject, command};
use understudy_fabric::frame::{FcHeader, Fcoe};

use super::exchange::{Kind, Purpose};
use super::own_els::{self, OwnAnswer};
use super::sequence::{FIRST, INITIATIVE, LAST, Message, ends};
use super::{Cause, Event, ExchangeId, Vp, Wire, WireError};

/// LS_RJT: logical busy, insufficient resources.
const BUSY: Reject = Reject { reason: 0x05, explanation: 0x29 };

/// # Extended link services and common transport
impl Wire {
    /// Sends an ELS. The answer comes as [`Event::ElsAnswer`], its absence as
    /// [`Event::Ended`] after twice R_A_TOV (FC-LS).
    pub fn send_els(
        &mut self,
        vp: Vp,
        d_id: Fcid,
        payload: &[u8],
        now: Duration,
    ) -> Result<ExchangeId, WireError> {
        self.request(vp, d_id, Purpose::Els, payload, now)
    }

    /// Sends a CT request, with its CT header. The answer comes as [`Event::CtAnswer`],
    /// its absence as [`Event::Ended`] after three times R_A_TOV (FC-GS).
    pub fn send_ct(
        &mut self,
        vp: Vp,
        d_id: Fcid,
        payload: &[u8],
        now: Duration,
    ) -> Result<ExchangeId, WireError> {
        self.request(vp, d_id, Purpose::Ct, payload, now)
    }

    /// Answers an ELS, which ends its exchange.
    pub fn answer_els(
        &mut self,
        exchange: ExchangeId,
        payload: &[u8],
    ) -> Result<(), WireError> {
        match self.exchange(exchange)?.kind {
            Kind::Els => {
                self.reply_els(exchange, payload);
                Ok(())
            }
            _ => Err(WireError::WrongState),
        }
    }

    /// Answers an ELS with LS_RJT, which ends its exchange.
    pub fn reject_els(
        &mut self,
        exchange: ExchangeId,
        reject: Reject,
    ) -> Result<(), WireError> {
        self.answer_els(exchange, &reject.encode())
    }
}

impl Wire {
    /// Opens an exchange with a request of ours, and sends it.
    pub(super) fn request(
        &mut self,
        vp: Vp,
        d_id: Fcid,
        purpose: Purpose,
        payload: &[u8],
        now: Duration,
    ) -> Result<ExchangeId, WireError> {
        let (what, patience) = match purpose {
            Purpose::Ct => ((ct::R_CTL_REQUEST, ct::TYPE), 3),
            Purpose::Els | Purpose::Own => ((els::R_CTL_REQUEST, els::TYPE), 2),
        };
        let kind = Kind::Request(purpose, Message::answer());
        let exchange = self.begin(vp, d_id, kind)?;
        if let Some(exchange) = self.exchanges.get_mut(exchange) {
            let patience = self.r_a_tov.saturating_mul(patience);
            exchange.deadline = Some(now.saturating_add(patience));
        }
        self.send_on(exchange, what, FIRST, INITIATIVE, payload);
        Ok(exchange)
    }

    fn reply_els(&mut self, exchange: ExchangeId, payload: &[u8]) {
        self.send_on(exchange, (els::R_CTL_REPLY, els::TYPE), LAST, 0, payload);
        self.exchanges.close(exchange);
    }

    /// Takes a frame of the answer to a request of ours.
    pub(super) fn answer_received(&mut self, vp: Vp, frame: &Fcoe<'_>) {
        let ct = frame.header.fc_type == ct::TYPE;
        let found = self.exchanges.met(vp, &frame.header);
        let request = found.and_then(|id| match &mut self.exchanges.get_mut(id)?.kind {
            Kind::Request(purpose, message) if ct == (*purpose == Purpose::Ct) => {
                Some((id, *purpose, message.take(frame)))
            }
            _ => None,
        });
        match request {
            Some((_, _, Ok(None))) => {}
            Some((exchange, purpose, Ok(Some(payload)))) => {
                self.exchanges.close(exchange);
                match purpose {
                    Purpose::Els => {
                        self.events.push(Event::ElsAnswer { exchange, payload })
                    }
                    Purpose::Ct => {
                        self.events.push(Event::CtAnswer { exchange, payload })
                    }
                    Purpose::Own => {}
                }
            }
            Some((exchange, _, Err(_))) => self.end(exchange, Cause::Damaged),
            None => self.discard("answer to no request"),
        }
    }

    /// Takes a frame of an ELS of somebody else.
    pub(super) fn els_received(&mut self, vp: Vp, frame: &Fcoe<'_>, now: Duration) {
        let header = &frame.header;
        let exchange = match self.exchanges.met(vp, header) {
            Some(exchange) => exchange,
            None if !self.exchanges.may_begin(vp, header) => {
                return self.discard("ELS that begins no exchange");
            }
            None => match self.exchanges.accept(
                vp,
                header,
                Kind::Arriving(Message::request()),
            ) {
                Some(exchange) => exchange,
                None if ends(frame) => {
                    let reply = header.reply(els::R_CTL_REPLY);
                    return self.send(reply, 0, &BUSY.encode());
                }
                None => return self.discard("no exchange is free"),
            },
        };
        let deadline = now.saturating_add(self.r_a_tov);
        let Some(open) = self.exchanges.get_mut(exchange) else { return };
        let Kind::Arriving(message) = &mut open.kind else {
            return self.discard("ELS in an exchange that is in use");
        };
        open.deadline = Some(deadline);
        match message.take(frame) {
            Ok(None) => {}
            Ok(Some(payload)) => self.els_whole(vp, exchange, header, payload, now),
            Err(_) => {
                self.exchanges.close(exchange);
                self.discard("ELS with a gap");
            }
        }
    }

    /// Handles an ELS of somebody else.
    fn els_whole(
        &mut self,
        vp: Vp,
        exchange: ExchangeId,
        header: &FcHeader,
        payload: Vec<u8>,
        now: Duration,
    ) {
        // The F_Port ends a login without firmware's leave.
        if header.s_id == Fcid::F_PORT && payload.first() == Some(&command::LOGO) {
            self.reply_els(exchange, &els::accept());
            return self.logged_out(vp, now);
        }
        match own_els::answer(&self.exchanges, vp, header, &payload, self.r_a_tov) {
            Some(OwnAnswer { payload, pages }) => {
                self.reply_els(exchange, &payload);
                if !pages.is_empty() {
                    self.events.push(Event::Rscn { vp, pages });
                }
            }
            None => {
                let deadline = now.saturating_add(self.options.els_patience);
                if let Some(open) = self.exchanges.get_mut(exchange) {
                    open.kind = Kind::Els;
                    open.deadline = Some(deadline);
                }
                let header = *header;
                self.events.push(Event::ElsReceived { vp, exchange, header, payload });
            }
        }
    }
}
