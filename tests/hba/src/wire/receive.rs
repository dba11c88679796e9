//! Frames on their way in, to what handles them.

use std::time::Duration;

use understudy_fabric::addr::Mac;
use understudy_fabric::ct;
use understudy_fabric::els;
use understudy_fabric::fip::Fip;
use understudy_fabric::frame::{EOF_N, EOF_T, Ethernet, FcHeader, Fcoe};

use super::enode::News;
use super::faults::{Direction, Verdict};
use super::{Event, Wire, bls, fcp};

impl Wire {
    pub(super) fn receive_fip(&mut self, ethernet: Ethernet<'_>, now: Duration) {
        let Some(fip) = Fip::decode(ethernet.payload) else {
            return self.discard("damaged FIP");
        };
        let from_forwarder =
            self.discovery.forwarder().is_some_and(|known| known.mac == ethernet.src);
        match fip {
            Fip::Advertisement { fabric, .. } => {
                match self.discovery.advertised(ethernet.src, &fip, now) {
                    News::None => {}
                    News::Found => self.events.push(Event::FabricFound { fabric }),
                    News::Unasked(forwarder) => self.solicit(forwarder),
                }
            }
            Fip::LinkService { service, reply: true, header, els, mac }
                if from_forwarder =>
            {
                self.service_answer(service, &header, &els, mac, now);
            }
            Fip::ClearVirtualLink { switch, ports, .. } if from_forwarder => {
                self.cleared(switch, &ports, now);
            }
            _ => self.discard("FIP that is not for a node"),
        }
    }

    pub(super) fn receive_fc(&mut self, ethernet: Ethernet<'_>, now: Duration) {
        let forwarder = self.discovery.forwarder();
        let Some(frame) = Fcoe::decode(ethernet.payload)
            .filter(|_| forwarder.is_some_and(|known| known.mac == ethernet.src))
            .filter(|frame| ethernet.dst == Mac::fabric_provided(frame.header.d_id))
            // Any other end says that the frame was damaged on its way (FC-FS).
            .filter(|frame| matches!(frame.eof, EOF_N | EOF_T))
        else {
            return self.discard("damaged or foreign FCoE");
        };
        match self.faults.judge(Direction::In, &frame, now) {
            Verdict::Passes => self.dispatch(&frame, now),
            Verdict::Lost => self.discard("a fault"),
            Verdict::Held(until) => {
                self.faults.hold(until, Direction::In, ethernet.payload.to_vec());
            }
        }
    }

    /// Handles an FC frame, by what it is.
    pub(super) fn dispatch(&mut self, frame: &Fcoe<'_>, now: Duration) {
        let FcHeader { r_ctl, fc_type, d_id, .. } = frame.header;
        let Some(vp) = self.port_at(d_id) else { return self.discard("for no port") };
        match (r_ctl, fc_type) {
            (bls::R_CTL_ABTS, _) => self.abort_received(vp, &frame.header),
            (bls::R_CTL_ACCEPT | bls::R_CTL_REJECT, _) => {
                self.abort_answered(vp, frame, now);
            }
            (els::R_CTL_REQUEST, els::TYPE) => self.els_received(vp, frame, now),
            (els::R_CTL_REPLY, els::TYPE) | (ct::R_CTL_REPLY, ct::TYPE) => {
                self.answer_received(vp, frame);
            }
            (fcp::R_CTL_CMND, fcp::TYPE) => self.command_received(vp, frame),
            (fcp::R_CTL_DATA, fcp::TYPE) => self.data_received(vp, frame),
            (fcp::R_CTL_XFER_RDY, fcp::TYPE) => self.ready_received(vp, frame),
            (fcp::R_CTL_RSP, fcp::TYPE) => self.response_received(vp, frame),
            _ => self.discard("of a kind that is not known"),
        }
    }
}
