//! A fabric that sends nonsense, and firmware that does.
//!
//! A model counts the exchanges that firmware knows. Whatever comes, each of them ends in
//! exactly one way, and there are never more than the limit. A port that is logged out
//! leaves, and only ports that are wanted come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::els::{Login, Reject};
use understudy_fabric::fip::{Fip, LinkService, VnPort};
use understudy_fabric::frame::{FcHeader, Fcoe};
use understudy_hba::wire::{Direction, Event, ExchangeId, Fate, Fault, FrameKind, Vp};

use crate::commands::cmnd;
use crate::remote::{ENODE, LOCAL, REMOTE, Remote, SWITCH, request};
use crate::rig::{BASE, names};

/// How many exchanges the wire has.
const LIMIT: u16 = 6;

/// Something that a fabric or firmware does.
#[derive(Debug, Clone)]
enum Step {
    Frame(Frame),
    Damaged { frame: Frame, at: usize, bit: u8 },
    Fip(Fip),
    Bytes(Vec<u8>),
    Els(u8),
    Ct,
    Command(u8),
    AnswerEls(usize),
    RejectEls(usize),
    SendData(usize, u8),
    AskData(usize, u32, u32),
    Respond(usize),
    Drop(usize),
    Abort(usize),
    AnswerAbort(usize, bool),
    Login(u8),
    Logout(u8),
    Pass(u16),
    Link(bool),
    Reset,
    Strike(Fault),
}

/// An FC frame, and what encloses it.
#[derive(Debug, Clone)]
struct Frame {
    header: FcHeader,
    payload: Vec<u8>,
    sof: u8,
    eof: u8,
}

impl Frame {
    fn encode(&self) -> Vec<u8> {
        let Self { header, payload, sof, eof } = self;
        let fcoe = Fcoe { sof: *sof, header: *header, payload, eof: *eof };
        fcoe.encode(Mac::fabric_provided(header.d_id), Mac::FCF)
    }
}

fn frame() -> impl Strategy<Value = Frame> {
    let kind = prop::sample::select(vec![
        (0x22, 1),
        (0x23, 1),
        (0x02, 0x20),
        (0x03, 0x20),
        (0x06, 8),
        (0x01, 8),
        (0x05, 8),
        (0x07, 8),
        (0x81, 0),
        (0x84, 0),
        (0x85, 0),
        (0x44, 0x33),
    ]);
    let s_id = prop::sample::select(vec![REMOTE, REMOTE, REMOTE, LOCAL, Fcid::F_PORT]);
    let f_ctl = prop::sample::subsequence(
        vec![0x80_0000, 0x20_0000, 0x10_0000, 0x08_0000, 0x01_0000, 0x08, 1, 2],
        0..8,
    );
    let xid = prop_oneof![4 => 0..LIMIT + 1, 1 => Just(0xffff)];
    let payload = prop_oneof![
        Just(cmnd(1, 64)),
        Just(cmnd(2, 64)),
        prop::sample::select(vec![3_u8, 5, 0x0e, 0x10, 0x12, 0x13, 0x20, 0x61])
            .prop_map(|command| vec![command, 4, 0, 8, 0, 1, 0, 2, 0, 1, 0, 1]),
        Just(vec![0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0]),
        prop::collection::vec(any::<u8>(), 0..2200),
    ];
    let ends = (
        prop::sample::select(vec![0x2e, 0x2e, 0x36, 0]),
        prop::sample::select(vec![0x41, 0x42, 0x42, 0x49]),
    );
    let words = (0_u8..2, 0_u16..3, prop_oneof![Just(0), 0_u32..130, any::<u32>()]);
    (kind, s_id, f_ctl, (xid.clone(), xid), words, payload, ends).prop_map(
        |((r_ctl, fc_type), s_id, bits, (ox_id, rx_id), words, payload, (sof, eof))| {
            let (seq_id, seq_cnt, parameter) = words;
            let header = FcHeader {
                s_id,
                f_ctl: bits.into_iter().sum(),
                rx_id,
                seq_id,
                seq_cnt,
                parameter,
                ..request(r_ctl, fc_type, ox_id)
            };
            Frame { header, payload, sof, eof }
        },
    )
}

