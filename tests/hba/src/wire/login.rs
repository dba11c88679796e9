//! Logins of the HBA's ports to the fabric: FLOGI, FDISC and LOGO, through FIP (FC-BB-5).

use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::els::{
    self, Login, Logout, MAX_PAYLOAD, MIN_PAYLOAD, Reject, command,
};
use understudy_fabric::fip::{Fip, LinkService};
use understudy_fabric::frame::{FCTL_REQUEST, FcHeader, XID_UNKNOWN};

use super::exchange::MOST;
use super::port::{Membership, Port, Question, State};
use super::{Event, LoggedIn, LogoutBy, Names, Refusal, Vp, Wire, WireError};

/// How often each port shows that it is alive (FC-BB-5).
const VN_PORT_KEEP_ALIVE: Duration = Duration::from_secs(90);
/// How many remote ports' receive sizes are remembered.
const MOST_REMOTES: usize = 8192;

/// # Logins to the fabric
impl Wire {
    /// Wants a port logged in, now and after each loss of the link, until
    /// [`logout`](Self::logout). The physical port sends FLOGI as soon as there is a
    /// forwarder, a virtual port FDISC as soon as the physical port is logged in. The
    /// answer is [`Event::LoggedIn`] or [`Event::Refused`]. A port that is logged in
    /// already is logged in again.
    pub fn login(
        &mut self,
        vp: Vp,
        names: Names,
        now: Duration,
    ) -> Result<(), WireError> {
        let port = self.ports.get_mut(usize::from(vp.0)).ok_or(WireError::NoPort)?;
        port.names = Some(names);
        match port.state {
            State::Leaving(..) => return Ok(()),
            State::In(_) => self.end_logins(vp, LogoutBy::Us),
            State::Out(_) | State::Asking(..) => {}
        }
        self.set_state(vp, State::Out(now));
        self.start_login(vp, now);
        Ok(())
    }

    /// Wants a port logged out. Its exchanges end, it sends LOGO to the fabric, and
    /// [`Event::LoggedOut`] comes when that is answered, or at once if the port was not
    /// logged in. LOGOs to other ports are firmware's to send, before this. The physical
    /// port takes the logins of the virtual ports along.
    pub fn logout(&mut self, vp: Vp, now: Duration) -> Result<(), WireError> {
        let port = self.ports.get_mut(usize::from(vp.0)).ok_or(WireError::NoPort)?;
        port.names = None;
        match port.state {
            State::Out(_) => self.events.push(Event::LoggedOut { vp, by: LogoutBy::Us }),
            State::In(membership) => {
                self.end_logins(vp, LogoutBy::Us);
                self.leave(vp, membership, now);
            }
            // The answer to either decides.
            State::Asking(..) | State::Leaving(..) => {}
        }
        Ok(())
    }

    /// Returns the address of a port that is logged in.
    pub fn id(&self, vp: Vp) -> Option<Fcid> {
        self.ports.get(usize::from(vp.0))?.id()
    }

    /// Returns the port at an address.
    pub fn port_at(&self, id: Fcid) -> Option<Vp> {
        self.indexes().find(|vp| self.id(*vp) == Some(id))
    }

    /// Notes the receive size that a remote port stated in its PLOGI or LS_ACC. Frames to
    /// ports without one are as large as the fabric takes them.
    pub fn set_receive_size(&mut self, vp: Vp, remote: Fcid, size: u16) {
        if self.sizes.len() < MOST_REMOTES || self.sizes.contains_key(&(vp, remote)) {
            self.sizes.insert((vp, remote), size.clamp(MIN_PAYLOAD, MAX_PAYLOAD));
        }
    }
}

impl Wire {
    /// The indexes of all ports.
    pub(super) fn indexes(&self) -> impl DoubleEndedIterator<Item = Vp> + use<> {
        (0..=self.options.vports).map(Vp)
    }

    pub(super) fn port(&self, vp: Vp) -> Port {
        self.ports.get(usize::from(vp.0)).copied().unwrap_or(Port::OUT)
    }

    pub(super) fn set_state(&mut self, vp: Vp, state: State) {
        if let Some(port) = self.ports.get_mut(usize::from(vp.0)) {
            port.state = state;
        }
    }

