//! Logins to the fabric, and the events that tell the driver of them.
//!
//! The order at link up satisfies every check of the driver: point to point (8030), the
//! port's address (RPT_ID), loop up (8011), port update (8014), and only then does the
//! firmware state read "ready".

use std::num::NonZeroU32;
use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::{Reject, StateChangeRegistration};

use crate::chip::Event as ChipEvent;
use crate::chip::iocb::{IdStatus, ReportId};
use crate::wire::{Event, LoggedIn, LogoutBy, Refusal, RscnPage, Vp};

use super::exchanges::Pending;
use super::{Hba, Report};

/// Asynchronous events.
pub(super) mod event {
    pub(in super::super) const SYSTEM_ERROR: u16 = 0x8002;
    pub(in super::super) const LOOP_UP: u16 = 0x8011;
    pub(in super::super) const LOOP_DOWN: u16 = 0x8012;
    pub(in super::super) const PORT_UPDATE: u16 = 0x8014;
    pub(in super::super) const STATE_CHANGE: u16 = 0x8015;
    pub(in super::super) const POINT_TO_POINT: u16 = 0x8030;
}

/// The speed that is told: 8 Gbit/s, the fastest of the hardware.
pub(super) const SPEED_8G: u16 = 4;
/// A port update for all handles.
const ALL_HANDLES: u16 = 0xffff;
/// Login states of a port update: ready, and not there.
const STATE_READY: u16 = 6;
const STATE_GONE: u16 = 7;
/// Why a port has gone: it sent LOGO.
const REASON_LOGO: u16 = 0x0b00;

/// What an SCR asks for: all changes.
const ALL_CHANGES: u8 = 3;

impl Hba {
    /// Handles what the wire tells.
    pub(super) fn on_wire(&mut self, event: Event) {
        match event {
            Event::FabricFound { .. } => {}
            Event::LinkLost => self.link_lost(),
            Event::LoggedIn(login) if login.vp == Vp::PHYSICAL => self.link_ready(login),
            Event::LoggedIn(login) => self.virtual_port_ready(login),
            Event::Refused { vp, refusal } => self.refused(vp, refusal),
            Event::LoggedOut { vp, by } => self.logged_out(vp, by),
            Event::Rscn { vp, pages } => self.state_changed(vp, &pages),
            Event::ElsReceived { vp, exchange, header, payload } => {
                self.els_received(vp, exchange, &header, payload);
            }
            Event::ElsAnswer { exchange, payload } => {
                self.els_answered(exchange, &payload);
            }
            Event::CtAnswer { exchange, payload } => self.ct_answered(exchange, &payload),
            Event::Command { vp, exchange, header, cmnd } => {
                self.command_received(vp, exchange, &header, &cmnd);
            }
            Event::Data { exchange, offset, bytes } => {
                self.data_received(exchange, offset, &bytes);
                self.data_read(exchange, offset, &bytes);
            }
            Event::DataDone { exchange, result } => self.data_done(exchange, result),
            Event::Abort { vp, abort, exchange, header } => {
                if !self.accept_abort(abort, exchange) {
                    self.abort_received(vp, abort, exchange, &header);
                }
            }
            Event::Ended { exchange, cause } => {
                self.state.notices.remove(&exchange);
                self.command_ended(exchange, cause);
                self.issued_ended(exchange, cause);
                self.request_ended(exchange, cause);
            }
            Event::DataWanted { exchange, offset, length } => {
                self.data_wanted(exchange, offset, length);
            }
            Event::Response { exchange, payload, received } => {
                self.response_received(exchange, &payload, received);
            }
            Event::AbortDone { exchange, answer } => self.abort_done(exchange, answer),
        }
    }

    /// Returns the state of the firmware for the driver: 3 is ready.
    pub(super) fn firmware_state(&self) -> u16 {
        const WAIT_CONFIG: u16 = 0;
        const WAIT_LOGIN: u16 = 2;
        const READY: u16 = 3;
        const NO_LIGHT: u16 = 4;
        match (self.state.setup, self.light, self.state.login) {
            (None, ..) => WAIT_CONFIG,
            (_, false, _) => NO_LIGHT,
            (_, _, None) => WAIT_LOGIN,
            (_, _, Some(_)) => READY,
        }
    }

    /// Tells the driver of an asynchronous event.
    pub(super) fn tell(&mut self, values: [u16; 4]) {
        self.chip.post(ChipEvent::Async(values));
    }

    /// Tells the driver that a port has logged out by itself.
    pub(super) fn tell_logout(&mut self, vp: Vp, handle: u16) {
        let reason = REASON_LOGO | u16::from(vp.0);
        self.tell([event::PORT_UPDATE, handle, STATE_GONE, reason]);
    }

