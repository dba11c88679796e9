//! The well-known addresses: name server, fabric controller, F_Port.

use crate::addr::{Fcid, Mac};
use crate::bytes::Put;
use crate::ct;
use crate::els::{self, Login, Reject, StateChangeRegistration, command};
use crate::frame::{
    EOF_N, EOF_T, Ethernet, FCTL_REPLY_MORE, FcHeader, Fcoe, SOF_I3, SOF_N3,
};
use crate::nameserver;
use crate::port::{LinkId, Port};
use crate::wwn::Wwn;

use super::{Fabric, Output};

/// R_CTL of ABTS (abort sequence) and of its BA_ACC: basic link services of FC-FS.
const R_CTL_ABTS: u8 = 0x81;
const R_CTL_BA_ACC: u8 = 0x84;

impl Fabric {
    pub(super) fn receive_service(
        &mut self,
        link: LinkId,
        ethernet: Ethernet<'_>,
        out: &mut impl Output,
    ) {
        let Some(Fcoe { header, payload, .. }) = Fcoe::decode(ethernet.payload) else {
            log::debug!("{}: FCoE frame is damaged", self.link_name(link));
            return;
        };
        let sender = self.ports.get(header.s_id).filter(|port| port.link == link);
        if sender.is_none() {
            log::debug!(
                "{}: request from {}, not logged in",
                self.link_name(link),
                header.s_id
            );
            return;
        }
        match (header.r_ctl, header.fc_type) {
            (els::R_CTL_REQUEST, els::TYPE) => self.serve_els(link, header, payload, out),
            (ct::R_CTL_REQUEST, ct::TYPE) if header.d_id == Fcid::DIRECTORY => {
                self.serve_ct(header, payload, out);
            }
            (R_CTL_ABTS, _) => {
                let mut accept = vec![0; 4];
                accept.put_u16(header.ox_id);
                accept.put_u16(header.rx_id);
                accept.put(&[0, 0, 0xff, 0xff]);
                self.send_to_port(header.reply(R_CTL_BA_ACC), &accept, out);
            }
            // Most of these are answers to the fabric's own RSCNs.
            _ => {}
        }
    }

    fn serve_els(
        &mut self,
        link: LinkId,
        header: FcHeader,
        els: &[u8],
        out: &mut impl Output,
    ) {
        let command = els.first().copied().unwrap_or_default();
        let Some(mac) = self.ports.get(header.s_id).map(Port::mac) else { return };
        let answer = match (command, header.d_id) {
            (command::PLOGI, Fcid::DIRECTORY | Fcid::CONTROLLER) => {
                self.server_login(header, els)
            }
            (command::LOGO, Fcid::F_PORT) => self.logout(link, header.s_id, els, out),
            (command::LOGO | command::RRQ, _) => els::accept(),
            (command::RTV, _) => els::timeouts(els::R_A_TOV_MS),
            (command::SCR, Fcid::CONTROLLER) => {
                self.state_change_registration(header, els)
            }
            _ => Reject::UNSUPPORTED.encode(),
        };
        // The answer does not go by way of the port, which a LOGO over FCoE has just
        // removed.
        let header = header.reply(els::R_CTL_REPLY);
        let reply = Fcoe { sof: SOF_I3, header, payload: &answer, eof: EOF_T };
        out.frame(link, &reply.encode(mac, Mac::FCF));
        if command == command::SCR {
            self.announce_late(header.d_id, out);
        }
    }

    /// Handles a PLOGI at a well-known address. Returns the answer.
    fn server_login(&mut self, header: FcHeader, els: &[u8]) -> Vec<u8> {
        let Some(login) = Login::decode(els) else {
            return Reject::BAD_LENGTH.encode();
        };
        if let Some(port) = self.ports.get_mut(header.s_id) {
            port.receive_size =
                login.receive_size.clamp(els::MIN_PAYLOAD, els::MAX_PAYLOAD);
        }
        let fabric = self.config.fabric_name;
        let server = Wwn(fabric.0 & !0xff_ffff | u64::from(header.d_id.0));
        Login::server_accept(server, fabric).encode()
    }

    fn state_change_registration(&mut self, header: FcHeader, els: &[u8]) -> Vec<u8> {
        let Some(registration) = StateChangeRegistration::decode(els) else {
            return Reject::BAD_LENGTH.encode();
        };
        if let Some(port) = self.ports.get_mut(header.s_id) {
            port.state_changes = registration.function != StateChangeRegistration::CLEAR;
        }
        els::accept()
    }

    /// Tells others of a port that registered a type but never its features. It is
    /// complete once it asks for state changes, which is the last step of its login.
    fn announce_late(&mut self, fcid: Fcid, out: &mut impl Output) {
        let late =
            |port: &Port| !port.announced && port.names.fc4_types().next().is_some();
        if self.ports.get(fcid).is_some_and(late) {
            self.announce(fcid, out);
        }
    }

    /// Handles a name server request. Other ports hear of a port only once its features
    /// are known (RFF_ID follows RFT_ID), because an initiator that asks too early does
    /// not ask again.
    fn serve_ct(&mut self, header: FcHeader, payload: &[u8], out: &mut impl Output) {
        let visible = |fabric: &Self| {
            let port = fabric.ports.get(header.s_id)?;
            Some((port.names.types, port.names.features.clone()))
        };
        let before = visible(self);
        let answer = ct::Request::decode(payload).and_then(|request| {
            nameserver::answer(&mut self.ports, &self.zoning, header.s_id, &request)
        });
        let after = visible(self);
        self.send_ct(header, &ct::encode_answer(&answer), out);
        let complete = self
            .ports
            .get(header.s_id)
            .is_some_and(|port| port.announced || !port.names.features.is_empty());
        if complete && before != after {
            self.announce(header.s_id, out);
        }
    }

    /// Sends a CT answer, in as many frames as the port's receive size requires.
    fn send_ct(&self, request: FcHeader, answer: &[u8], out: &mut impl Output) {
        let Some(port) = self.ports.get(request.s_id) else { return };
        let header = request.reply(ct::R_CTL_REPLY);
        let size = usize::from(port.receive_size & !3);
        let mut chunks = answer.chunks(size).zip(0..).peekable();
        while let Some((payload, seq_cnt)) = chunks.next() {
            let last = chunks.peek().is_none();
            let f_ctl = if last { header.f_ctl } else { FCTL_REPLY_MORE };
            let fcoe = Fcoe {
                sof: if seq_cnt == 0 { SOF_I3 } else { SOF_N3 },
                header: FcHeader { f_ctl, seq_cnt, ..header },
                payload,
                eof: if last { EOF_T } else { EOF_N },
            };
            out.frame(port.link, &fcoe.encode(port.mac(), Mac::FCF));
        }
    }
}
