//! Logins to other ports that the driver asks for.

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::{Logout, command};

use crate::chip::iocb::{Completion, LoginOut, Operation, PortRoles, failure};
use crate::els::{ADISC, PRLI, adisc, plogi, prli};
use crate::fields::Entry;
use crate::wire::{Vp, WireError};

use super::super::exchanges::{Origin, Pending};
use super::super::remotes::{Remote, Stage};
use super::super::{Hba, YieldedLogin};

/// What follows "command failed" where both ports are logged in already.
const LOGGED_IN: u32 = 0x0606;

impl Hba {
    /// Logs in to another port, or out of it.
    pub(super) fn login_out(&mut self, mut entry: Entry, origin: Origin) {
        let login = LoginOut::decode(&entry);
        let vp = Vp(login.vp);
        match login.operation {
            Operation::Plogi { conditional, skip_prli } => {
                self.log_in(login, entry, origin, conditional, skip_prli);
            }
            Operation::Prli => self.send_prli(login, entry, origin),
            Operation::Adisc => {
                let names = self.state.names(vp);
                match (names, self.wire.id(vp)) {
                    (Some(names), Some(id)) => {
                        let payload = adisc(ADISC, names, id);
                        self.send_login(
                            vp,
                            login.id,
                            &payload,
                            Pending::Plain(entry, origin),
                        );
                    }
                    _ => self.fail_login(entry, origin, failure::NO_FLOGI),
                }
            }
            Operation::Logo { implicit } => {
                match self.log_out(login) {
                    // What the driver wants is true already.
                    None => self.fail_login(entry, origin, failure::NOT_LOGGED_IN),
                    Some(_) if implicit => {
                        LoginOut::succeed(&mut entry, PortRoles::default());
                        self.finish(origin, entry);
                    }
                    Some(remote) => {
                        let logo = self.logo(vp);
                        let pending = Pending::Plain(entry, origin);
                        self.send_login(vp, remote.id, &logo, pending);
                    }
                }
            }
            Operation::ImplicitPrlo => {
                self.end_issued_to(vp, login.id, Completion::LoggedOut);
                self.end_process_login(vp, login.id);
                LoginOut::succeed(&mut entry, PortRoles::default());
                self.finish(origin, entry);
            }
            Operation::Other(number) => {
                self.nonsense(format!("a login of kind {number}"));
                self.fail_login(entry, origin, failure::BAD_PARAMETER);
            }
        }
    }

    /// Sends a PRLI.
    pub(in super::super) fn send_prli(
        &mut self,
        login: LoginOut,
        entry: Entry,
        origin: Origin,
    ) {
        const INITIATOR: u16 = 0x20;
        const TARGET: u16 = 0x10;
        const NO_READ_READY: u16 = 0x02;
        let vp = Vp(login.vp);
        let mut word3 = NO_READ_READY;
        if self.state.is_initiator(vp) {
            word3 |= INITIATOR;
        }
        if self.state.is_target(vp) {
            word3 |= TARGET;
        }
        let payload = prli(PRLI, word3);
        self.send_login(vp, login.id, &payload, Pending::Prli(login, entry, origin));
    }

    /// Returns a LOGO of a port of the HBA.
    pub(in super::super) fn logo(&self, vp: Vp) -> Vec<u8> {
        let fcid = self.wire.id(vp).unwrap_or(Fcid::NONE);
        let wwpn = self.state.names(vp).map(|names| names.wwpn);
        wwpn.map(|wwpn| Logout { fcid, wwpn }.encode()).unwrap_or_default()
    }

    /// Ends a login, because a PLOGI of the other port goes before it. `handle` is the one
    /// in the notice of that PLOGI.
    pub(in super::super) fn yield_login(
        &mut self,
        mut entry: Entry,
        origin: Origin,
        handle: u16,
    ) {
        let (reason, more) = match self.switches.yielded_login {
            YieldedLogin::Completed => (failure::COMMAND_FAILED, LOGGED_IN),
            YieldedLogin::PortIdUsed | YieldedLogin::Answered => {
                (failure::PORT_ID_USED, u32::from(handle))
            }
        };
        LoginOut::fail(&mut entry, reason, more);
        self.finish(origin, entry);
    }

    fn log_in(
        &mut self,
        login: LoginOut,
        mut entry: Entry,
        origin: Origin,
        conditional: bool,
        skip: bool,
    ) {
        // The management server is asked for by its handle or by its address. No fabric of
        // ours has one, and the driver's thread would wait for its silence.
        if login.id == Fcid::MANAGEMENT {
            return self.fail_login(entry, origin, failure::COMMAND_FAILED);
        }
        let vp = Vp(login.vp);
        let Some(names) = self.state.names(vp) else {
            return self.fail_login(entry, origin, failure::NO_FLOGI);
        };
        let answered = self.switches.yielded_login == YieldedLogin::Answered;
        match self.state.remotes.at(vp, login.id).copied() {
            // A PLOGI of the other port came first, and the driver was told.
            Some(other) if other.stage == Stage::PlogiPending && !answered => {
                return self.yield_login(entry, origin, other.handle);
            }
            Some(other) if other.stage == Stage::PlogiPending => {}
            Some(other) if other.handle != login.handle => {
                let handle = u32::from(other.handle);
                LoginOut::fail(&mut entry, failure::PORT_ID_USED, handle);
                return self.finish(origin, entry);
            }
            Some(other) if conditional && self.switches.condition_counts => {
                return match other.stage {
                    Stage::Plogi if !skip => self.send_prli(login, entry, origin),
                    _ => self.succeed_login(login, entry, origin),
                };
            }
            _ => {}
        }
        let holder = self.state.remotes.get(vp, login.handle).map(|remote| remote.id);
        if let Some(id) = holder.filter(|id| *id != login.id) {
            LoginOut::fail(&mut entry, failure::HANDLE_USED, id.0);
            return self.finish(origin, entry);
        }
        let prli = !skip && !login.id.is_well_known();
        let payload = plogi(command::PLOGI, names);
        let pending = Pending::Plogi(login, entry, origin, prli);
        self.send_login(vp, login.id, &payload, pending);
    }

    /// Forgets the login that a LOGO entry names. Returns it, if there is one.
    fn log_out(&mut self, login: LoginOut) -> Option<Remote> {
        let vp = Vp(login.vp);
        let any = !self.switches.logout_names_port;
        let named = |remote: &&Remote| any || remote.id == login.id;
        let handle = self.state.remotes.get(vp, login.handle).filter(named)?.handle;
        self.forget_remote(vp, handle)
    }

    fn send_login(&mut self, vp: Vp, id: Fcid, payload: &[u8], pending: Pending) {
        match self.wire.send_els(vp, id, payload, self.now) {
            Ok(exchange) => {
                self.state.pending.insert(exchange, pending);
            }
            Err(error) => {
                let reason = match error {
                    WireError::NoExchange => failure::NO_EXCHANGE,
                    WireError::NotLoggedIn if self.light => failure::NO_FLOGI,
                    WireError::NotLoggedIn => failure::NO_LINK,
                    _ => failure::COMMAND_FAILED,
                };
                match pending {
                    Pending::Plogi(_, entry, origin, _)
                    | Pending::Prli(_, entry, origin)
                    | Pending::Plain(entry, origin) => {
                        self.fail_login(entry, origin, reason);
                    }
                    _ => {}
                }
            }
        }
    }

    fn fail_login(&mut self, mut entry: Entry, origin: Origin, reason: u32) {
        LoginOut::fail(&mut entry, reason, 0);
        self.finish(origin, entry);
    }
}
