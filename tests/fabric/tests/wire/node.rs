//! A scripted node: what Linux sends through libfc and fcoe, frame by frame.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::ct::{self, Answer, Request};
use understudy_fabric::els::{
    self, Login, Logout, Reject, StateChange, StateChangeRegistration, command,
};
use understudy_fabric::fip::{Fip, LinkService, VnPort};
use understudy_fabric::frame::{
    EOF_T, ETHERTYPE_FIP, Ethernet, FCTL_REQUEST, FcHeader, Fcoe, SOF_I3, SOF_N3,
    XID_UNKNOWN,
};
use understudy_fabric::link::Inbox;
use understudy_fabric::wwn::Wwn;

use crate::program::LIMIT;

pub const FCP: u8 = 8;

/// A frame from the fabric, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Fip(Fip),
    Fc { dst: Mac, src: Mac, sof: u8, header: FcHeader, payload: Vec<u8>, eof: u8 },
}

impl Heard {
    fn decode(frame: &[u8]) -> Self {
        let ethernet = Ethernet::decode(frame).unwrap();
        if ethernet.ethertype == ETHERTYPE_FIP {
            return Self::Fip(Fip::decode(ethernet.payload).expect("a FIP frame"));
        }
        let Ethernet { dst, src, payload, .. } = ethernet;
        let Fcoe { sof, header, payload, eof } =
            Fcoe::decode(payload).expect("an FCoE frame");
        Self::Fc { dst, src, sof, header, payload: payload.to_vec(), eof }
    }
}

/// A node on a link.
pub struct Node {
    pub socket: UnixStream,
    pub mac: Mac,
    inbox: Inbox,
    frames: VecDeque<Heard>,
    ox_id: u16,
}

impl Node {
    pub fn connect(path: &Path) -> Self {
        let socket = UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        let tag = *path.as_os_str().as_encoded_bytes().last().unwrap();
        let mac = Mac([0x52, 0x54, 0, 0, 0, tag]);
        Self { socket, mac, inbox: Inbox::default(), frames: VecDeque::new(), ox_id: 0 }
    }

    pub fn send(&mut self, frame: &[u8]) {
        let mut bytes = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.socket.write_all(&bytes).expect("the fabric takes frames");
    }

    /// Reads the next frame, except for the periodic advertisement.
    pub fn read(&mut self) -> Heard {
        let start = Instant::now();
        loop {
            while let Some(frame) = self.inbox.next_frame().unwrap() {
                match Heard::decode(frame) {
                    Heard::Fip(Fip::Advertisement { solicited: false, .. }) => {}
                    heard => return heard,
                }
            }
            let n = self.inbox.fill(&mut self.socket).expect("a frame from the fabric");
            assert!(n > 0, "the fabric hung up");
            // Advertisements never end, so the loop must.
            assert!(start.elapsed() < LIMIT, "no frame from the fabric");
        }
    }

    /// Waits for the first frame for which `pick` returns something. Other frames are
    /// kept for later.
    pub fn wait<T>(&mut self, mut pick: impl FnMut(&Heard) -> Option<T>) -> T {
        let seen = self.frames.iter().position(|heard| pick(heard).is_some());
        if let Some(heard) = seen.and_then(|at| self.frames.remove(at)) {
            return pick(&heard).unwrap();
        }
        loop {
            let heard = self.read();
            match pick(&heard) {
                Some(found) => return found,
                None => self.frames.push_back(heard),
            }
        }
    }

    /// Asserts that the fabric has sent nothing unasked: it answers one more question,
    /// and nothing comes before that answer.
    pub fn assert_quiet(&mut self) {
        self.solicit();
        assert_eq!(self.frames, [], "unexpected frames");
    }

