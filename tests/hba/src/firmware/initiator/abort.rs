//! Aborts of the driver's commands: by the driver, by a target, or because time is up.

use std::time::Duration;

use understudy_fabric::addr::Fcid;

use crate::chip::iocb::{AbortCommand, Completion};
use crate::fields::Entry;
use crate::wire::fcp::{Command, Response};
use crate::wire::{AbortAnswer, ExchangeId, Vp};

use super::super::Hba;
use super::super::exchanges::Origin;
use super::Issued;

/// An abort that is under way.
#[derive(Debug)]
pub(super) struct Aborting {
    /// How the command will have ended.
    pub(super) completion: Completion,
    /// The driver's ABORT, if the driver wants it.
    pub(super) asked: Option<(Entry, Origin)>,
}

impl Hba {
    /// Aborts a command as the driver says.
    pub(in super::super) fn abort_command(&mut self, mut entry: Entry, origin: Origin) {
        let AbortCommand { handle } = AbortCommand::decode(&entry);
        let is_meant = |issued: &Issued| {
            let asked = issued.aborting.as_ref().is_some_and(|a| a.asked.is_some());
            issued.handle == handle && !asked
        };
        match self.issued_where(is_meant).first() {
            Some(exchange) => {
                let asked = Some((entry, origin));
                let aborting = Aborting { completion: Completion::Aborted, asked };
                self.abort_issued(*exchange, aborting);
            }
            None => {
                AbortCommand::finish(&mut entry, false);
                self.finish(origin, entry);
            }
        }
    }

    /// Aborts a command without a word of the driver's.
    pub(super) fn give_up(&mut self, exchange: ExchangeId, completion: Completion) {
        self.abort_issued(exchange, Aborting { completion, asked: None });
    }

    /// Ends a command whose ABTS has had its answer. A target that does not answer is
    /// logged out.
    pub(in super::super) fn abort_done(
        &mut self,
        exchange: ExchangeId,
        answer: AbortAnswer,
    ) {
        let Some(issued) = self.state.issued.get(&exchange) else { return };
        let (vp, id) = (issued.vp, issued.id);
        let aborting = issued.aborting.as_ref();
        let completion = aborting.map_or(Completion::Aborted, |a| a.completion);
        self.end_issued(exchange, completion);
        if answer == AbortAnswer::None {
            self.end_session(vp, id);
        }
    }

    /// Accepts the ABTS of a target, if it is about a command of the driver's. Returns
    /// whether it is.
    pub(in super::super) fn accept_abort(
        &mut self,
        abort: ExchangeId,
        exchange: Option<ExchangeId>,
    ) -> bool {
        let ours = exchange.filter(|id| self.state.issued.contains_key(id));
        let Some(exchange) = ours else { return false };
        // It waits for its answer, so the wire knows it.
        let _ = self.wire.answer_abort(abort, Ok(()));
        self.end_issued(exchange, Completion::AbortedByTarget);
        true
    }

    /// Aborts the commands that a task management function has ended in the target, which
    /// sends no responses to them.
    pub(super) fn abort_managed(&mut self, function: &Issued, response: &Response) {
        const LUN: u8 =
            Command::LUN_RESET | Command::ABORT_TASK_SET | Command::CLEAR_TASK_SET;
        const FUNCTION_COMPLETE: u8 = 0;
        let code = response.info.get(3).copied().unwrap_or(FUNCTION_COMPLETE);
        if code != FUNCTION_COMPLETE {
            return;
        }
        let Command { function: bits, lun, .. } = function.cmnd;
        let has_ended = |issued: &Issued| {
            let of_target = bits & Command::TARGET_RESET != 0;
            let of_lun = bits & LUN != 0 && issued.cmnd.lun == lun;
            (issued.vp, issued.id) == (function.vp, function.id)
                && issued.cmnd.function == 0
                && (of_target || of_lun)
        };
        for exchange in self.issued_where(has_ended) {
            self.give_up(exchange, Completion::Aborted);
        }
    }

    /// Aborts the commands whose time is up.
    pub(in super::super) fn abort_overdue(&mut self) {
        let now = self.now;
        let is_late = |issued: &Issued| issued.due().is_some_and(|due| due <= now);
        for exchange in self.issued_where(is_late) {
            self.give_up(exchange, Completion::TimedOut);
        }
    }

    /// Returns when the time of the first command is up.
    pub(in super::super) fn issued_deadline(&self) -> Option<Duration> {
        self.state.issued.values().filter_map(Issued::due).min()
    }

    fn abort_issued(&mut self, exchange: ExchangeId, aborting: Aborting) {
        let Some(issued) = self.state.issued.get_mut(&exchange) else { return };
        if let Some(under_way) = &mut issued.aborting {
            under_way.asked = under_way.asked.take().or(aborting.asked);
            return;
        }
        let completion = aborting.completion;
        issued.aborting = Some(aborting);
        // The exchange may have ended, and the event waits to be handled.
        if self.wire.abort(exchange, self.now).is_err() {
            self.end_issued(exchange, completion);
        }
    }

    /// Ends the login of a target that does not answer, and tells the driver.
    fn end_session(&mut self, vp: Vp, id: Fcid) {
        let Some(handle) = self.state.remotes.at(vp, id).map(|remote| remote.handle)
        else {
            return;
        };
        self.forget_remote(vp, handle);
        self.send_logo(vp, id);
        self.tell_logout(vp, handle);
    }
}
