//! Links: going up and down, cuts and their end.

use std::time::Duration;

use crate::addr::Mac;
use crate::control::{LinkInfo, LinkState};
use crate::event::{Event, What};
use crate::fip::Fip;
use crate::port::LinkId;

use super::{Fabric, Output, UnknownName};

/// A cable: an F_Port of the fabric with room for one node.
#[derive(Debug)]
pub(super) struct Link {
    name: String,
    /// Whether a node is at the other end.
    connected: bool,
    /// Whether the link was cut through the control socket.
    cut: bool,
    /// Whether frames pass: the link is connected and not cut.
    pub(super) carries: bool,
    /// Whether the next FLOGI is granted virtual ports.
    pub(super) npiv: bool,
    /// The node that was logged in when the link was cut.
    cut_off: Option<Mac>,
    /// Frames that could not be forwarded.
    pub(super) discarded: u64,
}

impl Link {
    pub(super) fn new(name: &str, npiv: bool) -> Self {
        Self {
            name: name.to_owned(),
            connected: false,
            cut: false,
            carries: false,
            npiv,
            cut_off: None,
            discarded: 0,
        }
    }
}

impl Fabric {
    /// Connects a node, which hears of the fabric at once.
    pub fn link_up(&mut self, link: LinkId, out: &mut impl Output) {
        self.set_link(link, out, |state| {
            state.connected = true;
            state.cut_off = None;
        });
    }

    /// Notes that the node's connection has closed.
    pub fn link_down(&mut self, link: LinkId, out: &mut impl Output) {
        self.set_link(link, out, |state| state.connected = false);
    }

    /// Cuts a link: frames in both directions are lost, as when a cable is pulled.
    pub fn cut(&mut self, name: &str, out: &mut impl Output) -> Result<(), UnknownName> {
        let link = self.link_named(name)?;
        let node = self.ports.physical(link).map(|port| port.enode);
        self.set_link(link, out, |state| {
            state.cut = true;
            state.cut_off = state.cut_off.or(node);
        });
        Ok(())
    }

    /// Ends the cut of a link. A real node saw its carrier go. A guest whose emulator
    /// kept the interface up did not, and still believes in its login, so it is told.
    pub fn restore(
        &mut self,
        name: &str,
        out: &mut impl Output,
    ) -> Result<(), UnknownName> {
        let link = self.link_named(name)?;
        let mut cut_off = None;
        self.set_link(link, out, |state| {
            state.cut = false;
            cut_off = state.cut_off.take();
        });
        if let Some(enode) = cut_off {
            let clear = self.clear(Vec::new());
            self.send_fip(link, enode, &clear, out);
        }
        Ok(())
    }

    /// Grants or refuses virtual ports, from the next FLOGI on a link, or on all links.
    pub fn set_npiv(&mut self, on: bool, name: Option<&str>) -> Result<(), UnknownName> {
        let only = name.map(|name| self.link_named(name)).transpose()?;
        for (index, link) in self.links.iter_mut().enumerate() {
            if only.is_none_or(|LinkId(only)| only == index) {
                link.npiv = on;
            }
        }
        Ok(())
    }

    /// Returns the links. The counts of frames and bytes are left at 0, for their owner
    /// to fill in.
    pub fn links(&self) -> Vec<LinkInfo> {
        let info = |(index, link): (usize, &Link)| LinkInfo {
            name: link.name.clone(),
            state: match (link.cut, link.connected) {
                (true, _) => LinkState::Cut,
                (false, true) => LinkState::Up,
                (false, false) => LinkState::Down,
            },
            npiv: link.npiv,
            ports: self.ports.on_link(LinkId(index)).count(),
            received: 0,
            sent: 0,
            discarded: link.discarded,
            queued: 0,
        };
        self.links.iter().enumerate().map(info).collect()
    }

    /// Changes a link, and does what follows if the change makes it go up or down.
    fn set_link(
        &mut self,
        link: LinkId,
        out: &mut impl Output,
        change: impl FnOnce(&mut Link),
    ) {
        let Some(state) = self.links.get_mut(link.0) else { return };
        let before = state.carries;
        change(state);
        state.carries = state.connected && !state.cut;
        let cut = state.cut;
        match (before, state.carries) {
            (false, true) => {
                out.event(Event::new(What::LinkUp).on_link(self.link_name(link)));
                self.advertise(link, Mac::ALL_ENODES, false, out);
            }
            (true, false) => {
                let reason = if cut { "cut" } else { "disconnected" };
                let event = Event::new(What::LinkDown).on_link(self.link_name(link));
                out.event(event.because(reason));
                let ports = self.addresses_on(link);
                self.end_logins(&ports, What::Logout, "link down", out);
            }
            _ => {}
        }
    }

    /// Sends a FIP frame to a node, unless the link is down.
    pub(super) fn send_fip(
        &self,
        link: LinkId,
        dst: Mac,
        fip: &Fip,
        out: &mut impl Output,
    ) {
        if self.links.get(link.0).is_some_and(|link| link.carries) {
            out.frame(link, &fip.encode(dst, Mac::FCF));
        }
    }

    /// Returns a link's name.
    pub(super) fn link_name(&self, link: LinkId) -> &str {
        self.links.get(link.0).map_or("", |link| &link.name)
    }

    fn link_named(&self, name: &str) -> Result<LinkId, UnknownName> {
        let found = self.links.iter().position(|link| link.name == name);
        found.map(LinkId).ok_or_else(|| UnknownName::Link(name.to_owned()))
    }

    /// Counts the ports of a link as heard now. The fabric has stopped reading from that
    /// link, so its silence is not the node's.
    pub fn excuse(&mut self, link: LinkId, now: Duration) {
        for port in self.ports.iter_mut().filter(|port| port.link == link) {
            port.heard = now;
        }
    }
}
