//! How a command of the driver's ends: by its response, or without one.

use understudy_fabric::addr::Fcid;

use crate::chip::iocb::{AbortCommand, CommandStatus, Completion};
use crate::wire::fcp::{Residual, Response};
use crate::wire::{Cause, DataFault, ExchangeId, Vp};

use super::super::Hba;
use super::super::exchanges::Origin;
use super::Issued;

impl Hba {
    /// Tells the driver how a target responded.
    pub(in super::super) fn response_received(
        &mut self,
        exchange: ExchangeId,
        payload: &[u8],
        received: Result<u32, DataFault>,
    ) {
        let Some(issued) = self.state.issued.remove(&exchange) else { return };
        let response = Response::decode(payload);
        let completed = response.as_ref().filter(|_| issued.cmnd.function != 0);
        let completion = match &response {
            None => Completion::Transport,
            Some(response) => judge(&issued, response, received),
        };
        let status = CommandStatus {
            handle: issued.handle,
            completion,
            ox_id: ox_id(exchange),
            residual: issued.residual(),
            response: response.as_ref(),
        };
        self.answer_command(issued.origin.clone(), &status);
        if let Some(response) = completed {
            self.abort_managed(&issued, response);
        }
    }

    /// Forgets a command whose exchange the wire has ended.
    pub(in super::super) fn issued_ended(&mut self, exchange: ExchangeId, cause: Cause) {
        let completion = match cause {
            Cause::Timeout => Completion::TimedOut,
            Cause::LoggedOut => Completion::PortUnavailable,
            Cause::Aborted | Cause::Damaged => Completion::Transport,
        };
        self.end_issued(exchange, completion);
    }

    /// Ends the commands to a target that will not respond.
    pub(in super::super) fn end_issued_to(
        &mut self,
        vp: Vp,
        id: Fcid,
        completion: Completion,
    ) {
        let to = |issued: &Issued| (issued.vp, issued.id) == (vp, id);
        for exchange in self.issued_where(to) {
            self.end_issued(exchange, completion);
        }
    }

    /// Ends all commands of a port of the HBA, whose logins have ended.
    pub(in super::super) fn end_issued_of(&mut self, vp: Vp) {
        for exchange in self.issued_where(|issued| issued.vp == vp) {
            self.end_issued(exchange, Completion::LoggedOut);
        }
    }

    /// Returns the commands that `what` picks.
    pub(super) fn issued_where(&self, what: impl Fn(&Issued) -> bool) -> Vec<ExchangeId> {
        let all = self.state.issued.iter().filter(|(_, issued)| what(issued));
        all.map(|(exchange, _)| *exchange).collect()
    }

    /// Ends a command without a response. Nothing is sent to the target.
    pub(super) fn end_issued(&mut self, exchange: ExchangeId, completion: Completion) {
        let Some(issued) = self.state.issued.remove(&exchange) else { return };
        self.wire.drop(exchange);
        let status = CommandStatus {
            ox_id: ox_id(exchange),
            residual: issued.residual(),
            ..CommandStatus::new(issued.handle, completion)
        };
        self.answer_command(issued.origin, &status);
        if let Some((mut entry, origin)) = issued.aborting.and_then(|a| a.asked) {
            AbortCommand::finish(&mut entry, true);
            self.finish(origin, entry);
        }
    }

    /// Brings a STATUS to the driver. A mailbox command has room for one entry.
    pub(super) fn answer_command(&mut self, origin: Origin, status: &CommandStatus<'_>) {
        let ring = origin == Origin::Ring;
        let mut entries = status.encode().into_iter();
        if let Some(first) = entries.next() {
            self.finish(origin, first);
        }
        for entry in entries.filter(|_| ring) {
            self.respond(entry);
        }
    }
}

/// Returns how a command ended that a target has responded to. Data that is missing counts
/// whatever the target says of it, so that a lost frame is found.
fn judge(
    issued: &Issued,
    response: &Response,
    received: Result<u32, DataFault>,
) -> Completion {
    match (response.residual, received) {
        _ if !issued.fits => Completion::DmaError,
        (Residual::Over(_), _) | (_, Err(DataFault::Long)) => Completion::Overrun,
        _ if issued.residual() > 0 => Completion::Underrun,
        _ => Completion::Complete,
    }
}

/// Returns the originator's exchange ID of a command of ours.
fn ox_id(exchange: ExchangeId) -> u16 {
    u16::try_from(exchange.0 & 0xffff).unwrap_or_default()
}
