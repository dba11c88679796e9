//! A fabric with wires on it, and what happened to them.

use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::control::Event as FabricEvent;
use understudy_fabric::ct::{self, Request};
use understudy_fabric::els::{Login, command};
use understudy_fabric::fabric::{Config, DuplicateWwpn, Fabric, Output};
use understudy_fabric::frame::{Ethernet, Fcoe};
use understudy_fabric::port::LinkId;
use understudy_fabric::wwn::Wwn;
use understudy_hba::wire::{Event, ExchangeId, LoggedIn, Names, Options, Vp, Wire};

/// The physical port.
pub const BASE: Vp = Vp::PHYSICAL;
/// A virtual port.
pub const VPORT: Vp = Vp(1);
/// FC type of FCP.
pub const FCP: u8 = 8;

/// What the fabric sends.
#[derive(Default)]
struct Sent(Vec<(usize, Vec<u8>)>);

impl Output for Sent {
    fn frame(&mut self, link: LinkId, frame: &[u8]) {
        self.0.push((link.0, frame.to_vec()));
    }

    fn revoke(&mut self, link: LinkId, mac: Mac) {
        let to = |frame: &[u8]| Ethernet::decode(frame).map(|ethernet| ethernet.dst);
        self.0.retain(|(at, frame)| *at != link.0 || to(frame) != Some(mac));
    }

    fn event(&mut self, _: FabricEvent) {}
}

/// What becomes of a frame on its way to a wire: nothing, itself, or more.
pub type Mangle = Box<dyn FnMut(usize, &[u8]) -> Vec<Vec<u8>>>;

/// A fabric with wires on it.
pub struct Rig {
    pub fabric: Fabric,
    sent: Sent,
    pub wires: Vec<Wire>,
    pub events: Vec<Vec<Event>>,
    pub now: Duration,
    /// What becomes of frames on their way to wires.
    pub mangle: Option<Mangle>,
    /// The frames of the first wire, if they are wanted: whether the wire sent it, and when.
    pub record: Option<Vec<(bool, Duration, Vec<u8>)>>,
    /// How often a wire had something to do by itself.
    pub ticks: usize,
}

/// Returns the names of a port of a wire.
pub fn names(wire: usize, vp: Vp) -> Names {
    let number = u64::try_from(wire).unwrap() << 8 | u64::from(vp.0);
    Names { wwpn: Wwn(0x2100_0000_0000_0000 | number), wwnn: Wwn(0x2000_0000_0000_0000) }
}

impl Rig {
    /// Returns wires whose links are up and which nobody wants logged in.
    pub fn new(count: usize) -> Self {
        Self::with(count, |_| {})
    }

    /// Returns wires with other options.
    pub fn with(count: usize, change: impl Fn(&mut Options)) -> Self {
        let config = Config {
            links: (0..count).map(|link| link.to_string()).collect(),
            fabric_name: Wwn(0x1000_0000_0000_00fa),
            duplicate_wwpn: DuplicateWwpn::Refuse,
            npiv: true,
            keep_alive: Duration::from_secs(8),
        };
        let wire = |index| {
            let mac = Mac([2, 0, 0, 0, 1, u8::try_from(index).unwrap()]);
            let mut options = Options::new(mac, names(index, BASE).wwnn);
            change(&mut options);
            Wire::new(options)
        };
        let mut rig = Self {
            fabric: Fabric::new(config),
            sent: Sent::default(),
            wires: (0..count).map(wire).collect(),
            events: vec![Vec::new(); count],
            now: Duration::ZERO,
            mangle: None,
            record: None,
            ticks: 0,
        };
        for link in 0..count {
            rig.connect(link);
        }
        rig
    }

    /// Plugs a wire in.
    pub fn connect(&mut self, wire: usize) {
        self.fabric.link_up(LinkId(wire), &mut self.sent);
        self.wires[wire].link(true, self.now);
        self.settle();
    }

    /// Unplugs a wire.
    pub fn disconnect(&mut self, wire: usize) {
        self.fabric.link_down(LinkId(wire), &mut self.sent);
        self.wires[wire].link(false, self.now);
        self.settle();
    }

    /// Cuts a link. The wire does not notice: its end stays up.
    pub fn cut(&mut self, wire: usize) {
        self.fabric.cut(&wire.to_string(), &mut self.sent).unwrap();
        self.settle();
    }

    /// Ends the cut of a link.
    pub fn restore(&mut self, wire: usize) {
        self.fabric.restore(&wire.to_string(), &mut self.sent).unwrap();
        self.settle();
    }

    /// Ends the login of a port, in the fabric.
    pub fn drop_port(&mut self, wwpn: Wwn) {
        self.fabric.drop_port(wwpn, &mut self.sent).unwrap();
        self.settle();
    }