fn fip() -> impl Strategy<Value = Fip> {
    let port = VnPort {
        mac: Mac::fabric_provided(LOCAL),
        fcid: LOCAL,
        wwpn: names(0, BASE).wwpn,
    };
    let advertisement =
        (any::<bool>(), any::<bool>(), prop_oneof![0_u32..9000, any::<u32>()]);
    let advertisement = advertisement.prop_map(|(solicited, no_keep_alive, fka_ms)| {
        let (fcf, switch, fabric) = (Mac::FCF, SWITCH, SWITCH);
        Fip::Advertisement { solicited, fcf, switch, fabric, fka_ms, no_keep_alive }
    });
    let clear = prop::collection::vec(Just(port), 0..3);
    let clear = clear.prop_map(|ports| Fip::ClearVirtualLink {
        fcf: Mac::FCF,
        switch: SWITCH,
        ports,
    });
    let service = prop::sample::select(vec![
        LinkService::Flogi,
        LinkService::Fdisc,
        LinkService::Logo,
    ]);
    // The wire's link services are numbered from here.
    let answer = (service, 0xff00_u16..0xff12, 1_u32..5, any::<bool>());
    let answer = answer.prop_map(|(service, ox_id, id, accepts)| {
        let id = Fcid(0x01_0000 + id);
        let accept = Login::fabric_accept(SWITCH, SWITCH, true);
        let els = if accepts { accept.encode() } else { Reject::UNSUPPORTED.encode() };
        let header = FcHeader { d_id: id, s_id: Fcid::F_PORT, ..request(0x23, 1, ox_id) };
        let mac = Some(Mac::fabric_provided(id));
        Fip::LinkService { service, reply: true, header, els, mac }
    });
    prop_oneof![2 => advertisement, 1 => clear, 6 => answer]
}

fn fault() -> impl Strategy<Value = Fault> {
    let direction = prop::sample::select(vec![Direction::In, Direction::Out]);
    let frame = prop::sample::select(vec![
        FrameKind::Els(3),
        FrameKind::ElsAnswer,
        FrameKind::Command,
        FrameKind::TransferReady,
        FrameKind::Data,
        FrameKind::Response,
        FrameKind::Abort,
    ]);
    let held = any::<u16>().prop_map(|ms| Fate::Held(Duration::from_millis(ms.into())));
    let fate = prop_oneof![Just(Fate::Lost), held];
    let fault = (direction, frame, fate);
    fault.prop_map(|(direction, frame, fate)| Fault { direction, frame, fate })
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0_usize..8;
    prop_oneof![
        30 => frame().prop_map(Step::Frame),
        2 => (frame(), 0_usize..2300, 0_u8..8)
            .prop_map(|(frame, at, bit)| Step::Damaged { frame, at, bit }),
        4 => fip().prop_map(Step::Fip),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Step::Bytes),
        2 => any::<u8>().prop_map(Step::Els),
        2 => Just(Step::Ct),
        3 => (0_u8..4).prop_map(Step::Command),
        3 => pick.clone().prop_map(Step::AnswerEls),
        1 => pick.clone().prop_map(Step::RejectEls),
        3 => (pick.clone(), any::<u8>()).prop_map(|(at, len)| Step::SendData(at, len)),
        4 => (pick.clone(), prop_oneof![Just(0), any::<u32>()], 0_u32..128)
            .prop_map(|(at, offset, len)| Step::AskData(at, offset, len)),
        2 => pick.clone().prop_map(Step::Respond),
        1 => pick.clone().prop_map(Step::Drop),
        2 => pick.clone().prop_map(Step::Abort),
        3 => (pick, any::<bool>()).prop_map(|(at, ok)| Step::AnswerAbort(at, ok)),
        1 => (0_u8..5).prop_map(Step::Login),
        1 => (0_u8..5).prop_map(Step::Logout),
        3 => any::<u16>().prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Link),
        1 => Just(Step::Reset),
        1 => fault().prop_map(Step::Strike),
    ]
}

/// A wire, and the exchanges that firmware has.
struct Model {
    remote: Remote,
    open: BTreeSet<ExchangeId>,
    aborts: BTreeMap<ExchangeId, Option<ExchangeId>>,
    /// The ports that firmware wants logged in.
    wanted: BTreeSet<Vp>,
    /// The ports that firmware has logged out, and that have not left yet.
    leaving: BTreeSet<Vp>,
}