    /// Sends a solicitation, and returns the answer.
    pub fn solicit(&mut self) -> Fip {
        let fip = Fip::Solicitation { enode: self.mac, name: Wwn(1), max_size: 2158 };
        self.send(&fip.encode(Mac::ALL_FCFS, self.mac));
        self.wait(|heard| match heard {
            Heard::Fip(fip @ Fip::Advertisement { solicited: true, .. }) => {
                Some(fip.clone())
            }
            _ => None,
        })
    }

    fn header(&mut self, s_id: Fcid, d_id: Fcid) -> FcHeader {
        self.ox_id += 1;
        FcHeader {
            r_ctl: els::R_CTL_REQUEST,
            d_id,
            cs_ctl: 0,
            s_id,
            fc_type: els::TYPE,
            f_ctl: FCTL_REQUEST,
            seq_id: 0,
            df_ctl: 0,
            seq_cnt: 0,
            ox_id: self.ox_id,
            rx_id: XID_UNKNOWN,
            parameter: 0,
        }
    }

    /// Sends a link service over FIP. Returns the answer's header, ELS and MAC.
    pub fn link_service(
        &mut self,
        service: LinkService,
        s_id: Fcid,
        els: Vec<u8>,
    ) -> (FcHeader, Vec<u8>, Option<Mac>) {
        let header = self.header(s_id, Fcid::F_PORT);
        let mac = Some(Mac::ZERO);
        let request = Fip::LinkService { service, reply: false, header, els, mac };
        self.send(&request.encode(Mac::FCF, self.mac));
        self.wait(|heard| match heard {
            Heard::Fip(Fip::LinkService {
                service: s,
                reply: true,
                header: h,
                els,
                mac,
            }) if *s == service && h.ox_id == header.ox_id => {
                Some((*h, els.clone(), *mac))
            }
            _ => None,
        })
    }

    /// Sends a FLOGI or FDISC. Returns the LS_ACC with the address, or the reject.
    pub fn try_login(
        &mut self,
        service: LinkService,
        wwpn: Wwn,
    ) -> Result<(Fcid, Login), Reject> {
        let command = match service {
            LinkService::Flogi => command::FLOGI,
            LinkService::Fdisc => command::FDISC,
            LinkService::Logo => command::LOGO,
        };
        let login =
            Login { command, ..Login::server_accept(wwpn, Wwn(wwpn.0 | 1 << 60)) };
        let (header, els, mac) = self.link_service(service, Fcid::NONE, login.encode());
        if let Some(reject) = Reject::decode(&els) {
            return Err(reject);
        }
        assert_eq!(mac, Some(Mac::fabric_provided(header.d_id)));
        assert_eq!((header.r_ctl, header.fc_type, header.f_ctl), (0x23, 1, 0x98_0000));
        Ok((header.d_id, Login::decode(&els).unwrap()))
    }

    pub fn flogi(&mut self, wwpn: Wwn) -> Fcid {
        self.try_login(LinkService::Flogi, wwpn).unwrap().0
    }

    pub fn fdisc(&mut self, wwpn: Wwn) -> Fcid {
        self.try_login(LinkService::Fdisc, wwpn).unwrap().0
    }

    /// Sends a LOGO over FIP, which the fabric always accepts.
    pub fn logo(&mut self, fcid: Fcid, wwpn: Wwn) {
        let els = Logout { fcid, wwpn }.encode();
        let (_, els, mac) = self.link_service(LinkService::Logo, fcid, els);
        assert_eq!((els, mac.is_some()), (els::accept(), true));
    }

    pub fn keep_alive(&mut self, port: Option<VnPort>) {
        let fip = Fip::KeepAlive { enode: self.mac, port };
        self.send(&fip.encode(Mac::FCF, self.mac));
    }

    /// Waits for the next Clear Virtual Link. Returns the ports in it.
    pub fn cleared(&mut self) -> Vec<VnPort> {
        self.wait(|heard| match heard {
            Heard::Fip(Fip::ClearVirtualLink { ports, .. }) => Some(ports.clone()),
            _ => None,
        })
    }

