//! Frames on their way out: FC sequences, solicitations and keep-alives.

use understudy_fabric::addr::Mac;
use understudy_fabric::els::MAX_PAYLOAD;
use understudy_fabric::fip::{Fip, VnPort};
use understudy_fabric::frame::FcHeader;

use super::faults::{Direction, Verdict};
use super::sequence::{self, RESPONDER};
use super::{ExchangeId, Wire};

/// The largest FCoE frame, in bytes: header, payload and what encloses them (FC-BB-5).
const MAX_FCOE: u16 = 14 + 24 + MAX_PAYLOAD + 8;

impl Wire {
    /// Sends a sequence on an exchange. `what` is R_CTL and the type, `end` what F_CTL has
    /// in the last frame besides `f_ctl`.
    pub(super) fn send_on(
        &mut self,
        exchange: ExchangeId,
        what: (u8, u8),
        f_ctl: u32,
        end: u32,
        payload: &[u8],
    ) {
        self.send_at(exchange, what, f_ctl, end, 0, payload);
    }

    /// Sends a sequence on an exchange, at an offset of its transfer. The rest is as in
    /// [`Self::send_on`].
    pub(super) fn send_at(
        &mut self,
        exchange: ExchangeId,
        (r_ctl, fc_type): (u8, u8),
        f_ctl: u32,
        end: u32,
        offset: u32,
        payload: &[u8],
    ) {
        let Some(exchange) = self.exchanges.get_mut(exchange) else { return };
        let header = FcHeader {
            r_ctl,
            d_id: exchange.remote,
            cs_ctl: 0,
            s_id: exchange.local,
            fc_type,
            f_ctl: f_ctl | if exchange.ours { 0 } else { RESPONDER },
            seq_id: exchange.seq_id,
            df_ctl: 0,
            seq_cnt: 0,
            ox_id: exchange.ox_id,
            rx_id: exchange.rx_id,
            parameter: offset,
        };
        exchange.seq_id = exchange.seq_id.wrapping_add(1);
        self.send(header, end, payload);
    }

    /// Sends a sequence, in frames that its receiver takes.
    pub(super) fn send(&mut self, header: FcHeader, end: u32, payload: &[u8]) {
        let Some(forwarder) = self.discovery.forwarder() else { return };
        let known = self.port_at(header.s_id).map(|vp| (vp, header.d_id));
        let size = known.and_then(|key| self.sizes.get(&key)).copied();
        let src = Mac::fabric_provided(header.s_id);
        let size = size.unwrap_or(self.fabric_size);
        for frame in sequence::frames(header, end, payload, size) {
            let verdict = self.faults.judge(Direction::Out, &frame, self.now);
            if verdict == Verdict::Lost {
                continue;
            }
            self.counters.sent += 1;
            let frame = frame.encode(forwarder.mac, src);
            match verdict {
                Verdict::Held(until) => self.faults.hold(until, Direction::Out, frame),
                _ => self.frames.push(frame),
            }
        }
    }

    pub(super) fn send_fip(&mut self, dst: Mac, fip: &Fip) {
        self.frames.push(fip.encode(dst, self.options.enode));
        self.counters.sent += 1;
    }

    pub(super) fn solicit(&mut self, dst: Mac) {
        let solicitation = Fip::Solicitation {
            enode: self.options.enode,
            name: self.options.node_name,
            max_size: MAX_FCOE,
        };
        self.send_fip(dst, &solicitation);
    }

    /// Sends the keep-alive of the node, or of one of its ports.
    pub(super) fn send_beat(&mut self, port: Option<VnPort>) {
        if let Some(forwarder) = self.discovery.forwarder() {
            let beat = Fip::KeepAlive { enode: self.options.enode, port };
            self.send_fip(forwarder.mac, &beat);
        }
    }
}