impl Model {
    fn new() -> Self {
        let remote = Remote::logged_in(|options| {
            options.exchanges = LIMIT;
            options.vports = 3;
            options.hand_up_unknown_aborts = true;
        });
        Self {
            remote,
            open: BTreeSet::new(),
            aborts: BTreeMap::new(),
            wanted: BTreeSet::from([BASE]),
            leaving: BTreeSet::new(),
        }
    }

    /// Returns an exchange that firmware knows, or one that never was.
    fn pick(&self, at: usize) -> ExchangeId {
        self.open.iter().nth(at).copied().unwrap_or(ExchangeId(0xffff_ffff))
    }

    fn opened(&mut self, exchange: ExchangeId) {
        assert!(self.open.insert(exchange), "{exchange:?} was open");
    }

    fn closed(&mut self, exchange: ExchangeId) {
        assert!(self.open.remove(&exchange), "{exchange:?} was not open");
    }

    fn act(&mut self, step: Step) {
        let now = self.remote.now;
        let wire = &mut self.remote.wire;
        match step {
            Step::Frame(frame) => wire.receive(&frame.encode(), now),
            Step::Damaged { frame, at, bit } => {
                let mut bytes = frame.encode();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
                bytes.truncate(at * 3);
                wire.receive(&bytes, now);
            }
            Step::Fip(fip) => wire.receive(&fip.encode(ENODE, Mac::FCF), now),
            Step::Bytes(bytes) => wire.receive(&bytes, now),
            Step::Els(command) => {
                let sent = wire.send_els(BASE, REMOTE, &[command; 600], now);
                sent.into_iter().for_each(|exchange| self.opened(exchange));
            }
            Step::Ct => {
                let sent = wire.send_ct(BASE, REMOTE, &[1; 20], now);
                sent.into_iter().for_each(|exchange| self.opened(exchange));
            }
            Step::Command(direction) => {
                let sent = wire.send_command(BASE, REMOTE, &cmnd(direction, 64));
                sent.into_iter().for_each(|exchange| self.opened(exchange));
            }
            Step::AnswerEls(at) => {
                let exchange = self.pick(at);
                if self.remote.wire.answer_els(exchange, &[2, 0, 0, 0]).is_ok() {
                    self.closed(exchange);
                }
            }
            Step::RejectEls(at) => {
                let exchange = self.pick(at);
                if self.remote.wire.reject_els(exchange, Reject::UNSUPPORTED).is_ok() {
                    self.closed(exchange);
                }
            }
            Step::SendData(at, len) => {
                let exchange = self.pick(at);
                let _ = self.remote.wire.send_data(exchange, 0, &vec![7; len.into()]);
            }
            Step::AskData(at, offset, length) => {
                let exchange = self.pick(at);
                let deadline = now + Duration::from_secs(3);
                let _ = self.remote.wire.ask_data(exchange, offset, length, deadline);
            }
            Step::Respond(at) => {
                let exchange = self.pick(at);
                if self.remote.wire.send_response(exchange, &[0; 24]).is_ok() {
                    self.closed(exchange);
                }
            }
            Step::Drop(at) => {
                let exchange = self.pick(at);
                if self.remote.wire.drop(exchange) {
                    self.closed(exchange);
                }
            }
            Step::Abort(at) => {
                let exchange = self.pick(at);
                let _ = self.remote.wire.abort(exchange, now);
            }
            Step::AnswerAbort(at, ok) => {
                let Some(abort) = self.aborts.keys().nth(at).copied() else { return };
                let answer = if ok { Ok(()) } else { Err((9, 0)) };
                let about = self.aborts.remove(&abort).flatten();
                let done = self.remote.wire.answer_abort(abort, answer);
                if let (Ok(()), true, Some(exchange)) = (done, ok, about) {
                    self.open.remove(&exchange);
                }
            }
            Step::Login(vp) => {
                if wire.login(Vp(vp), names(0, Vp(vp)), now).is_ok() {
                    self.wanted.insert(Vp(vp));
                    self.leaving.remove(&Vp(vp));
                }
            }
            Step::Logout(vp) => {
                if wire.logout(Vp(vp), now).is_ok() {
                    self.wanted.remove(&Vp(vp));
                    self.leaving.insert(Vp(vp));
                }
            }
            Step::Pass(ms) => {
                let events = self.remote.pass(Duration::from_millis(ms.into()));
                self.hear(events);
            }
            Step::Link(up) => wire.link(up, now),
            Step::Strike(fault) => wire.strike(fault),
            Step::Reset => {
                wire.reset(now);
                self.open.clear();
                self.aborts.clear();
                self.wanted.clear();
                self.leaving.clear();
            }
        }
    }

