//! ELS of other ports that concern logins. The driver hears of each and has the last word,
//! because it keeps sessions of its own.

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::{self, Login, Reject, command};
use understudy_fabric::frame::FcHeader;

use crate::chip::iocb::{Completion, CtioStatus, Notify, NotifyAck, PortRoles};
use crate::els::{
    ADISC, PDISC, PRLI, PRLO, TPRLO, adisc, plogi, prli, prli_word3, prlo_accept,
};
use crate::fields::Entry;
use crate::wire::{ExchangeId, Names, Vp};

use super::super::remotes::{Remote, Stage};
use super::super::state::Notice;
use super::super::{Hba, Report};

/// What the HBA tells of itself as a target: target function, no transfer ready for
/// reads. Retry and confirmed completion are not offered.
const TARGET_WORD3: u16 = 0x12;
/// What an HBA tells that is an initiator as well.
const BOTH_WORD3: u16 = 0x32;

/// Unable to perform, no further explanation: the port is no target.
const NO_TARGET: Reject = Reject { reason: 0x09, explanation: 0 };
/// Unable to perform, login first.
const LOGIN_FIRST: Reject = Reject { reason: 0x09, explanation: 0x1e };
/// Command already in progress.
const IN_PROGRESS: Reject = Reject { reason: 0x0e, explanation: 0 };

impl Hba {
    /// Takes an ELS of another port.
    pub(in super::super) fn els_received(
        &mut self,
        vp: Vp,
        exchange: ExchangeId,
        header: &FcHeader,
        payload: Vec<u8>,
    ) {
        let code = payload.first().copied().unwrap_or(0);
        if !self.state.is_target(vp) {
            return self.els_without_target(vp, exchange, header.s_id, code);
        }
        let known = self.state.remotes.at(vp, header.s_id).copied();
        let remote = match (code, known) {
            (command::PLOGI, _) => self.plogi_received(vp, header.s_id, &payload),
            (PRLI | PRLO | TPRLO | ADISC | PDISC | command::LOGO, Some(remote)) => {
                Ok(remote)
            }
            // What a LOGO wants is true already.
            (command::LOGO, None) => {
                self.answer_els(exchange, &els::accept());
                return;
            }
            (PRLI | PRLO | TPRLO | ADISC | PDISC, None) => Err(LOGIN_FIRST),
            _ => Err(Reject::UNSUPPORTED),
        };
        let remote = match remote {
            Ok(remote) => remote,
            Err(reject) => return self.answer_els(exchange, &reject.encode()),
        };
        if matches!(code, PRLO | TPRLO | command::LOGO) {
            // The other end has forgotten its commands already.
            self.end_issued_to(vp, remote.id, Completion::LoggedOut);
        }
        let word3 = if code == PRLI { prli_word3(&payload) } else { 0 };
        if code == PRLI {
            self.set_stage(vp, header.s_id, Stage::PrliPending, Some(word3));
        }
        self.state.notices.insert(exchange, Notice { remote, payload });
        let notify = Notify {
            vp: vp.0,
            handle: remote.handle,
            exchange: exchange.0,
            els: code,
            id: header.s_id,
            wwpn: remote.names.wwpn,
            wwnn: remote.names.wwnn,
            word3,
            ox_id: header.ox_id,
        };
        self.tell_target(notify.encode());
        // Without PRLI control a PRLI is answered by firmware, and the notice tells of it.
        let control = self.state.setup.is_some_and(|setup| setup.prli_control);
        if code == PRLI && !control {
            self.accept(exchange);
        }
    }

    /// Takes the driver's word on a notice.
    pub(in super::super) fn acknowledge(&mut self, mut entry: Entry) {
        let ack = NotifyAck::decode(&entry);
        let exchange = ExchangeId(ack.exchange);
        if ack.terminate {
            self.refuse(exchange);
        } else {
            self.accept(exchange);
        }
        NotifyAck::finish(&mut entry);
        self.respond(entry);
    }

    /// Leaves the ELS of a notice without an answer. What it would have begun has not begun:
    /// a PLOGI has ended the login before it, a PRLI by default has not.
    fn refuse(&mut self, exchange: ExchangeId) {
        self.wire.drop(exchange);
        let Some(Notice { remote, payload }) = self.state.notices.remove(&exchange)
        else {
            return;
        };
        match payload.first() {
            Some(&command::PLOGI) => drop(self.forget_remote(remote.vp, remote.handle)),
            Some(&PRLI) => {
                let keeps = !self.switches.refused_prli_ends_login;
                let before = match remote.stage {
                    Stage::Prli if keeps => Stage::Prli,
                    _ => Stage::Plogi,
                };
                self.set_stage(remote.vp, remote.id, before, None);
            }
            _ => {}
        }
    }