    pub fn send_fc(&mut self, header: FcHeader, payload: &[u8]) {
        let fcoe = Fcoe { sof: SOF_I3, header, payload, eof: EOF_T };
        self.send(&fcoe.encode(Mac::FCF, Mac::fabric_provided(header.s_id)));
    }

    /// Sends an ELS to a well-known address. Returns the answer.
    pub fn els(&mut self, s_id: Fcid, d_id: Fcid, els: &[u8]) -> Vec<u8> {
        let request = self.header(s_id, d_id);
        self.send_fc(request, els);
        self.wait(|heard| match heard {
            Heard::Fc { header, payload, src: Mac::FCF, .. }
                if header.ox_id == request.ox_id && header.s_id == d_id =>
            {
                assert_eq!(header.d_id, s_id);
                assert_eq!((header.r_ctl, header.f_ctl), (els::R_CTL_REPLY, 0x98_0000));
                Some(payload.clone())
            }
            _ => None,
        })
    }

    /// Sends an ABTS for an exchange.
    pub fn send_abort(&mut self, s_id: Fcid, d_id: Fcid, ox_id: u16) {
        let header = self.header(s_id, d_id);
        self.send_fc(FcHeader { r_ctl: 0x81, fc_type: 0, ox_id, ..header }, &[]);
    }

    /// Sends an ABTS for an exchange. Returns the BA_ACC.
    pub fn abort(&mut self, s_id: Fcid, d_id: Fcid, ox_id: u16) -> Vec<u8> {
        self.send_abort(s_id, d_id, ox_id);
        self.wait(|heard| match heard {
            Heard::Fc { header, payload, .. } if header.ox_id == ox_id => {
                assert_eq!((header.r_ctl, header.fc_type), (0x84, 0));
                Some(payload.clone())
            }
            _ => None,
        })
    }

    pub fn ct(&mut self, s_id: Fcid, request: &Request) -> Answer {
        self.ct_frames(s_id, request).0
    }

    /// Sends a name server request. Returns the answer, put together, and the number of
    /// its frames.
    pub fn ct_frames(&mut self, s_id: Fcid, request: &Request) -> (Answer, u16) {
        self.ct_payload(s_id, &request.encode())
    }

    /// Sends a name server request with nothing after its header, whatever such a request
    /// should have. Returns the answer.
    pub fn ct_raw(&mut self, s_id: Fcid, command: u16) -> Answer {
        let mut payload = Vec::new();
        let (service, subtype) = (0xfc, 2);
        let header = ct::Header { service, subtype, command, reason: 0, explanation: 0 };
        header.write(&mut payload);
        self.ct_payload(s_id, &payload).0
    }

    fn ct_payload(&mut self, s_id: Fcid, request: &[u8]) -> (Answer, u16) {
        let header = self.header(s_id, Fcid::DIRECTORY);
        let header = FcHeader { r_ctl: ct::R_CTL_REQUEST, fc_type: ct::TYPE, ..header };
        self.send_fc(header, request);
        let (mut whole, mut count) = (Vec::new(), 0);
        loop {
            let last = self.wait(|heard| match heard {
                Heard::Fc { header: h, payload, sof, eof, .. }
                    if (h.ox_id, h.s_id) == (header.ox_id, Fcid::DIRECTORY) =>
                {
                    if h.seq_cnt != count {
                        return None;
                    }
                    assert_eq!((h.r_ctl, h.fc_type), (ct::R_CTL_REPLY, ct::TYPE));
                    assert_eq!(*sof, if count == 0 { SOF_I3 } else { SOF_N3 });
                    let last = *eof == EOF_T;
                    assert_eq!(h.f_ctl, if last { 0x98_0000 } else { 0x90_0000 });
                    whole.extend_from_slice(payload);
                    Some(last)
                }
                _ => None,
            });
            count += 1;
            if last {
                return (ct::decode_answer(&whole).unwrap(), count);
            }
        }
    }

