//! A wire whose fabric is the test itself: it sends frames as it likes.

use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::els::{self, Login};
use understudy_fabric::fip::{Fip, LinkService};
use understudy_fabric::frame::{
    EOF_N, EOF_T, ETHERTYPE_FIP, Ethernet, FcHeader, Fcoe, SOF_I3, SOF_N3, XID_UNKNOWN,
};
use understudy_fabric::wwn::Wwn;
use understudy_hba::wire::{Event, Options, Wire};

use crate::rig::{BASE, fc, names};

/// The wire's MAC.
pub const ENODE: Mac = Mac([2, 0, 0, 0, 1, 0]);
/// The address of the wire's physical port.
pub const LOCAL: Fcid = Fcid(0x01_0001);
/// The address of another port.
pub const REMOTE: Fcid = Fcid(0x01_0002);
/// The name of the switch.
pub const SWITCH: Wwn = Wwn(0x1000_0000_0000_00fa);

/// A wire, and the time.
pub struct Remote {
    pub wire: Wire,
    pub now: Duration,
}

impl Remote {
    /// Returns a wire that has sent its solicitation.
    pub fn new(change: impl Fn(&mut Options)) -> Self {
        let mut options = Options::new(ENODE, SWITCH);
        change(&mut options);
        let mut wire = Wire::new(options);
        wire.link(true, Duration::ZERO);
        wire.take_frames();
        Self { wire, now: Duration::ZERO }
    }

    /// Returns a wire whose physical port is logged in.
    pub fn logged_in(change: impl Fn(&mut Options)) -> Self {
        let mut remote = Self::new(change);
        remote.advertise(true);
        remote.wire.login(BASE, names(0, BASE), remote.now).unwrap();
        remote.grant(LinkService::Flogi, LOCAL);
        assert_eq!(remote.wire.id(BASE), Some(LOCAL));
        remote.wire.take_events();
        remote
    }

    /// Sends an advertisement.
    pub fn advertise(&mut self, solicited: bool) {
        self.fip(&Fip::Advertisement {
            solicited,
            fcf: Mac::FCF,
            switch: SWITCH,
            fabric: SWITCH,
            fka_ms: 8000,
            no_keep_alive: true,
        });
    }

    /// Sends a FIP frame from the forwarder.
    pub fn fip(&mut self, fip: &Fip) {
        self.wire.receive(&fip.encode(ENODE, Mac::FCF), self.now);
    }

    /// Returns the link services that the wire has sent, by the headers inside.
    pub fn services(&mut self) -> Vec<(LinkService, FcHeader)> {
        let frames = self.wire.take_frames();
        let services = frames.iter().filter_map(|frame| {
            let ethernet = Ethernet::decode(frame)?;
            assert_eq!(ethernet.ethertype, ETHERTYPE_FIP);
            match Fip::decode(ethernet.payload)? {
                Fip::LinkService { service, header, .. } => Some((service, header)),
                _ => None,
            }
        });
        services.collect()
    }

    /// Accepts the only login that the wire has asked for.
    pub fn grant(&mut self, service: LinkService, id: Fcid) {
        let accept = Login::fabric_accept(SWITCH, SWITCH, service == LinkService::Flogi);
        self.answer(service, id, accept.encode(), Some(Mac::fabric_provided(id)));
    }

    /// Answers the only link service that the wire has asked for.
    pub fn answer(
        &mut self,
        kind: LinkService,
        id: Fcid,
        els: Vec<u8>,
        mac: Option<Mac>,
    ) {
        let asked = self.services();
        let [(service, header)] = asked[..] else { panic!("{asked:?}") };
        assert_eq!(service, kind);
        let header = FcHeader { d_id: id, ..header.reply(els::R_CTL_REPLY) };
        self.fip(&Fip::LinkService { service, reply: true, header, els, mac });
    }

    /// Sends an FC frame to the wire's physical port.
    pub fn send(&mut self, header: FcHeader, payload: &[u8]) {
        let last = header.f_ctl & 0x08_0000 != 0;
        let frame = Fcoe {
            sof: if header.seq_cnt == 0 { SOF_I3 } else { SOF_N3 },
            header,
            payload,
            eof: if last { EOF_T } else { EOF_N },
        };
        let frame = frame.encode(Mac::fabric_provided(header.d_id), Mac::FCF);
        self.wire.receive(&frame, self.now);
    }

    /// Returns the FC frames that the wire has sent, by header and payload.
    pub fn sent(&mut self) -> Vec<(FcHeader, Vec<u8>)> {
        let frames = self.wire.take_frames();
        let fc = frames.iter().filter_map(|frame| fc(frame));
        fc.map(|frame| (frame.header, frame.payload.to_vec())).collect()
    }

    /// Returns the only FC frame that the wire has sent.
    pub fn one(&mut self) -> (FcHeader, Vec<u8>) {
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.into_iter().next().unwrap()
    }

    /// Lets time pass, and returns what happened. What is due is done when it is due.
    pub fn pass(&mut self, time: Duration) -> Vec<Event> {
        let end = self.now + time;
        while let Some(due) = self.wire.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.wire.tick(self.now);
        }
        self.now = end;
        self.wire.take_events()
    }

    /// Returns the only event.
    pub fn event(&mut self) -> Event {
        let events = self.wire.take_events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.into_iter().next().unwrap()
    }
}

/// Returns the header of a frame from the other port that begins an exchange.
pub fn request(r_ctl: u8, fc_type: u8, ox_id: u16) -> FcHeader {
    FcHeader {
        r_ctl,
        d_id: LOCAL,
        cs_ctl: 0,
        s_id: REMOTE,
        fc_type,
        f_ctl: 0x29_0000,
        seq_id: 0,
        df_ctl: 0,
        seq_cnt: 0,
        ox_id,
        rx_id: XID_UNKNOWN,
        parameter: 0,
    }
}