    /// Whether a port could log in now, if it had to. `None` means that it never will: the
    /// fabric grants no virtual ports.
    fn may_log_in(&self, vp: Vp) -> Option<bool> {
        if self.discovery.forwarder().is_none() || vp == Vp::PHYSICAL {
            return Some(self.discovery.forwarder().is_some());
        }
        match self.port(Vp::PHYSICAL).membership() {
            None => Some(false),
            Some(Membership { npiv: true, .. }) => Some(true),
            Some(_) => None,
        }
    }

    /// Sends the FLOGI or FDISC of a port that is to be logged in, if it is time.
    fn start_login(&mut self, vp: Vp, now: Duration) {
        let Port { names: Some(names), state: State::Out(not_before) } = self.port(vp)
        else {
            return;
        };
        match self.may_log_in(vp) {
            Some(true) if now >= not_before => {
                let question = self.question(now);
                self.set_state(vp, State::Asking(names, question));
                self.send_login(vp, names, question.ox_id);
            }
            Some(_) => {}
            None => self.refuse(vp, Refusal::NoNpiv),
        }
    }

    pub(super) fn question(&mut self, now: Duration) -> Question {
        // These numbers are no exchange's, so that no two requests share one.
        self.fip_ox_id = (self.fip_ox_id + 1) % (XID_UNKNOWN - MOST);
        let ox_id = MOST + self.fip_ox_id;
        Question::new(ox_id, now)
    }

    pub(super) fn send_login(&mut self, vp: Vp, names: Names, ox_id: u16) {
        let (service, command) = match vp {
            Vp::PHYSICAL => (LinkService::Flogi, command::FLOGI),
            _ => (LinkService::Fdisc, command::FDISC),
        };
        let login = Login {
            command,
            credit: 16,
            features: 0,
            receive_size: self.options.receive_size,
            r_a_tov: 0,
            e_d_tov: 0,
            wwpn: names.wwpn,
            wwnn: names.wwnn,
        };
        self.send_service(service, Fcid::NONE, ox_id, login.encode(), Mac::ZERO);
    }

    pub(super) fn send_logout(&mut self, logout: Logout, ox_id: u16) {
        let s_id = logout.fcid;
        let mac = if s_id == Fcid::NONE { Mac::ZERO } else { Mac::fabric_provided(s_id) };
        self.send_service(LinkService::Logo, s_id, ox_id, logout.encode(), mac);
    }

    fn send_service(
        &mut self,
        service: LinkService,
        s_id: Fcid,
        ox_id: u16,
        els: Vec<u8>,
        mac: Mac,
    ) {
        let header = FcHeader {
            r_ctl: els::R_CTL_REQUEST,
            d_id: Fcid::F_PORT,
            cs_ctl: 0,
            s_id,
            fc_type: els::TYPE,
            f_ctl: FCTL_REQUEST,
            seq_id: 0,
            df_ctl: 0,
            seq_cnt: 0,
            ox_id,
            rx_id: XID_UNKNOWN,
            parameter: 0,
        };
        if let Some(forwarder) = self.discovery.forwarder() {
            let mac = Some(mac);
            let fip = Fip::LinkService { service, reply: false, header, els, mac };
            self.send_fip(forwarder.mac, &fip);
        }
    }

    pub(super) fn leave(&mut self, vp: Vp, membership: Membership, now: Duration) {
        let question = self.question(now);
        self.set_state(vp, State::Leaving(membership, question));
        self.send_logout(membership.logout(), question.ox_id);
    }

    /// Takes the answer to a FLOGI, FDISC or LOGO.
    pub(super) fn service_answer(
        &mut self,
        service: LinkService,
        header: &FcHeader,
        els: &[u8],
        mac: Option<Mac>,
        now: Duration,
    ) {
        let asked = self.indexes().find(|vp| match (service, self.port(*vp).state) {
            (LinkService::Flogi, State::Asking(_, question)) => {
                *vp == Vp::PHYSICAL && question.ox_id == header.ox_id
            }
            (LinkService::Fdisc, State::Asking(_, question)) => {
                *vp != Vp::PHYSICAL && question.ox_id == header.ox_id
            }
            (LinkService::Logo, State::Leaving(_, question)) => {
                question.ox_id == header.ox_id
            }
            _ => false,
        });
        let Some(vp) = asked else { return self.discard("answer to nothing") };
        match self.port(vp).state {
            State::Asking(names, _) => match self.judge(header.d_id, els, mac) {
                Ok(accept) => self.enter(vp, names, header.d_id, &accept, now),
                Err(refusal) => self.refuse(vp, refusal),
            },
            // LS_RJT means that the fabric has no such login. So it is gone, too.
            _ => self.left(vp, now),
        }
    }

