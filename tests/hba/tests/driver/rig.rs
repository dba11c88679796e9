//! A fabric with an HBA and an initiator on it.

use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::control::{Event, PortInfo};
use understudy_fabric::fabric::{Config, DuplicateWwpn, Fabric, Output};
use understudy_fabric::frame::{EOF_T, FcHeader, Fcoe, SOF_I3};
use understudy_fabric::port::LinkId;
use understudy_fabric::wwn::Wwn;
use understudy_hba::firmware::{Hba, Switches};
use understudy_hba::initiator::{Initiator, Session};
use understudy_hba::wire::{Names, Options};

/// The names of the HBA's physical port.
pub const BASE: Names =
    Names { wwpn: Wwn(0x2100_0024_ff00_0001), wwnn: Wwn(0x2000_0024_ff00_0001) };
/// The names of the initiator.
pub const INITIATOR: Names =
    Names { wwpn: Wwn(0x2000_00aa_0000_0001), wwnn: Wwn(0x1000_00aa_0000_0001) };

/// What the fabric sends.
#[derive(Default)]
struct Sent(Vec<(usize, Vec<u8>)>);

impl Output for Sent {
    fn frame(&mut self, link: LinkId, frame: &[u8]) {
        self.0.push((link.0, frame.to_vec()));
    }

    fn revoke(&mut self, link: LinkId, mac: Mac) {
        self.0.retain(|(at, frame)| *at != link.0 || !frame.starts_with(&mac.0));
    }

    fn event(&mut self, _: Event) {}
}

/// The link of the initiator. HBAs are on the others.
const INITIATOR_LINK: usize = 1;

/// A fabric with an HBA, an initiator, and perhaps another HBA.
pub struct Rig {
    pub hba: Hba,
    /// The link of the HBA.
    link: usize,
    /// Another HBA, and its link.
    other: Option<(Hba, usize)>,
    pub initiator: Initiator,
    /// The fabric's Ethernet address.
    forwarder: Mac,
    fabric: Fabric,
    sent: Sent,
    pub now: Duration,
}

impl Rig {
    /// Returns an HBA that is plugged in and has no driver, and an initiator that is
    /// logged in to the fabric.
    pub fn new(switches: Switches) -> Self {
        let config = Config {
            links: ["hba", "initiator", "other"].map(str::to_owned).to_vec(),
            fabric_name: Wwn(0x1000_0efc_0000_0001),
            duplicate_wwpn: DuplicateWwpn::Refuse,
            npiv: true,
            keep_alive: Duration::from_secs(8),
        };
        let options = Options::new(Mac([2, 0, 0, 0, 0, 1]), BASE.wwnn);
        let mut rig = Self {
            hba: Hba::new(BASE, switches, options),
            link: 0,
            other: None,
            initiator: Initiator::new(INITIATOR),
            forwarder: Mac::ZERO,
            fabric: Fabric::new(config),
            sent: Sent::default(),
            now: Duration::ZERO,
        };
        rig.fabric.link_up(LinkId(0), &mut rig.sent);
        rig.fabric.link_up(LinkId(1), &mut rig.sent);
        rig.hba.set_light(true);
        rig.initiator.plug(rig.now);
        rig.pass(1);
        assert!(rig.initiator.is_online());
        rig
    }

    /// Plugs another HBA in, which has so many exchanges.
    pub fn add(&mut self, names: Names, exchanges: u16) {
        let options = Options::new(Mac([2, 0, 0, 0, 0, 2]), names.wwnn);
        let options = Options { exchanges, ..options };
        let mut hba = Hba::new(names, Switches::default(), options);
        let link = 2;
        self.fabric.link_up(LinkId(link), &mut self.sent);
        hba.set_now(self.now);
        hba.set_light(true);
        self.other = Some((hba, link));
    }

    /// Exchanges the two HBAs: the other one is now [`Self::hba`].
    pub fn turn(&mut self) {
        if let Some((hba, link)) = &mut self.other {
            std::mem::swap(hba, &mut self.hba);
            std::mem::swap(link, &mut self.link);
        }
    }

    fn hbas(&mut self) -> impl Iterator<Item = (&mut Hba, usize)> {
        let other = self.other.as_mut().map(|(hba, link)| (hba, *link));
        std::iter::once((&mut self.hba, self.link)).chain(other)
    }

    /// Pulls the HBA's cable, or plugs it in again.
    pub fn cable(&mut self, plugged: bool) {
        if plugged {
            self.fabric.link_up(LinkId(self.link), &mut self.sent);
        } else {
            self.fabric.link_down(LinkId(self.link), &mut self.sent);
        }
        self.hba.set_light(plugged);
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
            let taken = self.hbas().map(|(hba, link)| (link, hba.take_frames()));
            let mut taken: Vec<_> = taken.collect();
            taken.push((INITIATOR_LINK, self.initiator.take_frames()));
            for (link, frames) in taken {
                for mut frame in frames {
                    quiet = false;
                    let link = LinkId(link);
                    self.fabric.receive(link, &mut frame, self.now, &mut self.sent);
                }
            }
            for (to, frame) in std::mem::take(&mut self.sent.0) {
                quiet = false;
                self.forwarder = Mac(*frame[6..].first_chunk().unwrap());
                if to == INITIATOR_LINK {
                    self.initiator.receive(&frame, self.now);
                }
                if let Some((hba, _)) = self.hbas().find(|(_, link)| *link == to) {
                    hba.receive(&frame);
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// Has the HBA receive a frame, as if another port had sent it.
    pub fn deliver(&mut self, header: FcHeader, payload: &[u8]) {
        let frame = Fcoe { sof: SOF_I3, header, payload, eof: EOF_T };
        let to = Mac::fabric_provided(header.d_id);
        self.hba.receive(&frame.encode(to, self.forwarder));
        self.settle();
    }

    /// Lets seconds pass.
    pub fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            self.settle();
            let hbas = self.hbas().filter_map(|(hba, _)| hba.deadline()).min();
            let others = [hbas, self.initiator.deadline()].into_iter().flatten();
            let all = others.chain([self.fabric.deadline()]);
            let next = all.min().unwrap().max(self.now);
            if next > end {
                break;
            }
            self.now = next;
            for (hba, _) in self.hbas() {
                hba.set_now(next);
                hba.tick();
            }
            self.initiator.tick(next);
            if self.fabric.deadline() <= next {
                self.fabric.tick(next, &mut self.sent);
            }
        }
        self.now = end;
        for (hba, _) in self.hbas() {
            hba.set_now(end);
        }
    }

    /// Returns the ports that are logged in to the fabric.
    pub fn ports(&self) -> Vec<PortInfo> {
        self.fabric.ports(0.0)
    }

    /// Whether a name is logged in to the fabric.
    pub fn is_logged_in(&self, wwpn: Wwn) -> bool {
        self.ports().iter().any(|port| port.wwpn == wwpn)
    }

    /// Returns the address of a port that is logged in.
    pub fn id_of(&self, wwpn: Wwn) -> Fcid {
        let ports = self.ports();
        ports.iter().find(|port| port.wwpn == wwpn).map_or(Fcid::NONE, |port| port.fcid)
    }

    /// Whether the initiator's login to the target is done.
    pub fn has_session(&self) -> bool {
        matches!(self.initiator.session(), Session::Ready(_))
    }
}
