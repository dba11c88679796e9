//! Requests on the control socket, and how they are carried out.

use std::time::Duration;

use understudy_fabric::console::Peer;

use crate::control::{HbaState, Reply, Request};
use crate::wire::{self, Fate};

use super::Server;

impl Server {
    pub(super) fn admit_peer(&mut self) {
        self.peers.extend(self.control.accept().map(Peer::new));
    }

    pub(super) fn serve_peer(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        for request in peer.requests::<Request>() {
            log::debug!("control: {request:?}");
            let watch = match request {
                Ok(Request::Watch { after }) => Some(after),
                _ => None,
            };
            let reply = request.map_or_else(Reply::error, |r| self.carry_out(r));
            let Some(peer) = self.peers.get_mut(index) else { return };
            peer.reply(&reply);
            if let Some(after) = watch {
                peer.watch(after.unwrap_or(self.journal.last()));
            }
        }
    }

    fn carry_out(&mut self, request: Request) -> Reply {
        match request {
            Request::State => {
                return Reply { state: Some(self.state()), ..Reply::ok() };
            }
            Request::Light { on } => {
                self.light = on;
                self.set_light();
            }
            Request::Inject(fault) => self.hba.inject(fault),
            Request::Strike { direction, frame, held_ms } => {
                let held = |ms| Fate::Held(Duration::from_millis(ms));
                let fate = held_ms.map_or(Fate::Lost, held);
                self.hba.strike(wire::Fault { direction, frame, fate });
            }
            Request::Switch { switches } => *self.hba.switches() = switches,
            Request::Events { after } => {
                let events = Some(self.journal.after(after).to_vec());
                return Reply { events, ..Reply::ok() };
            }
            Request::Watch { .. } => {}
            Request::Quit => self.done = true,
        }
        Reply::ok()
    }

    fn state(&mut self) -> HbaState {
        let counters = self.hba.counters();
        HbaState {
            guest: self.guest.is_some(),
            fabric: self.cable.stream.is_some(),
            light: self.light,
            ports: self.hba.ports(),
            received: counters.received,
            sent: counters.sent,
            discarded: counters.discarded,
            switches: *self.hba.switches(),
        }
    }
}
