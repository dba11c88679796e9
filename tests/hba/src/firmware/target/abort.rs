//! Aborts: an initiator's ABTS goes to the driver, and the driver's answer back.

use std::time::Duration;

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
        if let Some((exchange, grace)) = known.zip(self.switches.abort_ends_entry_ms) {
            let due = self.now + Duration::from_millis(u64::from(grace));
            self.state.ending.push((due, exchange));
            self.end_aborted_entries();
        }
    }

    /// Ends the entries that wait for data of aborted commands, where that is due.
    pub(in super::super) fn end_aborted_entries(&mut self) {
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) =
            self.state.ending.drain(..).partition(|(due, _)| *due <= now);
        self.state.ending = later;
        for (_, exchange) in due {
            let command = self.state.commands.get_mut(&exchange);
            if let Some(waiting) = command.and_then(|command| command.waiting.take()) {
                self.finish_ctio(&waiting.entry, CtioStatus::Aborted, exchange);
            }
        }
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