    /// Does what libfc does on its way to READY: PLOGI at the name server, all
    /// registrations, SCR. `features` are 1 for a target, 2 for an initiator.
    pub fn register(&mut self, fcid: Fcid, wwpn: Wwn, features: u8) {
        let plogi = Login { command: command::PLOGI, ..Login::server_accept(wwpn, wwpn) };
        let accept = self.els(fcid, Fcid::DIRECTORY, &plogi.encode());
        assert_eq!(Login::decode(&accept).unwrap().command, command::LS_ACC);
        let wwnn = Wwn(wwpn.0 | 1 << 60);
        for request in [
            Request::RnnId { fcid, wwnn },
            Request::RsnnNn { wwnn, name: b"node".to_vec() },
            Request::RspnId { fcid, name: b"a scripted port".to_vec() },
            Request::RftId { fcid, types: ct::one_type(FCP) },
            Request::RffId { fcid, features, fc4: FCP },
        ] {
            assert_eq!(self.ct(fcid, &request), Ok(Vec::new()), "{request:?}");
        }
        let scr = StateChangeRegistration { function: StateChangeRegistration::FULL };
        assert_eq!(self.els(fcid, Fcid::CONTROLLER, &scr.encode()), els::accept());
    }

    /// Logs a physical port in, all the way to READY. Returns its address.
    pub fn join(&mut self, wwpn: Wwn) -> Fcid {
        let fcid = self.flogi(wwpn);
        self.register(fcid, wwpn, 2);
        fcid
    }

    /// Logs a virtual port in, all the way to Active. Returns its address.
    pub fn join_virtual(&mut self, wwpn: Wwn) -> Fcid {
        let fcid = self.fdisc(wwpn);
        self.register(fcid, wwpn, 3);
        fcid
    }

    /// Waits for the next RSCN and accepts it. Returns the addresses in it.
    pub fn rscn(&mut self) -> Vec<Fcid> {
        let (header, ports) = self.wait(|heard| match heard {
            Heard::Fc { header, payload, .. } if header.s_id == Fcid::CONTROLLER => {
                StateChange::decode(payload).map(|change| (*header, change.ports))
            }
            _ => None,
        });
        assert_eq!((header.f_ctl, header.rx_id), (FCTL_REQUEST, XID_UNKNOWN));
        self.send_fc(header.reply(els::R_CTL_REPLY), &els::accept());
        ports
    }

    /// Sends a data frame to another port.
    pub fn data(&mut self, from: Fcid, to: Fcid, payload: &[u8]) {
        self.send(&data_frame(from, to, payload));
    }

    /// Waits for the next data frame, which must go from `from` to `to`. Returns its
    /// payload.
    pub fn take_data(&mut self, from: Fcid, to: Fcid) -> Vec<u8> {
        self.wait(|heard| match heard {
            Heard::Fc { dst, src, header, payload, .. } if header.fc_type == FCP => {
                assert_eq!((*dst, *src), (Mac::fabric_provided(to), Mac::FCF));
                assert_eq!((header.s_id, header.d_id), (from, to));
                Some(payload.clone())
            }
            _ => None,
        })
    }

    /// Reads until the fabric has closed the connection.
    pub fn assert_hung_up(mut self) {
        let mut rest = Vec::new();
        self.socket.read_to_end(&mut rest).unwrap();
    }
}

/// Returns an FCP data frame as a port puts it on the wire.
pub fn data_frame(s_id: Fcid, d_id: Fcid, payload: &[u8]) -> Vec<u8> {
    let header = FcHeader {
        r_ctl: 0x01,
        d_id,
        cs_ctl: 0,
        s_id,
        fc_type: FCP,
        f_ctl: 0x08_0008,
        seq_id: 1,
        df_ctl: 0,
        seq_cnt: 0,
        ox_id: 0x1234,
        rx_id: 0x5678,
        parameter: 0,
    };
    Fcoe { sof: SOF_I3, header, payload, eof: EOF_T }
        .encode(Mac::FCF, Mac::fabric_provided(s_id))
}
