//! Frames from port to port.

use std::collections::VecDeque;

use crate::addr::Mac;
use crate::event::{Event, What};
use crate::frame::{Ethernet, FcHeader, readdress};
use crate::port::LinkId;

use super::{Fabric, Output};

/// R_CTL of ABTS (FC-FS-3 16.3.3).
const ABORT_SEQUENCE: u8 = 0x81;

/// A frame that waits for forwarding to be resumed.
#[derive(Debug)]
pub(super) struct Held {
    from: LinkId,
    frame: Vec<u8>,
}

impl Fabric {
    /// Forwards a frame by its destination address. Only its MACs are changed: Linux
    /// drops a frame that does not come from the forwarder's own MAC (fcoe_rcv).
    ///
    /// Both ends must be logged in, the sender on the link that the frame came from, and
    /// both must be in one zone. So nothing passes from a port that lost its login,
    /// whatever its node still believes.
    pub(super) fn relay(
        &mut self,
        from: LinkId,
        header: FcHeader,
        frame: &mut [u8],
        out: &mut impl Output,
    ) {
        if let Some(held) = &mut self.held {
            // Not bounded: what can be in flight is bounded by the initiators' queue
            // depths, and a login must not wait behind data.
            held.push_back(Held { from, frame: frame.to_vec() });
            return;
        }
        let sender = self.ports.get(header.s_id).filter(|port| port.link == from);
        let ends = sender.zip(self.ports.get(header.d_id));
        match ends.filter(|(one, other)| self.zoning.joins(one.wwpn, other.wwpn)) {
            Some((sender, port)) => {
                if header.r_ctl == ABORT_SEQUENCE {
                    let what = format!("{:#06x} with {}", header.ox_id, header.d_id);
                    out.event(self.port_event(What::Aborted, sender).because(what));
                }
                readdress(frame, port.mac(), Mac::FCF);
                out.frame(port.link, frame);
            }
            None => {
                log::debug!(
                    "{}: frame from {} to {} has no live ports of one zone at its ends",
                    self.link_name(from),
                    header.s_id,
                    header.d_id
                );
                if let Some(link) = self.links.get_mut(from.0) {
                    link.discarded += 1;
                }
            }
        }
    }

    /// Holds frames between ports from now on. FIP and the well-known addresses still
    /// answer.
    pub fn pause(&mut self, out: &mut impl Output) {
        if self.held.is_none() {
            self.held = Some(VecDeque::new());
            out.event(Event::new(What::Paused));
        }
    }

    /// Sends the held frames, in order. Frames are forwarded again from then on.
    pub fn resume(&mut self, out: &mut impl Output) {
        let Some(held) = self.held.take() else { return };
        out.event(
            Event::new(What::Resumed).because(format!("{} frames held", held.len())),
        );
        for Held { from, mut frame } in held {
            let header = Ethernet::decode(&frame).and_then(|e| FcHeader::peek(e.payload));
            if let Some(header) = header {
                self.relay(from, header, &mut frame, out);
            }
        }
    }
}
