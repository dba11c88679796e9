//! Logins and logouts of ports.

use std::time::Duration;

use crate::addr::{Fcid, Mac};
use crate::els::{self, Login, Logout, MAX_PAYLOAD, MIN_PAYLOAD, Reject};
use crate::event::{Event, LoginKind, What};
use crate::port::{LinkId, Port, Registration};
use crate::wwn::Wwn;

use super::{DuplicateWwpn, Fabric, Output};

/// The origin of a login: the link, the node, the kind and the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) link: LinkId,
    pub(super) enode: Mac,
    pub(super) kind: LoginKind,
    pub(super) time: Duration,
}

/// Why a login is refused.
struct Refusal {
    reject: Reject,
    /// The port that has the name already.
    holder: Option<Fcid>,
    /// The reason, for people.
    reason: String,
}

impl Refusal {
    fn new(reject: Reject, reason: &str) -> Self {
        Self { reject, holder: None, reason: reason.to_owned() }
    }
}

impl Fabric {
    /// Handles a FLOGI or FDISC. Returns the answer, and the address if one is granted.
    pub(super) fn login(
        &mut self,
        origin: Origin,
        els: &[u8],
        out: &mut impl Output,
    ) -> (Vec<u8>, Option<Fcid>) {
        let Some(login) = Login::decode(els) else {
            return (Reject::BAD_LENGTH.encode(), None);
        };
        self.end_previous(origin, &login, out);
        match self.admit(origin, &login, out) {
            Ok(port) => {
                let (fcid, npiv) = (port.fcid, port.npiv);
                out.event(self.port_event(What::Login, &port));
                self.ports.insert(port);
                let f_port = self.f_port_name(origin.link);
                let accept = Login::fabric_accept(f_port, self.config.fabric_name, npiv);
                (accept.encode(), Some(fcid))
            }
            Err(Refusal { reject, holder, reason }) => {
                let refused = Event {
                    kind: Some(origin.kind),
                    wwpn: Some(login.wwpn),
                    wwnn: Some(login.wwnn),
                    fcid: holder,
                    ..Event::new(What::Refused).on_link(self.link_name(origin.link))
                };
                out.event(refused.because(reason));
                (reject.encode(), None)
            }
        }
    }

    /// Ends what the node of a new login had before. An FDISC ends the login of the same
    /// virtual port. A FLOGI ends everything on the link, because a node that starts over
    /// has no virtual ports.
    fn end_previous(&mut self, origin: Origin, login: &Login, out: &mut impl Output) {
        let ends = |port: &Port| match origin.kind {
            LoginKind::Flogi => true,
            LoginKind::Fdisc => port.kind == origin.kind && port.wwpn == login.wwpn,
        };
        let mut previous = self.addresses_on(origin.link);
        previous.retain(|fcid| self.ports.get(*fcid).is_some_and(ends));
        self.end_logins(&previous, What::Logout, "logged in again", out);
    }

    /// Returns the port that a login makes, or why it may not be made.
    fn admit(
        &mut self,
        origin: Origin,
        login: &Login,
        out: &mut impl Output,
    ) -> Result<Port, Refusal> {
        let Origin { link, enode, kind, time } = origin;
        let npiv = match kind {
            LoginKind::Flogi => self.links.get(link.0).is_some_and(|link| link.npiv),
            LoginKind::Fdisc => self.admit_virtual(link).map(|()| false)?,
        };
        self.settle_duplicate(link, login.wwpn, out)?;
        let fcid = self.ports.grant();
        let fcid =
            fcid.ok_or_else(|| Refusal::new(Reject::NO_RESOURCES, "no address is free"))?;
        Ok(Port {
            link,
            enode,
            kind,
            wwpn: login.wwpn,
            wwnn: login.wwnn,
            fcid,
            receive_size: login.receive_size.clamp(MIN_PAYLOAD, MAX_PAYLOAD),
            since: time,
            heard: time,
            npiv,
            state_changes: false,
            announced: false,
            names: Registration::default(),
        })
    }

    /// Checks that a link can have a virtual port: its physical port must be logged in,
    /// and must have been granted virtual ports.
    fn admit_virtual(&self, link: LinkId) -> Result<(), Refusal> {
        match self.ports.physical(link) {
            Some(Port { npiv: true, .. }) => Ok(()),
            Some(_) => Err(Refusal::new(Reject::NO_RESOURCES, "NPIV is off")),
            None => {
                let reason = "the physical port is not logged in";
                Err(Refusal::new(Reject::LOGIN_FIRST, reason))
            }
        }
    }

    /// Applies the policy for a name that is logged in already: ends the earlier login,
    /// or returns why the new one is refused.
    fn settle_duplicate(
        &mut self,
        link: LinkId,
        wwpn: Wwn,
        out: &mut impl Output,
    ) -> Result<(), Refusal> {
        let Some(holder) = self.ports.named(wwpn) else { return Ok(()) };
        let (fcid, place) = (holder.fcid, holder.link);
        match self.config.duplicate_wwpn {
            DuplicateWwpn::Takeover if place != link => {
                let reason = format!("logged in on {}", self.link_name(link));
                self.clear_port(fcid, What::Replaced, &reason, out);
                Ok(())
            }
            _ => {
                let place = self.link_name(place);
                let reason = format!("already logged in on {place} as {fcid}");
                Err(Refusal { reject: Reject::NAME_IN_USE, holder: Some(fcid), reason })
            }
        }
    }

    /// Handles a LOGO. Returns the answer, which is always the same. Linux sends a second
    /// LOGO, from address 0, for a virtual port that it deletes after disabling it, so to
    /// leave twice is no error.
    pub(super) fn logout(
        &mut self,
        link: LinkId,
        s_id: Fcid,
        els: &[u8],
        out: &mut impl Output,
    ) -> Vec<u8> {
        let name = Logout::decode(els).map(|logout| logout.wwpn);
        let port = self.ports.get(s_id).filter(|port| port.link == link);
        let port = port
            .or_else(|| self.ports.on_link(link).find(|port| Some(port.wwpn) == name));
        if let Some(port) = port {
            let (fcid, kind) = (port.fcid, port.kind);
            let leaving = match kind {
                LoginKind::Flogi => self.addresses_on(link),
                LoginKind::Fdisc => vec![fcid],
            };
            self.end_logins(&leaving, What::Logout, "LOGO", out);
        }
        els::accept()
    }

    /// Returns the name of the F_Port at the fabric's end of a link. It is made of NAA 2,
    /// the link's number, and the fabric's own 48 bits.
    fn f_port_name(&self, LinkId(link): LinkId) -> Wwn {
        let number = u64::try_from(link + 1).unwrap_or_default() & 0xfff;
        Wwn(0x2000 << 48 | number << 48 | self.config.fabric_name.0 & 0xffff_ffff_ffff)
    }
}
