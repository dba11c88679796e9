//! The part of the fabric that FIP brings: discovery, link services, keep-alives and
//! ageing (FC-BB-5).

use std::time::Duration;

use crate::addr::{Fcid, Mac};
use crate::els;
use crate::event::{LoginKind, What};
use crate::fip::{Fip, LinkService, VnPort};
use crate::frame::{Ethernet, FcHeader};
use crate::port::{LinkId, Port};

use super::login::Origin;
use super::{Fabric, Output};

/// How often each virtual port sends a keep-alive, whatever the period of its node.
const VN_PORT_KEEP_ALIVE: Duration = Duration::from_secs(90);
/// How often a fabric without keep-alives advertises.
const ADVERTISEMENT: Duration = Duration::from_secs(8);

impl Fabric {
    pub(super) fn receive_fip(
        &mut self,
        link: LinkId,
        ethernet: Ethernet<'_>,
        now: Duration,
        out: &mut impl Output,
    ) {
        match Fip::decode(ethernet.payload) {
            Some(Fip::Solicitation { enode, .. }) => {
                self.advertise(link, enode, true, out)
            }
            Some(Fip::LinkService { service, reply: false, header, els, mac }) => {
                let origin = |kind| Origin { link, enode: ethernet.src, kind, time: now };
                let (answer, granted) = match service {
                    LinkService::Flogi => self.login(origin(LoginKind::Flogi), &els, out),
                    LinkService::Fdisc => self.login(origin(LoginKind::Fdisc), &els, out),
                    LinkService::Logo => {
                        (self.logout(link, header.s_id, &els, out), None)
                    }
                };
                let d_id = granted.unwrap_or(header.s_id);
                let header = FcHeader { d_id, ..header.reply(els::R_CTL_REPLY) };
                let accepted = answer.first() == Some(&els::command::LS_ACC);
                let mac = granted.map(Mac::fabric_provided).or(mac).filter(|_| accepted);
                let reply =
                    Fip::LinkService { service, reply: true, header, els: answer, mac };
                self.send_fip(link, ethernet.src, &reply, out);
            }
            Some(Fip::KeepAlive { enode, port }) => {
                self.keep_alive(link, enode, port, now, out);
            }
            _ => log::debug!("{}: FIP frame ignored", self.link_name(link)),
        }
    }

    /// Tells a node, or all, that this forwarder is here.
    pub(super) fn advertise(
        &self,
        link: LinkId,
        dst: Mac,
        solicited: bool,
        out: &mut impl Output,
    ) {
        let period = self.advertisement_period().as_millis();
        let advertisement = Fip::Advertisement {
            solicited,
            fcf: Mac::FCF,
            switch: self.config.fabric_name,
            fabric: self.config.fabric_name,
            fka_ms: u32::try_from(period).unwrap_or(u32::MAX),
            no_keep_alive: self.config.keep_alive.is_zero(),
        };
        self.send_fip(link, dst, &advertisement, out);
    }

    pub(super) fn advertisement_period(&self) -> Duration {
        let period = self.config.keep_alive;
        if period.is_zero() { ADVERTISEMENT } else { period }
    }

    /// Notes that a node or port is alive. If it has no such login, or no longer has it,
    /// it is told so, and logs in again.
    fn keep_alive(
        &mut self,
        link: LinkId,
        enode: Mac,
        vn_port: Option<VnPort>,
        now: Duration,
        out: &mut impl Output,
    ) {
        let alive = match vn_port {
            None => self.ports.physical(link).map(|port| port.fcid),
            Some(vn_port) => self
                .ports
                .get(vn_port.fcid)
                .filter(|port| port.link == link && port.wwpn == vn_port.wwpn)
                .map(|port| port.fcid),
        };
        let physical = vn_port.is_none();
        match alive.and_then(|fcid| self.ports.get_mut(fcid)) {
            // The physical port's own 90 s beat says less than its node's.
            Some(port) if physical || port.kind == LoginKind::Fdisc => port.heard = now,
            Some(_) => {}
            None => {
                let clear = self.clear(vn_port.into_iter().collect());
                self.send_fip(link, enode, &clear, out);
            }
        }
    }

    /// Returns when a port is taken for dead: two and a half periods after it was last
    /// heard.
    pub(super) fn age_limit(&self, port: &Port) -> Option<Duration> {
        let period = match port.kind {
            LoginKind::Flogi => self.config.keep_alive,
            LoginKind::Fdisc => VN_PORT_KEEP_ALIVE,
        };
        (!self.config.keep_alive.is_zero()).then(|| port.heard + period * 5 / 2)
    }

    /// Ends the logins of ports that have been silent for too long.
    pub(super) fn age(&mut self, now: Duration, out: &mut impl Output) {
        let dead = |port: &&Port| self.age_limit(port).is_some_and(|limit| now >= limit);
        let dead: Vec<Fcid> =
            self.ports.iter().filter(dead).map(|port| port.fcid).collect();
        for fcid in dead {
            self.clear_port(fcid, What::AgedOut, "no keep-alive", out);
        }
    }
}
