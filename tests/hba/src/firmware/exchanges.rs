//! Requests of the HBA's own that wait for an answer, and what follows from it.

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::{Login, Reject, command};

use crate::chip::iocb::{Completion, Ct, Els, LoginOut, PortRoles, Segment, failure};
use crate::chip::iocb::{PORT_UNAVAILABLE, TIMED_OUT};
use crate::chip::{Event, Mailboxes, Status};
use crate::els::prli_word3;
use crate::fields::Entry;
use crate::wire::{Cause, ExchangeId, Names, Vp};

use super::remotes::{Remote, Stage};
use super::{Hba, YieldedLogin};

/// Where the answer to an entry goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// Into the response ring.
    Ring,
    /// Back into the buffer of the mailbox command that brought the entry, with the
    /// command's own answer after it.
    Mailbox(Mailboxes),
}

/// A request that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    /// Nobody waits for the answer.
    Ignored,
    /// An SCR, for a mailbox command.
    StateChanges(Mailboxes),
    /// A PLOGI, and whether a PRLI follows.
    Plogi(LoginOut, Entry, Origin, bool),
    /// A PRLI.
    Prli(LoginOut, Entry, Origin),
    /// An ELS whose LS_ACC tells nothing more.
    Plain(Entry, Origin),
    /// A CT request, and where its answer goes.
    Ct(Entry, Origin, Segment),
    /// An ELS that the driver wrote, and where its answer goes.
    Els(Entry, Origin, Segment),
}

impl Pending {
    /// Whether the request is part of a login to another port.
    fn logs_in_to(&self, vp: Vp, id: Fcid) -> bool {
        match self {
            Self::Plogi(login, ..) | Self::Prli(login, ..) => {
                (Vp(login.vp), login.id) == (vp, id)
            }
            _ => false,
        }
    }
}

impl Hba {
    /// Answers an entry.
    pub(super) fn finish(&mut self, origin: Origin, entry: Entry) {
        match origin {
            Origin::Ring => self.respond(entry),
            Origin::Mailbox(mailboxes) => {
                let written = self.memory.write(mailboxes.address(), &entry.0);
                let ok = written.is_ok();
                let status = if ok { Status::Complete } else { Status::Error };
                self.answer_mailbox(mailboxes.answer(status, &[]));
            }
        }
    }

    /// Goes on with the request that an ELS answers.
    pub(super) fn els_answered(&mut self, exchange: ExchangeId, payload: &[u8]) {
        let Some(pending) = self.state.pending.remove(&exchange) else { return };
        let accepted = payload.first() == Some(&command::LS_ACC);
        match pending {
            Pending::Ignored | Pending::Ct(..) => {}
            Pending::StateChanges(mailboxes) => {
                let status = if accepted { Status::Complete } else { Status::Error };
                self.answer_mailbox(mailboxes.answer(status, &[]));
            }
            Pending::Plogi(login, entry, origin, prli) => match Login::decode(payload) {
                Some(answer) if accepted => {
                    self.logged_in_to(login, &answer);
                    if prli {
                        self.send_prli(login, entry, origin);
                    } else {
                        self.succeed_login(login, entry, origin);
                    }
                }
                _ => self.reject_login(entry, origin, payload),
            },
            Pending::Prli(login, entry, origin) if accepted => {
                let word3 = prli_word3(payload);
                if let Some(remote) = self.state.remotes.at_mut(Vp(login.vp), login.id) {
                    remote.stage = Stage::Prli;
                    remote.roles = PortRoles { word3 };
                }
                self.succeed_login(login, entry, origin);
            }
            Pending::Plain(mut entry, origin) if accepted => {
                LoginOut::succeed(&mut entry, PortRoles::default());
                self.finish(origin, entry);
            }
            Pending::Prli(_, entry, origin) | Pending::Plain(entry, origin) => {
                self.reject_login(entry, origin, payload);
            }
            Pending::Els(mut entry, origin, segment) => {
                let len = self.write_answer(segment, payload);
                Els::finish(&mut entry, 0, len);
                self.finish(origin, entry);
            }
        }
    }

    /// Brings the answer to a CT request to the driver.
    pub(super) fn ct_answered(&mut self, exchange: ExchangeId, payload: &[u8]) {
        if let Some(Pending::Ct(mut entry, origin, segment)) =
            self.state.pending.remove(&exchange)
        {
            let len = self.write_answer(segment, payload);
            Ct::finish(&mut entry, 0, len);
            self.finish(origin, entry);
        }
    }