    /// Returns what the fabric accepted, or why that is no login.
    fn judge(&self, id: Fcid, els: &[u8], mac: Option<Mac>) -> Result<Login, Refusal> {
        if let Some(reject) = Reject::decode(els) {
            return Err(Refusal::Rejected(reject));
        }
        let accept = Login::decode(els).filter(|login| login.command == command::LS_ACC);
        let sensible = id != Fcid::NONE
            && !id.is_well_known()
            && mac == Some(Mac::fabric_provided(id))
            && self.port_at(id).is_none();
        accept.filter(|_| sensible).ok_or(Refusal::BadAnswer)
    }

    /// Notes that a port is logged in.
    fn enter(&mut self, vp: Vp, names: Names, id: Fcid, accept: &Login, now: Duration) {
        let npiv = vp == Vp::PHYSICAL && accept.grants_npiv();
        let beat = now.saturating_add(VN_PORT_KEEP_ALIVE);
        let membership = Membership { id, names, npiv, beat };
        if vp == Vp::PHYSICAL {
            self.fabric_size = accept.receive_size.clamp(MIN_PAYLOAD, MAX_PAYLOAD);
            let stated = Duration::from_millis(u64::from(accept.r_a_tov));
            let sensible = Duration::from_millis(100)..=Duration::from_secs(120);
            self.r_a_tov =
                if sensible.contains(&stated) { stated } else { self.options.r_a_tov };
        }
        // Firmware has changed its mind since.
        if self.port(vp).names.is_none() {
            return self.leave(vp, membership, now);
        }
        self.set_state(vp, State::In(membership));
        self.events.push(Event::LoggedIn(LoggedIn {
            vp,
            id,
            f_port: accept.wwpn,
            fabric: accept.wwnn,
            npiv,
        }));
    }

    /// Gives a login up that the fabric does not accept.
    fn refuse(&mut self, vp: Vp, refusal: Refusal) {
        let Some(port) = self.ports.get_mut(usize::from(vp.0)) else { return };
        let wanted = port.names.is_some();
        *port = Port::OUT;
        self.events.push(if wanted {
            Event::Refused { vp, refusal }
        } else {
            Event::LoggedOut { vp, by: LogoutBy::Us }
        });
    }

    /// Notes that a port has left the fabric.
    pub(super) fn left(&mut self, vp: Vp, now: Duration) {
        self.set_state(vp, State::Out(now));
        self.events.push(Event::LoggedOut { vp, by: LogoutBy::Us });
    }

    /// Returns when something is due for a port.
    pub(super) fn port_deadline(&self, vp: Vp) -> Option<Duration> {
        let port = self.port(vp);
        match port.state {
            State::Asking(_, question) | State::Leaving(_, question) => {
                Some(question.deadline)
            }
            State::In(membership) => {
                let forwarder = self.discovery.forwarder()?;
                forwarder.keep_alive.then_some(membership.beat)
            }
            State::Out(not_before) => {
                let starts = port.names.is_some() && self.may_log_in(vp) != Some(false);
                starts.then_some(not_before)
            }
        }
    }

    /// Does what is due for a port.
    pub(super) fn port_due(&mut self, vp: Vp, now: Duration) {
        if self.port_deadline(vp).is_none_or(|due| now < due) {
            return;
        }
        match self.port(vp).state {
            State::Out(_) => self.start_login(vp, now),
            State::Asking(names, question) => match question.again(now) {
                Some(question) => {
                    self.send_login(vp, names, question.ox_id);
                    self.set_state(vp, State::Asking(names, question));
                }
                None => self.refuse(vp, Refusal::NoAnswer),
            },
            State::Leaving(membership, question) => match question.again(now) {
                Some(question) => {
                    self.send_logout(membership.logout(), question.ox_id);
                    self.set_state(vp, State::Leaving(membership, question));
                }
                None => self.left(vp, now),
            },
            State::In(membership) => {
                let beat = now.saturating_add(VN_PORT_KEEP_ALIVE);
                self.set_state(vp, State::In(Membership { beat, ..membership }));
                self.send_beat(Some(membership.vn_port()));
            }
        }
    }
}
