//! Fuzz target for what a guest sends to the software fabric.

use std::collections::BTreeSet;
use std::time::Duration;

use understudy_fabric::addr::Mac;
use understudy_fabric::control::Event;
use understudy_fabric::fabric::{Config, DuplicateWwpn, Fabric, Output};
use understudy_fabric::fip::Fip;
use understudy_fabric::frame::{ETHERTYPE_FCOE, ETHERTYPE_FIP, Ethernet, FcHeader, Fcoe};
use understudy_fabric::link::Inbox;
use understudy_fabric::port::LinkId;
use understudy_fabric::wwn::Wwn;

/// Gives the fabric frames from two nodes in turn, as QEMU sends them: each has its
/// length before it.
pub fn frames(mut data: &[u8]) {
    let mut fabric = Fabric::new(Config {
        links: vec!["a".into(), "b".into()],
        fabric_name: Wwn(1),
        duplicate_wwpn: DuplicateWwpn::Takeover,
        npiv: true,
        keep_alive: Duration::from_secs(8),
    });
    let mut out = Checked;
    let links = [LinkId(0), LinkId(1)];
    links.iter().for_each(|link| fabric.link_up(*link, &mut out));
    let mut inbox = Inbox::default();
    let mut turn = links.iter().cycle().zip(0..);
    while inbox.fill(&mut data).is_ok_and(|taken| taken > 0) {
        while let Ok(Some(frame)) = inbox.next_frame() {
            let Some((link, second)) = turn.next() else { return };
            let now = Duration::from_secs(second);
            // The frame is given as it came, and again with the CRC that a node's own
            // card would have put there.
            let right = with_crc(frame);
            fabric.receive(*link, frame, now, &mut out);
            if let Some(mut right) = right {
                fabric.receive(*link, &mut right, now, &mut out);
            }
            fabric.tick(now, &mut out);
            let ports = fabric.ports(0.0);
            let names: BTreeSet<Wwn> = ports.iter().map(|port| port.wwpn).collect();
            assert_eq!(names.len(), ports.len(), "a name is logged in twice");
        }
    }
}

fn with_crc(frame: &[u8]) -> Option<Vec<u8>> {
    const BEFORE: usize = 14 + 24;
    const AFTER: usize = 8;
    let ethernet = Ethernet::decode(frame)?;
    if ethernet.ethertype != ETHERTYPE_FCOE {
        return None;
    }
    let header = FcHeader::peek(ethernet.payload)?;
    let end = ethernet.payload.len().checked_sub(AFTER)?;
    let payload = ethernet.payload.get(BEFORE..end)?;
    let fcoe = Fcoe { sof: 0x2e, header, payload, eof: 0x42 };
    Some(fcoe.encode(ethernet.dst, ethernet.src))
}

/// Takes the frames that the fabric sends, and checks that a node can read them.
struct Checked;

impl Output for Checked {
    fn frame(&mut self, _: LinkId, frame: &[u8]) {
        assert!(frame.len() <= 4096 + 65536, "{} bytes: QEMU refuses it", frame.len());
        let ethernet = Ethernet::decode(frame);
        let Some(ethernet) = ethernet.filter(|e| e.src == Mac::FCF) else {
            return assert!(ethernet.is_some());
        };
        match ethernet.ethertype {
            ETHERTYPE_FIP => assert!(Fip::decode(ethernet.payload).is_some()),
            other => assert_eq!(other, ETHERTYPE_FCOE),
        }
    }

    fn revoke(&mut self, _: LinkId, _: Mac) {}
    fn event(&mut self, _: Event) {}
}