    /// Moves frames until none is on its way.
    pub fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for (link, wire) in self.wires.iter_mut().enumerate() {
                for mut frame in wire.take_frames() {
                    quiet = false;
                    if let Some(record) = self.record.as_mut().filter(|_| link == 0) {
                        record.push((true, self.now, frame.clone()));
                    }
                    let link = LinkId(link);
                    self.fabric.receive(link, &mut frame, self.now, &mut self.sent);
                }
            }
            for (link, frame) in std::mem::take(&mut self.sent.0) {
                quiet = false;
                if let Some(record) = self.record.as_mut().filter(|_| link == 0) {
                    record.push((false, self.now, frame.clone()));
                }
                let arriving = match &mut self.mangle {
                    Some(mangle) => mangle(link, &frame),
                    None => vec![frame],
                };
                for frame in arriving {
                    self.wires[link].receive(&frame, self.now);
                }
            }
            if quiet {
                break;
            }
        }
        for (events, wire) in self.events.iter_mut().zip(&mut self.wires) {
            events.extend(wire.take_events());
        }
    }

    /// Lets time pass, and does what comes due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let wires = self.wires.iter().filter_map(Wire::deadline);
            let next = wires.chain([self.fabric.deadline()]).min().unwrap();
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            for wire in &mut self.wires {
                if wire.deadline().is_some_and(|due| due <= self.now) {
                    self.ticks += 1;
                    wire.tick(self.now);
                }
            }
            if self.fabric.deadline() <= self.now {
                self.fabric.tick(self.now, &mut self.sent);
            }
        }
        self.now = end;
    }

    /// Lets some seconds pass.
    pub fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Returns the events of a wire since this was last called.
    pub fn take(&mut self, wire: usize) -> Vec<Event> {
        self.settle();
        std::mem::take(&mut self.events[wire])
    }

    /// Returns the only event of a wire since the last call.
    pub fn one(&mut self, wire: usize) -> Event {
        let events = self.take(wire);
        assert_eq!(events.len(), 1, "{events:?}");
        events.into_iter().next().unwrap()
    }

    /// Wants a port logged in.
    pub fn want(&mut self, wire: usize, vp: Vp) {
        self.wires[wire].login(vp, names(wire, vp), self.now).unwrap();
        self.settle();
        self.pass(Duration::ZERO);
    }

    /// Logs a port in, and returns its address.
    pub fn login(&mut self, wire: usize, vp: Vp) -> Fcid {
        self.want(wire, vp);
        let events = self.take(wire);
        let login = events.iter().find_map(|event| match event {
            Event::LoggedIn(LoggedIn { vp: of, id, .. }) if *of == vp => Some(*id),
            _ => None,
        });
        login.unwrap_or_else(|| panic!("{events:?}"))
    }

    /// Returns the names that are logged in, in order.
    pub fn logged_in(&self) -> Vec<Wwn> {
        let mut names: Vec<Wwn> =
            self.fabric.ports(0.0).iter().map(|port| port.wwpn).collect();
        names.sort();
        names
    }

    /// Sends an ELS of the physical port, and returns the answer.
    pub fn els(&mut self, wire: usize, d_id: Fcid, els: &[u8]) -> Vec<u8> {
        let exchange = self.wires[wire].send_els(BASE, d_id, els, self.now).unwrap();
        match self.one(wire) {
            Event::ElsAnswer { exchange: of, payload } if of == exchange => payload,
            other => panic!("{other:?}"),
        }
    }

    /// Asks the name server, and returns the answer.
    pub fn ct(&mut self, wire: usize, vp: Vp, request: &Request) -> ct::Answer {
        let payload = request.encode();
        let server = Fcid::DIRECTORY;
        let exchange = self.wires[wire].send_ct(vp, server, &payload, self.now).unwrap();
        match self.one(wire) {
            Event::CtAnswer { exchange: of, payload } if of == exchange => {
                ct::decode_answer(&payload).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Logs a physical port in, at the name server too, as a port of FCP.
    pub fn register(&mut self, wire: usize) -> Fcid {
        let fcid = self.login(wire, BASE);
        let answer = self.els(wire, Fcid::DIRECTORY, &plogi(wire, 2112));
        assert_eq!(answer[0], command::LS_ACC);
        for request in [
            Request::RftId { fcid, types: ct::one_type(FCP) },
            Request::RffId { fcid, features: 3, fc4: FCP },
        ] {
            self.ct(wire, BASE, &request).unwrap();
        }
        fcid
    }

    /// Has one wire send an ELS to another, and returns both ends of the exchange.
    pub fn ask(
        &mut self,
        from: usize,
        to: usize,
        els: &[u8],
    ) -> (ExchangeId, ExchangeId) {
        let d_id = self.wires[to].id(BASE).unwrap();
        let ours = self.wires[from].send_els(BASE, d_id, els, self.now).unwrap();
        match self.one(to) {
            Event::ElsReceived { exchange, payload, .. } if payload == els => {
                (ours, exchange)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Returns a PLOGI of a wire's physical port.
pub fn plogi(wire: usize, receive_size: u16) -> Vec<u8> {
    let Names { wwpn, wwnn } = names(wire, BASE);
    let login = Login { receive_size, ..Login::server_accept(wwpn, wwnn) };
    Login { command: command::PLOGI, ..login }.encode()
}

/// Returns the FC frame in an Ethernet frame, if it is one.
pub fn fc(frame: &[u8]) -> Option<Fcoe<'_>> {
    let ethernet = Ethernet::decode(frame)?;
    Fcoe::decode(ethernet.payload)
}
