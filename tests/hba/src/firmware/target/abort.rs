//! Aborts: an initiator's ABTS goes to the driver, and the driver's answer back.

use understudy_fabric::frame::FcHeader;

use crate::chip::iocb::{AbortReceived, AbortResponse, CtioStatus, FAILED};
use crate::fields::Entry;
use crate::wire::{ExchangeId, Vp};

use super::super::{Hba, Report};

/// The handle of an initiator that is not logged in.
const NO_HANDLE: u16 = 0xffff;
/// Why a BA_RJT is sent where the driver has nothing to do with the exchange: unable to
/// perform, no further explanation.
const UNABLE: (u8, u8) = (0x09, 0);

impl Hba {
    /// Brings an ABTS to the driver.
    pub(in super::super) fn abort_received(
        &mut self,
        vp: Vp,
        abort: ExchangeId,
        exchange: Option<ExchangeId>,
        header: &FcHeader,
    ) {
        let known = exchange.filter(|id| self.state.commands.contains_key(id));
        let fcid = header.s_id;
        self.report(Report::Abort { vp: vp.0, fcid, known: known.is_some() });
        if !self.state.is_target(vp) {
            // It is about an ELS, and the driver of an initiator answers no aborts.
            let accepted = exchange.is_some();
            let answer = if accepted { Ok(()) } else { Err(UNABLE) };
            let _ = self.wire.answer_abort(abort, answer);
            return;
        }
        if let Some(exchange) = exchange.filter(|_| known.is_none()) {
            // An ELS that waits for the driver.
            self.state.notices.remove(&exchange);
        }
        self.state.aborts.insert(abort, exchange);
        let handle = self.state.remotes.at(vp, fcid).map(|remote| remote.handle);
        let entry = AbortReceived {
            vp: vp.0,
            handle: handle.unwrap_or(NO_HANDLE),
            abort: abort.0,
            exchange: known.map(|exchange| exchange.0),
            header: *header,
        };
        self.respond(entry.encode());
    }

    /// Answers an ABTS as the driver says.
    pub(in super::super) fn answer_abort(&mut self, mut entry: Entry) {
        let response = AbortResponse::decode(&entry);
        let abort = ExchangeId(response.abort);
        let exchange = self.state.aborts.remove(&abort).flatten();
        if let (Some(exchange), Ok(())) = (exchange, response.answer) {
            self.end_command(exchange, CtioStatus::Aborted);
        }
        let sent = self.wire.answer_abort(abort, response.answer);
        AbortResponse::finish(&mut entry, if sent.is_ok() { 0 } else { FAILED });
        self.respond(entry);
    }
}
