//! The fabric as a pure state machine: a clock that jumps, no sockets.

use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::control::{Event, What};
use understudy_fabric::els::{Login, command};
use understudy_fabric::fabric::{Config, DuplicateWwpn, Fabric, Output};
use understudy_fabric::fip::{Fip, LinkService, VnPort};
use understudy_fabric::frame::{Ethernet, FCTL_REQUEST, FcHeader, XID_UNKNOWN};
use understudy_fabric::port::LinkId;
use understudy_fabric::wwn::Wwn;

const LINK: LinkId = LinkId(0);
const NODE: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
const PHYSICAL: Wwn = Wwn(0x2000_0000_0000_000a);
const VIRTUAL: Wwn = Wwn(0x2001_0000_0000_00ff);

#[derive(Default)]
struct Record {
    fips: Vec<(LinkId, Mac, Fip)>,
    events: Vec<Event>,
}

impl Output for Record {
    fn frame(&mut self, link: LinkId, frame: &[u8]) {
        if let Some(ethernet) = Ethernet::decode(frame) {
            let fip = Fip::decode(ethernet.payload);
            self.fips.extend(fip.map(|fip| (link, ethernet.dst, fip)));
        }
    }

    fn revoke(&mut self, _: LinkId, _: Mac) {}

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// A fabric with a clock and one node.
struct Bench {
    fabric: Fabric,
    out: Record,
    now: Duration,
}

impl Bench {
    fn new(keep_alive: Duration) -> Self {
        let config = Config {
            links: vec!["a".to_owned(), "b".to_owned()],
            fabric_name: Wwn(1),
            duplicate_wwpn: DuplicateWwpn::Refuse,
            npiv: true,
            keep_alive,
        };
        let mut bench = Self {
            fabric: Fabric::new(config),
            out: Record::default(),
            now: Duration::ZERO,
        };
        bench.fabric.link_up(LINK, &mut bench.out);
        bench
    }

    fn send(&mut self, fip: &Fip) {
        let mut frame = fip.encode(Mac::FCF, NODE);
        self.fabric.receive(LINK, &mut frame, self.now, &mut self.out);
    }

    fn login(&mut self, service: LinkService, wwpn: Wwn) -> Option<Fcid> {
        let header = FcHeader {
            r_ctl: 0x22,
            d_id: Fcid::F_PORT,
            cs_ctl: 0,
            s_id: Fcid::NONE,
            fc_type: 1,
            f_ctl: FCTL_REQUEST,
            seq_id: 0,
            df_ctl: 0,
            seq_cnt: 0,
            ox_id: 7,
            rx_id: XID_UNKNOWN,
            parameter: 0,
        };
        let els = Login { command: command::FLOGI, ..Login::server_accept(wwpn, wwpn) }
            .encode();
        self.send(&Fip::LinkService { service, reply: false, header, els, mac: None });
        match self.out.fips.last() {
            Some((_, _, Fip::LinkService { reply: true, header, mac: Some(_), .. })) => {
                Some(header.d_id)
            }
            _ => None,
        }
    }