    fn hear(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::ElsReceived { exchange, .. } | Event::Command { exchange, .. } => {
                    self.opened(exchange);
                }
                Event::ElsAnswer { exchange, .. }
                | Event::CtAnswer { exchange, .. }
                | Event::Response { exchange, .. }
                | Event::AbortDone { exchange, .. }
                | Event::Ended { exchange, .. } => self.closed(exchange),
                Event::Data { exchange, .. }
                | Event::DataDone { exchange, .. }
                | Event::DataWanted { exchange, .. } => {
                    assert!(self.open.contains(&exchange));
                }
                Event::Abort { abort, exchange, .. } => {
                    let fresh = self.aborts.insert(abort, exchange).is_none();
                    assert!(fresh && !self.open.contains(&abort));
                    assert!(exchange.is_none_or(|about| self.open.contains(&about)));
                }
                Event::LoggedIn(login) => assert!(self.wanted.contains(&login.vp)),
                Event::Refused { vp, .. } => assert!(self.wanted.remove(&vp)),
                Event::LoggedOut { vp, .. } => {
                    self.leaving.remove(&vp);
                }
                Event::FabricFound { .. } | Event::LinkLost | Event::Rscn { .. } => {}
            }
        }
    }

    fn check(&mut self) {
        let events = self.remote.wire.take_events();
        self.hear(events);
        let wire = &mut self.remote.wire;
        assert!(wire.take_frames().iter().all(|frame| frame.len() < 2200));
        assert!(wire.exchanges_in_use() <= usize::from(LIMIT));
        assert!(self.open.iter().all(|exchange| wire.is_open(*exchange)));
    }
}

#[test]
fn a_frame_must_be_whole_and_come_from_the_forwarder_to_the_port() {
    let mut remote = Remote::logged_in(|_| {});
    let header = request(6, 8, 7);
    let payload = cmnd(2, 64);
    let good = Frame { header, payload, sof: 0x2e, eof: 0x42 };
    let (port, fcf) = (Mac::fabric_provided(LOCAL), Mac::FCF);
    let send = |remote: &mut Remote, frame: &Frame, dst, src| {
        let Frame { header, payload, sof, eof } = frame;
        let fcoe = Fcoe { sof: *sof, header: *header, payload, eof: *eof };
        remote.wire.receive(&fcoe.encode(dst, src), remote.now);
    };
    let to = |d_id| Frame { header: FcHeader { d_id, ..header }, ..good.clone() };
    send(&mut remote, &good, port, ENODE);
    send(&mut remote, &good, ENODE, fcf);
    send(&mut remote, &Frame { eof: 0x49, ..good.clone() }, port, fcf);
    send(&mut remote, &to(REMOTE), Mac::fabric_provided(REMOTE), fcf);
    let mut damaged = good.encode();
    damaged[60] ^= 1;
    remote.wire.receive(&damaged, remote.now);
    remote.wire.receive(&good.encode()[..40], remote.now);
    remote.wire.receive(&[], remote.now);
    assert_eq!(remote.wire.take_events(), []);
    assert_eq!(remote.wire.counters().discarded, 7);
    send(&mut remote, &good, port, fcf);
    assert!(matches!(remote.event(), Event::Command { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_exchange_ends_in_exactly_one_way(steps in prop::collection::vec(step(), 0..150)) {
        let mut model = Model::new();
        for step in steps {
            model.act(step);
            model.check();
        }
        // Only commands and ABTS wait for firmware for as long as it takes.
        model.act(Step::Link(false));
        model.check();
        prop_assert_eq!(model.open, BTreeSet::new());
        prop_assert_eq!(model.leaving, BTreeSet::new());
        prop_assert_eq!(model.remote.wire.exchanges_in_use(), 0);
        prop_assert_eq!(model.remote.wire.deadline(), None);
    }
}
