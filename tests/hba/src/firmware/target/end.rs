//! The end of commands and sessions that the driver did not end.

use understudy_fabric::addr::Fcid;

use crate::chip::iocb::{Completion, CtioStatus};
use crate::wire::{Cause, ExchangeId, Vp};

use super::super::exchanges::Pending;
use super::super::remotes::Remote;
use super::super::{Hba, Report};
use super::Command;

impl Hba {
    /// Returns the commands of an initiator.
    pub(in super::super) fn commands_of(&self, vp: Vp, id: Fcid) -> Vec<ExchangeId> {
        self.commands_where(|command| (command.vp, command.id) == (vp, id))
    }

    /// Returns the commands that `what` picks.
    fn commands_where(&self, what: impl Fn(&Command) -> bool) -> Vec<ExchangeId> {
        let all = self.state.commands.iter().filter(|(_, command)| what(command));
        all.map(|(exchange, _)| *exchange).collect()
    }

    /// Ends all commands of a port of the HBA that is disabled. Entries of the driver that
    /// wait for data are answered first.
    pub(in super::super) fn end_commands(&mut self, vp: Vp) {
        let status = if self.switches.logged_out_at_disable {
            CtioStatus::LoggedOut
        } else {
            CtioStatus::Aborted
        };
        for exchange in self.commands_where(|command| command.vp == vp) {
            self.end_exchange(exchange, status);
        }
    }

    /// Ends all commands of an initiator that has logged out, or logs in again. Its other
    /// exchanges stay: the ELS that is the reason may be one of them.
    pub(super) fn end_commands_of(&mut self, vp: Vp, id: Fcid, status: CtioStatus) {
        for exchange in self.commands_of(vp, id) {
            self.end_exchange(exchange, status);
        }
    }

    /// Drops an exchange, and ends its command. Returns whether there was one.
    pub(super) fn end_exchange(
        &mut self,
        exchange: ExchangeId,
        status: CtioStatus,
    ) -> bool {
        let known = self.end_command(exchange, status);
        if known {
            self.wire.drop(exchange);
        }
        known
    }

    /// Forgets a command. The entry that waits for its data is answered. Returns whether
    /// there was such a command.
    pub(super) fn end_command(
        &mut self,
        exchange: ExchangeId,
        status: CtioStatus,
    ) -> bool {
        let Some(command) = self.state.commands.remove(&exchange) else { return false };
        if let Some(waiting) = command.waiting {
            self.finish_ctio(&waiting.entry, status, exchange);
        }
        true
    }

    /// Forgets a command whose exchange the wire has ended.
    pub(in super::super) fn command_ended(&mut self, exchange: ExchangeId, cause: Cause) {
        let status = match cause {
            Cause::Timeout => CtioStatus::Timeout,
            Cause::LoggedOut => CtioStatus::LoggedOut,
            Cause::Aborted | Cause::Damaged => CtioStatus::Aborted,
        };
        self.end_command(exchange, status);
    }

    /// Forgets the login of another port, with all that belongs to it. Returns the login.
    pub(in super::super) fn forget_remote(
        &mut self,
        vp: Vp,
        handle: u16,
    ) -> Option<Remote> {
        let remote = self.state.remotes.remove(vp, handle)?;
        self.end_commands_of(vp, remote.id, CtioStatus::LoggedOut);
        self.end_issued_to(vp, remote.id, Completion::LoggedOut);
        self.session_ended(&remote);
        Some(remote)
    }

    /// Forgets all logins of a port of the HBA.
    pub(in super::super) fn forget_port(&mut self, vp: Vp) {
        for remote in self.state.remotes.remove_all(vp) {
            self.end_commands_of(vp, remote.id, CtioStatus::LoggedOut);
            self.session_ended(&remote);
        }
        self.end_issued_of(vp);
        self.state.notices.retain(|_, notice| notice.remote.vp != vp);
    }

    /// Sends a LOGO to a port that is not logged in.
    pub(in super::super) fn send_logo(&mut self, vp: Vp, id: Fcid) {
        let logo = self.logo(vp);
        if let Ok(exchange) = self.wire.send_els(vp, id, &logo, self.now) {
            self.state.pending.insert(exchange, Pending::Ignored);
        }
    }

    fn session_ended(&mut self, remote: &Remote) {
        if !remote.id.is_well_known() {
            self.report(Report::SessionEnded {
                vp: remote.vp.0,
                fcid: remote.id,
                wwpn: remote.names.wwpn,
            });
        }
    }
}