    /// Answers the ELS of a notice with LS_ACC, and does what that means.
    fn accept(&mut self, exchange: ExchangeId) {
        let Some(notice) = self.state.notices.remove(&exchange) else { return };
        let Notice { remote, payload } = notice;
        let Remote { vp, id, .. } = remote;
        let (Some(names), Some(own)) = (self.state.names(vp), self.wire.id(vp)) else {
            return;
        };
        match payload.first().copied().unwrap_or(0) {
            code @ (command::PLOGI | PDISC) => {
                self.answer_els(exchange, &plogi(command::LS_ACC, names));
                let stage = self.state.remotes.at(vp, id).map(|known| known.stage);
                // A login that has come further meanwhile is the same one.
                if code == command::PLOGI && stage <= Some(Stage::PlogiPending) {
                    self.state.remotes.insert(Remote { stage: Stage::Plogi, ..remote });
                    self.wire.set_receive_size(vp, id, remote.receive_size);
                }
            }
            PRLI => {
                let initiator = self.state.is_initiator(vp);
                let word3 = if initiator { BOTH_WORD3 } else { TARGET_WORD3 };
                self.answer_els(exchange, &prli(command::LS_ACC, word3));
                self.set_stage(vp, id, Stage::Prli, None);
                self.report_session(vp, id);
            }
            ADISC => {
                self.answer_els(exchange, &adisc(command::LS_ACC, names, own));
            }
            PRLO | TPRLO => {
                self.answer_els(exchange, &prlo_accept(&payload));
                self.end_process_login(vp, id);
            }
            _ => {
                self.answer_els(exchange, &els::accept());
                if let Some(handle) = self.handle_of(vp, id) {
                    self.forget_remote(vp, handle);
                }
            }
        }
    }

    /// Ends what a PRLI began. The login by PLOGI stays.
    pub(in super::super) fn end_process_login(&mut self, vp: Vp, id: Fcid) {
        if let Some(remote) = self.state.remotes.at_mut(vp, id) {
            remote.stage = remote.stage.min(Stage::Plogi);
        }
    }

    /// Answers an ELS that no driver is interested in.
    fn els_without_target(&mut self, vp: Vp, exchange: ExchangeId, from: Fcid, code: u8) {
        let handle = self.handle_of(vp, from);
        let names = self.state.names(vp).zip(self.wire.id(vp));
        match (code, handle, names) {
            (command::LOGO, handle, _) => {
                self.answer_els(exchange, &els::accept());
                if let Some(handle) = handle {
                    self.forget_remote(vp, handle);
                    self.tell_logout(vp, handle);
                }
            }
            (ADISC, Some(_), Some((names, id))) => {
                self.answer_els(exchange, &adisc(command::LS_ACC, names, id));
            }
            (ADISC, ..) => self.answer_els(exchange, &LOGIN_FIRST.encode()),
            (command::PLOGI | PRLI | PRLO | TPRLO | PDISC, ..) => {
                self.answer_els(exchange, &NO_TARGET.encode());
            }
            _ => self.answer_els(exchange, &Reject::UNSUPPORTED.encode()),
        }
    }

    /// Remembers a port that has sent a PLOGI. One that is logged in already keeps its
    /// handle, and its commands end. Where two PLOGIs cross, that of the port with the
    /// higher name goes on (FC-LS).
    fn plogi_received(
        &mut self,
        vp: Vp,
        id: Fcid,
        payload: &[u8],
    ) -> Result<Remote, Reject> {
        let login = Login::decode(payload).ok_or(Reject::BAD_LENGTH)?;
        let own = self.state.names(vp).map(|names| names.wwpn);
        if self.is_logging_in(vp, id) && own > Some(login.wwpn) {
            return Err(IN_PROGRESS);
        }
        let old = self.handle_of(vp, id);
        let status = if self.switches.logged_out_at_plogi {
            CtioStatus::LoggedOut
        } else {
            CtioStatus::ConfigurationChanged
        };
        self.end_commands_of(vp, id, status);
        self.end_issued_to(vp, id, Completion::ConfigurationChanged);
        let free = old.or_else(|| self.state.take_handle(self.switches.handles_in_turn));
        let handle = free.ok_or(Reject::NO_RESOURCES)?;
        let remote = Remote {
            vp,
            handle,
            id,
            names: Names { wwpn: login.wwpn, wwnn: login.wwnn },
            stage: Stage::PlogiPending,
            roles: PortRoles::default(),
            receive_size: login.receive_size,
        };
        self.state.remotes.insert(remote);
        self.yield_logins(vp, id, handle);
        Ok(remote)
    }

    fn set_stage(&mut self, vp: Vp, id: Fcid, stage: Stage, word3: Option<u16>) {
        if let Some(remote) = self.state.remotes.at_mut(vp, id) {
            remote.stage = stage;
            if let Some(word3) = word3 {
                remote.roles = PortRoles { word3 };
            }
        }
    }

    fn handle_of(&self, vp: Vp, id: Fcid) -> Option<u16> {
        self.state.remotes.at(vp, id).map(|remote| remote.handle)
    }

    fn report_session(&mut self, vp: Vp, id: Fcid) {
        let wwpn = |remote: &Remote| (remote.names.wwpn, remote.handle);
        if let Some((wwpn, handle)) = self.state.remotes.at(vp, id).map(wwpn) {
            self.report(Report::Session { vp: vp.0, fcid: id, wwpn, handle });
        }
    }

    fn answer_els(&mut self, exchange: ExchangeId, payload: &[u8]) {
        if let Err(error) = self.wire.answer_els(exchange, payload) {
            log::debug!("answer to an ELS: {error}");
        }
    }
}
