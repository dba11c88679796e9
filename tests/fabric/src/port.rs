//! Ports that are logged in, and the addresses that they are granted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::addr::{Fcid, Mac};
use crate::ct::{Fc4Types, has_type};
use crate::event::LoginKind;
use crate::fip::VnPort;
use crate::wwn::Wwn;

/// A link, by its place on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub usize);

/// What a port has told the name server about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// The registered FC-4 types.
    pub types: Fc4Types,
    /// The features of the types that RFF_ID named.
    pub features: BTreeMap<u8, u8>,
    /// The node name, if RNN_ID named another than the login did.
    pub node_name: Option<Wwn>,
    /// The symbolic port name.
    pub symbolic_port: Vec<u8>,
    /// The symbolic node name.
    pub symbolic_node: Vec<u8>,
}

impl Registration {
    /// Returns the registered FC-4 types, in order.
    pub fn fc4_types(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=u8::MAX).filter(|fc4| has_type(&self.types, *fc4))
    }
}

/// A port that is logged in.
#[derive(Debug, Clone)]
pub struct Port {
    /// The link that the port is on.
    pub link: LinkId,
    /// The MAC of the port's node, to which FIP frames go.
    pub enode: Mac,
    /// How the port logged in.
    pub kind: LoginKind,
    /// The port's name.
    pub wwpn: Wwn,
    /// The name of the port's node.
    pub wwnn: Wwn,
    /// The address that the port was granted.
    pub fcid: Fcid,
    /// The largest payload that the port receives.
    pub receive_size: u16,
    /// When the port logged in.
    pub since: Duration,
    /// When the port was last heard.
    pub heard: Duration,
    /// Whether a physical port was granted virtual ports.
    pub npiv: bool,
    /// Whether the port asked for state change notifications.
    pub state_changes: bool,
    /// Whether the other ports have been told that this one is there.
    pub announced: bool,
    /// The port's entry in the name server.
    pub names: Registration,
}

impl Port {
    /// Returns the MAC that the port was granted.
    pub fn mac(&self) -> Mac {
        Mac::fabric_provided(self.fcid)
    }

    /// Returns the port as FIP names it.
    pub fn vn_port(&self) -> VnPort {
        VnPort { mac: self.mac(), fcid: self.fcid, wwpn: self.wwpn }
    }

    /// Returns the node name that the name server answers with.
    pub fn node_name(&self) -> Wwn {
        self.names.node_name.unwrap_or(self.wwnn)
    }
}

/// All ports that are logged in.
#[derive(Debug, Default)]
pub struct Ports {
    live: BTreeMap<Fcid, Port>,
    granted: u32,
}

impl Ports {
    /// The first address of domain 1, which is also the number of addresses in a domain.
    const DOMAIN: u32 = 0x01_0000;
    const ADDRESSES: u32 = 0xffff;

    /// Returns an address that no port has. Each login gets the next address, so one that
    /// was given up comes back only after all others were used. An initiator that sees a
    /// WWPN at its old address again may think that its session is still good.
    pub fn grant(&mut self) -> Option<Fcid> {
        for _ in 0..Self::ADDRESSES {
            self.granted = self.granted % Self::ADDRESSES + 1;
            let fcid = Fcid(Self::DOMAIN + self.granted);
            if !self.live.contains_key(&fcid) {
                return Some(fcid);
            }
        }
        None
    }

    /// Adds a port under its address.
    pub fn insert(&mut self, port: Port) {
        self.live.insert(port.fcid, port);
    }

    /// Takes a port out.
    pub fn remove(&mut self, fcid: Fcid) -> Option<Port> {
        self.live.remove(&fcid)
    }

    /// Returns the port at an address.
    pub fn get(&self, fcid: Fcid) -> Option<&Port> {
        self.live.get(&fcid)
    }

    /// Returns the port at an address, to change it.
    pub fn get_mut(&mut self, fcid: Fcid) -> Option<&mut Port> {
        self.live.get_mut(&fcid)
    }

    /// Returns all ports, in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Port> {
        self.live.values()
    }

    /// Returns all ports, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Port> {
        self.live.values_mut()
    }

    /// Returns the port with a name.
    pub fn named(&self, wwpn: Wwn) -> Option<&Port> {
        self.iter().find(|port| port.wwpn == wwpn)
    }

    /// Returns the ports on a link.
    pub fn on_link(&self, link: LinkId) -> impl Iterator<Item = &Port> {
        self.iter().filter(move |port| port.link == link)
    }

    /// Returns the physical port on a link.
    pub fn physical(&self, link: LinkId) -> Option<&Port> {
        self.on_link(link).find(|port| port.kind == LoginKind::Flogi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_only_after_all_others() {
        let mut ports = Ports::default();
        let first = ports.grant().unwrap();
        for _ in 1..Ports::ADDRESSES {
            assert_ne!(ports.grant(), Some(first));
        }
        assert_eq!(ports.grant(), Some(first));
    }
}