    /// Tries the login of the physical port again, if that is due.
    pub(super) fn retry_login(&mut self) {
        if self.state.retry_login.is_none_or(|due| due > self.now) {
            return;
        }
        self.state.retry_login = None;
        if let Some(setup) = self.state.setup.filter(|_| self.state.login.is_none()) {
            // It fails for a port that the wire does not know, and there is none such.
            let _ = self.wire.login(Vp::PHYSICAL, setup.names, self.now);
        }
    }

    fn link_ready(&mut self, login: LoggedIn) {
        let Some(setup) = self.state.setup else { return };
        if self.state.login.is_some() {
            self.link_lost();
        }
        self.state.login = Some(login);
        self.state.retry_login = None;
        self.report(Report::LinkUp);
        self.report(Report::LoggedIn { vp: 0, fcid: login.id });
        self.tell([event::POINT_TO_POINT, 0, 0, 0]);
        self.report_id(login, IdStatus::Acquired);
        self.tell([event::LOOP_UP, SPEED_8G, 0, 0]);
        if self.switches.ready_before_update {
            self.state.update_owed = true;
        } else {
            self.tell_update();
        }
        if !setup.target {
            self.ask_for_changes();
        }
    }

    /// Asks the fabric to tell the physical port of state changes. The driver asks by itself
    /// only where the port is a target (qla2x00_configure_fabric in qla_init.c), and an
    /// initiator has to know, too.
    fn ask_for_changes(&mut self) {
        let scr = StateChangeRegistration { function: ALL_CHANGES }.encode();
        let sent = self.wire.send_els(Vp::PHYSICAL, Fcid::CONTROLLER, &scr, self.now);
        if let Ok(exchange) = sent {
            self.state.pending.insert(exchange, Pending::Ignored);
        }
    }

    /// Tells the driver that its ports may be used.
    pub(super) fn tell_update(&mut self) {
        self.state.update_owed = false;
        self.tell([event::PORT_UPDATE, ALL_HANDLES, STATE_READY, 0]);
    }

    fn virtual_port_ready(&mut self, login: LoggedIn) {
        let Some(vport) = self.state.vports.get_mut(&login.vp.0) else { return };
        let before = vport.told.replace(login.id);
        let changed = before.is_some_and(|before| before != login.id);
        self.report(Report::LoggedIn { vp: login.vp.0, fcid: login.id });
        let status = if changed { IdStatus::Changed } else { IdStatus::Acquired };
        self.report_id(login, status);
    }

    fn report_id(&mut self, login: LoggedIn, status: IdStatus) {
        let LoggedIn { vp, id, f_port, fabric, .. } = login;
        let report = ReportId { vp: vp.0, status, id, f_port, fabric };
        self.respond(report.encode());
    }

    fn refused(&mut self, vp: Vp, refusal: Refusal) {
        self.report(Report::Refused { vp: vp.0, why: format!("{refusal:?}") });
        if vp == Vp::PHYSICAL {
            let delay = |ms: NonZeroU32| Duration::from_millis(u64::from(ms.get()));
            let delay = self.switches.retry_login_ms.map(delay);
            self.state.retry_login = delay.map(|delay| self.now + delay);
            return;
        }
        let reject = match refusal {
            Refusal::Rejected(reject) => Some(reject),
            _ => None,
        };
        self.refuse_virtual_port(vp, reject);
    }

    /// Tells the driver that a virtual port was refused.
    pub(super) fn refuse_virtual_port(&mut self, vp: Vp, reject: Option<Reject>) {
        let Some(login) = self.state.login else { return };
        let login = LoggedIn { vp, id: Fcid::NONE, ..login };
        self.report_id(login, IdStatus::Failed(reject));
    }

    /// Forgets all logins, and tells the driver that the link is down.
    fn link_lost(&mut self) {
        let was_up = self.state.login.take().is_some();
        self.state.update_owed = false;
        for vp in (0..=u8::MAX).map(Vp) {
            self.forget_port(vp);
        }
        if was_up {
            self.report(Report::LinkDown);
            self.tell([event::LOOP_DOWN, 0, 0, 0]);
        }
    }

    fn logged_out(&mut self, vp: Vp, by: LogoutBy) {
        self.report(Report::LoggedOut { vp: vp.0 });
        match by {
            LogoutBy::Us => self.finish_disabling(vp),
            LogoutBy::Fabric if vp == Vp::PHYSICAL => self.link_lost(),
            LogoutBy::Fabric => self.forget_port(vp),
        }
    }

    fn state_changed(&mut self, vp: Vp, pages: &[RscnPage]) {
        for page in pages {
            let [_, domain, area, port] = page.id.0.to_be_bytes();
            let first = u16::from_be_bytes([page.format, domain]);
            let second = u16::from_be_bytes([area, port]);
            self.tell([event::STATE_CHANGE, first, second, u16::from(vp.0)]);
        }
    }
}
