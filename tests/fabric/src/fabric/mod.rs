//! The fabric as a pure state machine: a frame and the time go in, frames and events come
//! out.
//!
//! There are no sockets and no clock here. [`crate::server`] brings those, and tests
//! bring their own.

mod fip;
mod link;
mod login;
mod notify;
mod relay;
mod services;

use std::collections::VecDeque;
use std::time::Duration;

use crate::addr::{Fcid, Mac};
use crate::control::{Fc4Info, PortInfo};
use crate::event::{Event, What};
use crate::frame::{
    EOF_T, ETHERTYPE_FCOE, ETHERTYPE_FIP, Ethernet, FcHeader, Fcoe, SOF_I3, XID_UNKNOWN,
};
use crate::port::{LinkId, Port, Ports};
use crate::wwn::Wwn;
use crate::zoning::Zoning;

use link::Link;
use relay::Held;

/// The policy for a WWPN that logs in while it is logged in on another link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateWwpn {
    /// Reject the new login.
    Refuse,
    /// End the old login, tell its node, accept the new one.
    Takeover,
}

/// How a fabric is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The names of the fabric's links.
    pub links: Vec<String>,
    /// The fabric's name, which is also the name of its only switch.
    pub fabric_name: Wwn,
    /// The policy for a WWPN that is logged in already.
    pub duplicate_wwpn: DuplicateWwpn,
    /// Whether the fabric grants virtual ports.
    pub npiv: bool,
    /// The period of advertisements and keep-alives. If it is zero, there are no
    /// keep-alives and no port ages out.
    pub keep_alive: Duration,
}

/// The place to which a fabric's frames and events go.
pub trait Output {
    /// Sends a frame on a link.
    fn frame(&mut self, link: LinkId, frame: &[u8]);
    /// Drops the frames that wait for a MAC on a link, when the MAC no longer belongs to
    /// any port. They must not arrive, least of all at a node that was frozen and wakes
    /// up.
    fn revoke(&mut self, link: LinkId, mac: Mac);
    /// Records an event.
    fn event(&mut self, event: Event);
}

/// The error for a name that the fabric does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// No link has this name.
    #[error("no link is called {0:?}")]
    Link(String),
    /// No port that is logged in has this name.
    #[error("no port {0} is logged in")]
    Port(Wwn),
}

/// The fabric, with its links and the ports on them.
#[derive(Debug)]
pub struct Fabric {
    config: Config,
    links: Vec<Link>,
    ports: Ports,
    zoning: Zoning,
    /// Frames between ports, while forwarding is paused.
    held: Option<VecDeque<Held>>,
    next_advertisement: Duration,
    next_ox_id: u16,
}

impl Fabric {
    /// Returns a fabric whose links are all down.
    pub fn new(config: Config) -> Self {
        let links =
            config.links.iter().map(|name| Link::new(name, config.npiv)).collect();
        Self {
            config,
            links,
            ports: Ports::default(),
            zoning: Zoning::default(),
            held: None,
            next_advertisement: Duration::ZERO,
            next_ox_id: 0,
        }
    }

    /// Takes a frame from a link. The buffer is scratch: addresses in it may be
    /// rewritten.
    pub fn receive(
        &mut self,
        link: LinkId,
        frame: &mut [u8],
        now: Duration,
        out: &mut impl Output,
    ) {
        let Some(Link { carries: true, .. }) = self.links.get(link.0) else { return };
        let Some(ethernet) = Ethernet::decode(frame) else { return };
        match ethernet.ethertype {
            ETHERTYPE_FIP => self.receive_fip(link, ethernet, now, out),
            ETHERTYPE_FCOE => match FcHeader::peek(ethernet.payload) {
                Some(header) if header.d_id.is_well_known() => {
                    self.receive_service(link, ethernet, out);
                }
                Some(header) => self.relay(link, header, frame, out),
                None => {}
            },
            // ARP, IPv6 neighbour discovery: an interface chatters before FCoE is set up.
            _ => {}
        }
    }

    /// Returns when [`Self::tick`] has to be called next.
    pub fn deadline(&self) -> Duration {
        let ageing = self.ports.iter().filter_map(|port| self.age_limit(port));
        ageing.chain([self.next_advertisement]).min().unwrap_or_default()
    }

    /// Sends advertisements, and ends the logins of ports that have aged. Call it after
    /// all that was received has been handed in, so that no keep-alive that waits in a
    /// socket is missed.
    pub fn tick(&mut self, now: Duration, out: &mut impl Output) {
        if now >= self.next_advertisement {
            for link in 0..self.links.len() {
                self.advertise(LinkId(link), Mac::ALL_ENODES, false, out);
            }
            self.next_advertisement = now + self.advertisement_period();
        }
        self.age(now, out);
    }

    /// Returns the ports that are logged in. `epoch` is the wall-clock time of
    /// [`Duration::ZERO`].
    pub fn ports(&self, epoch: f64) -> Vec<PortInfo> {
        let info = |port: &Port| PortInfo {
            link: self.link_name(port.link).to_owned(),
            wwpn: port.wwpn,
            wwnn: port.wwnn,
            fcid: port.fcid,
            kind: port.kind,
            fc4: port
                .names
                .fc4_types()
                .map(|fc4| Fc4Info {
                    fc4,
                    features: port.names.features.get(&fc4).copied(),
                })
                .collect(),
            state_changes: port.state_changes,
            symbolic_name: String::from_utf8_lossy(&port.names.symbolic_port)
                .into_owned(),
            since: epoch + port.since.as_secs_f64(),
        };
        self.ports.iter().map(info).collect()
    }

    /// Returns an event about a port.
    fn port_event(&self, what: What, port: &Port) -> Event {
        Event {
            kind: Some(port.kind),
            wwpn: Some(port.wwpn),
            wwnn: Some(port.wwnn),
            fcid: Some(port.fcid),
            ..Event::new(what).on_link(self.link_name(port.link))
        }
    }

    /// Sends an FC frame to a port. Does nothing if no such port is logged in.
    fn send_to_port(&self, header: FcHeader, payload: &[u8], out: &mut impl Output) {
        if let Some(port) = self.ports.get(header.d_id) {
            let fcoe = Fcoe { sof: SOF_I3, header, payload, eof: EOF_T };
            out.frame(port.link, &fcoe.encode(port.mac(), Mac::FCF));
        }
    }

    /// Returns an exchange ID for a request of the fabric's own.
    fn exchange(&mut self) -> u16 {
        self.next_ox_id = (self.next_ox_id + 1) % XID_UNKNOWN;
        self.next_ox_id
    }

    /// Returns the addresses of the ports on a link. Virtual ports come first, as a node
    /// takes them down in that order.
    fn addresses_on(&self, link: LinkId) -> Vec<Fcid> {
        let physical = self.ports.physical(link).map(|port| port.fcid);
        let on_link = self.ports.on_link(link).map(|port| port.fcid);
        on_link.filter(|fcid| Some(*fcid) != physical).chain(physical).collect()
    }
}