    /// Lets time pass. Calls the fabric whenever its deadline comes.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.fabric.deadline() <= end {
            self.now = self.now.max(self.fabric.deadline());
            self.fabric.tick(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn aged_out(&self) -> Vec<Option<Wwn>> {
        let aged = self.out.events.iter().filter(|event| event.event == What::AgedOut);
        aged.map(|event| event.wwpn).collect()
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn node_beat() -> Fip {
    Fip::KeepAlive { enode: NODE, port: None }
}

fn port_beat(fcid: Fcid, wwpn: Wwn) -> Fip {
    let port = Some(VnPort { mac: Mac::fabric_provided(fcid), fcid, wwpn });
    Fip::KeepAlive { enode: NODE, port }
}

#[test]
fn advertisements_come_once_a_period_on_links_that_are_up() {
    let mut bench = Bench::new(seconds(8));
    bench.out.fips.clear();
    bench.pass(seconds(80));
    let sent: Vec<_> =
        bench.out.fips.iter().map(|(link, dst, _)| (*link, *dst)).collect();
    assert_eq!(sent, [(LINK, Mac::ALL_ENODES); 11]);
}

#[test]
fn a_node_lives_for_two_and_a_half_periods_after_its_last_beat() {
    let mut bench = Bench::new(seconds(8));
    bench.login(LinkService::Flogi, PHYSICAL).unwrap();
    for _ in 0..10 {
        bench.pass(Duration::from_millis(19_999));
        bench.send(&node_beat());
    }
    assert_eq!(bench.aged_out(), []);
    bench.pass(seconds(20));
    assert_eq!(bench.aged_out(), [Some(PHYSICAL)]);
}

#[test]
fn a_dead_node_takes_its_virtual_ports_along() {
    let mut bench = Bench::new(seconds(8));
    bench.login(LinkService::Flogi, PHYSICAL).unwrap();
    bench.login(LinkService::Fdisc, VIRTUAL).unwrap();
    bench.pass(seconds(20));
    assert_eq!(bench.aged_out(), [Some(VIRTUAL), Some(PHYSICAL)]);
    assert!(bench.fabric.ports(0.0).is_empty());
}

#[test]
fn a_virtual_port_lives_for_225_seconds_after_its_own_last_beat() {
    let mut bench = Bench::new(seconds(8));
    bench.login(LinkService::Flogi, PHYSICAL).unwrap();
    let vport = bench.login(LinkService::Fdisc, VIRTUAL).unwrap();
    let beat_for = |bench: &mut Bench, time: u64| {
        for _ in 0..time / 8 {
            bench.pass(seconds(8));
            bench.send(&node_beat());
        }
    };
    for _ in 0..3 {
        beat_for(&mut bench, 224);
        bench.send(&port_beat(vport, VIRTUAL));
    }
    assert_eq!(bench.aged_out(), []);
    beat_for(&mut bench, 232);
    assert_eq!(bench.aged_out(), [Some(VIRTUAL)]);
    assert_eq!(bench.fabric.ports(0.0).len(), 1);
}

#[test]
fn the_physical_ports_slow_beat_does_not_stand_in_for_its_nodes() {
    let mut bench = Bench::new(seconds(8));
    let fcid = bench.login(LinkService::Flogi, PHYSICAL).unwrap();
    bench.pass(seconds(19));
    bench.send(&port_beat(fcid, PHYSICAL));
    bench.pass(seconds(1));
    assert_eq!(bench.aged_out(), [Some(PHYSICAL)]);
}

#[test]
fn without_keep_alives_nobody_ages() {
    let mut bench = Bench::new(Duration::ZERO);
    bench.login(LinkService::Flogi, PHYSICAL).unwrap();
    bench.login(LinkService::Fdisc, VIRTUAL).unwrap();
    bench.pass(seconds(100_000));
    assert_eq!(bench.aged_out(), []);
    let says_so = |fip: &Fip| {
        matches!(fip, Fip::Advertisement { no_keep_alive: true, fka_ms: 8000, .. })
    };
    assert!(bench.out.fips.iter().any(|(_, _, fip)| says_so(fip)));
}

#[test]
fn who_cannot_be_heard_is_excused() {
    let mut bench = Bench::new(seconds(8));
    bench.login(LinkService::Flogi, PHYSICAL).unwrap();
    for _ in 0..10 {
        bench.pass(seconds(19));
        bench.fabric.excuse(LINK, bench.now);
    }
    assert_eq!(bench.aged_out(), []);
}

#[test]
fn noise_on_the_wire_is_ignored() {
    let mut bench = Bench::new(seconds(8));
    bench.out.fips.clear();
    let arp =
        Ethernet { dst: Mac([0xff; 6]), src: NODE, ethertype: 0x0806, payload: &[0; 46] };
    for frame in [arp.encode(), Vec::new(), vec![0; 13], vec![0x89; 60]] {
        bench.fabric.receive(LINK, &mut frame.clone(), bench.now, &mut bench.out);
        bench.fabric.receive(LinkId(9), &mut frame.clone(), bench.now, &mut bench.out);
    }
    assert!(bench.out.fips.is_empty());
}