    /// Tells the driver that no answer will come.
    pub(super) fn request_ended(&mut self, exchange: ExchangeId, cause: Cause) {
        let Some(pending) = self.state.pending.remove(&exchange) else { return };
        let status = if cause == Cause::Timeout { TIMED_OUT } else { PORT_UNAVAILABLE };
        match pending {
            Pending::Ignored => {}
            Pending::StateChanges(mailboxes) => {
                self.answer_mailbox(mailboxes.answer(Status::Error, &[]));
            }
            Pending::Plogi(_, mut entry, origin, _)
            | Pending::Prli(_, mut entry, origin)
            | Pending::Plain(mut entry, origin) => {
                let lost = cause == Cause::LoggedOut;
                let reason =
                    if lost { failure::NO_LINK } else { failure::COMMAND_FAILED };
                LoginOut::fail(&mut entry, reason, 0);
                self.finish(origin, entry);
            }
            Pending::Ct(mut entry, origin, _) => {
                Ct::finish(&mut entry, status, 0);
                self.finish(origin, entry);
            }
            Pending::Els(mut entry, origin, _) => {
                Els::finish(&mut entry, status, 0);
                self.finish(origin, entry);
            }
        }
    }

    /// Answers a mailbox command, unless firmware is told to stay silent.
    pub(super) fn answer_mailbox(&mut self, answer: Mailboxes) {
        if !self.faults.silent {
            self.chip.post(Event::Mailbox(answer));
        }
    }

    /// Writes an answer into the guest's memory, as far as there is room. Returns how many
    /// bytes were written.
    fn write_answer(&mut self, segment: Segment, payload: &[u8]) -> u32 {
        let room = usize::try_from(segment.len).unwrap_or(usize::MAX);
        let bytes = payload.get(..room).unwrap_or(payload);
        match self.memory.write(segment.address, bytes) {
            Ok(()) => u32::try_from(bytes.len()).unwrap_or(0),
            Err(fault) => {
                self.nonsense(format!("an answer has no room: {fault}"));
                0
            }
        }
    }

    /// Whether another port has not answered a PLOGI yet.
    pub(super) fn is_logging_in(&self, vp: Vp, id: Fcid) -> bool {
        let plogi = |pending: &Pending| matches!(pending, Pending::Plogi(..));
        self.state.pending.values().any(|it| plogi(it) && it.logs_in_to(vp, id))
    }

    /// Gives up the logins to another port whose own login goes before, unless the other
    /// port is to answer them.
    pub(super) fn yield_logins(&mut self, vp: Vp, id: Fcid, handle: u16) {
        let answered = self.switches.yielded_login == YieldedLogin::Answered;
        let waits = |pending: &Pending| answered && matches!(pending, Pending::Plogi(..));
        let all = self.state.pending.iter();
        let given_up =
            all.filter(|(_, pending)| pending.logs_in_to(vp, id) && !waits(pending));
        let given_up: Vec<ExchangeId> = given_up.map(|(exchange, _)| *exchange).collect();
        for exchange in given_up {
            self.wire.drop(exchange);
            if let Some(
                Pending::Plogi(_, entry, origin, _) | Pending::Prli(_, entry, origin),
            ) = self.state.pending.remove(&exchange)
            {
                self.yield_login(entry, origin, handle);
            }
        }
    }

    /// Remembers a port that has accepted a PLOGI.
    fn logged_in_to(&mut self, login: LoginOut, answer: &Login) {
        let LoginOut { handle, id, .. } = login;
        let vp = Vp(login.vp);
        self.wire.set_receive_size(vp, id, answer.receive_size);
        self.end_issued_to(vp, id, Completion::ConfigurationChanged);
        if let Some(old) = self.state.remotes.at(vp, id).map(|remote| remote.handle) {
            self.state.remotes.remove(vp, old);
        }
        self.state.remotes.insert(Remote {
            vp,
            handle,
            id,
            names: Names { wwpn: answer.wwpn, wwnn: answer.wwnn },
            stage: Stage::Plogi,
            roles: PortRoles::default(),
            receive_size: answer.receive_size,
        });
    }

    pub(super) fn succeed_login(
        &mut self,
        login: LoginOut,
        mut entry: Entry,
        origin: Origin,
    ) {
        let remote = self.state.remotes.at(Vp(login.vp), login.id);
        let roles = remote.map(|remote| remote.roles).unwrap_or_default();
        LoginOut::succeed(&mut entry, roles);
        self.finish(origin, entry);
    }

    fn reject_login(&mut self, mut entry: Entry, origin: Origin, payload: &[u8]) {
        match Reject::decode(payload) {
            Some(Reject { reason, explanation }) => {
                let code = u32::from(reason) << 16 | u32::from(explanation) << 8;
                LoginOut::fail(&mut entry, failure::REJECTED, code);
            }
            None => LoginOut::fail(&mut entry, failure::COMMAND_FAILED, 0),
        }
        self.finish(origin, entry);
    }
}
