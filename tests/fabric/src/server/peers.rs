//! Requests on the control socket, and how they are carried out.

use crate::console::Peer;
use crate::control::{LinkInfo, Reply, Request};
use crate::wires::Wire;
use crate::zoning::Zoning;

use super::Server;

impl Server {
    pub(super) fn admit_peer(&mut self) {
        self.peers.extend(self.control.accept().map(Peer::new));
    }

    pub(super) fn serve_peer(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        for request in peer.requests() {
            log::debug!("control: {request:?}");
            let watch = match request {
                Ok(Request::Watch { after }) => Some(after),
                _ => None,
            };
            let reply = request.map_or_else(Reply::error, |r| self.carry_out(r));
            let Some(peer) = self.peers.get_mut(index) else { return };
            peer.reply(&reply);
            if let Some(after) = watch {
                peer.watch(after.unwrap_or(self.wires.journal.last()));
            }
        }
    }

    fn carry_out(&mut self, request: Request) -> Reply {
        let (fabric, out) = (&mut self.fabric, &mut self.wires);
        out.idle();
        let result = match request {
            Request::Ports => {
                let ports = Some(fabric.ports(out.epoch().as_secs_f64()));
                return Reply { ports, ..Reply::ok() };
            }
            Request::Links => return Reply { links: Some(self.links()), ..Reply::ok() },
            Request::Events { after } => {
                let events = Some(out.journal.after(after).to_vec());
                return Reply { events, ..Reply::ok() };
            }
            Request::Cut { link } => fabric.cut(&link, out),
            Request::Restore { link } => fabric.restore(&link, out),
            Request::Drop { wwpn } => fabric.drop_port(wwpn, out),
            Request::Npiv { on, link } => fabric.set_npiv(on, link.as_deref()),
            Request::Zone { zones } => {
                fabric.zone(zones.map_or_else(Zoning::default, Zoning::of), out);
                Ok(())
            }
            Request::Pause => {
                fabric.pause(out);
                Ok(())
            }
            Request::Resume => {
                fabric.resume(out);
                Ok(())
            }
            Request::Watch { .. } => Ok(()),
            Request::Quit => {
                self.done = true;
                Ok(())
            }
        };
        result.map_or_else(Reply::error, |()| Reply::ok())
    }

    fn links(&self) -> Vec<LinkInfo> {
        let with_counts = |(info, wire): (LinkInfo, &Wire)| LinkInfo {
            received: wire.received,
            sent: wire.sent,
            queued: wire.outbox.len(),
            ..info
        };
        self.fabric.links().into_iter().zip(&self.wires.wires).map(with_counts).collect()
    }
}
