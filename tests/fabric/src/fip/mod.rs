//! FIP, the FCoE Initialization Protocol: discovery, login and keep-alives.
//!
//! Formats: FC-BB-5; include/scsi/fc/fc_fip.h in Linux.

mod descriptor;

use crate::addr::{FC_MAP, Fcid, Mac};
use crate::bytes::{Put, Reader};
use crate::frame::{ETHERTYPE_FIP, Ethernet, FcHeader};
use crate::wwn::Wwn;

use descriptor::{Descriptors, descriptor, mac_descriptor, name_descriptor};

const OP_DISCOVERY: u16 = 1;
const OP_LINK_SERVICE: u16 = 2;
const OP_CONTROL: u16 = 3;

const FLAG_FPMA: u16 = 0x8000;
const FLAG_AVAILABLE: u16 = 0x0004;
const FLAG_SOLICITED: u16 = 0x0002;
const FLAG_FCF: u16 = 0x0001;

/// The link service that a FIP frame carries. The value is its descriptor type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkService {
    /// Login of a physical port.
    Flogi = 7,
    /// Login of a virtual port.
    Fdisc = 8,
    /// Logout of a physical or virtual port.
    Logo = 9,
}

/// A port, as it is named in keep-alives and in a Clear Virtual Link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VnPort {
    /// The MAC that the fabric granted.
    pub mac: Mac,
    /// The address that the fabric granted.
    pub fcid: Fcid,
    /// The port's own name.
    pub wwpn: Wwn,
}

/// A FIP frame, without its Ethernet addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fip {
    /// A node looks for forwarders.
    Solicitation {
        /// The node's own MAC.
        enode: Mac,
        /// The node's name.
        name: Wwn,
        /// The largest FCoE frame that the node takes.
        max_size: u16,
    },
    /// A forwarder says that it is there.
    Advertisement {
        /// Whether this is the answer to a solicitation.
        solicited: bool,
        /// The forwarder's MAC.
        fcf: Mac,
        /// The name of the forwarder's switch.
        switch: Wwn,
        /// The fabric that the forwarder leads to.
        fabric: Wwn,
        /// Period of advertisements and keep-alives, in milliseconds.
        fka_ms: u32,
        /// The D bit: nodes need not send keep-alives.
        no_keep_alive: bool,
    },
    /// A FLOGI, FDISC or LOGO, or the answer to one.
    LinkService {
        /// The link service.
        service: LinkService,
        /// Whether this is an answer.
        reply: bool,
        /// The FC header of the frame inside.
        header: FcHeader,
        /// The ELS inside.
        els: Vec<u8>,
        /// The MAC that is granted or given back. An LS_RJT carries none.
        mac: Option<Mac>,
    },
    /// A keep-alive: a node, or one of its ports, is still there.
    KeepAlive {
        /// The node's own MAC.
        enode: Mac,
        /// The port that is alive, or `None` if it is the node.
        port: Option<VnPort>,
    },
    /// The forwarder ends the logins of the ports that are named, or of all if none is.
    ClearVirtualLink {
        /// The forwarder's MAC.
        fcf: Mac,
        /// The name of the forwarder's switch.
        switch: Wwn,
        /// The ports whose logins end.
        ports: Vec<VnPort>,
    },
}

impl Fip {
    /// Takes apart what follows the Ethernet header of a FIP frame.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let version = reader.u8()? >> 4;
        reader.skip(1)?;
        let op = reader.u16()?;
        reader.skip(1)?;
        let subcode = reader.u8()? & 0xf;
        let len = usize::from(reader.u16()?) * 4;
        let flags = reader.u16()?;
        let all = Descriptors::read(Reader::new(reader.take(len)?))?;
        match (version, op, subcode) {
            (1, OP_DISCOVERY, 1) => Some(Self::Solicitation {
                enode: all.mac?,
                name: all.name?,
                max_size: all.size?,
            }),
            (1, OP_DISCOVERY, 2) if all.priority => Some(Self::Advertisement {
                solicited: flags & FLAG_SOLICITED != 0,
                fcf: all.mac?,
                switch: all.name?,
                fabric: all.fabric?,
                fka_ms: all.fka?.1,
                no_keep_alive: all.fka?.0,
            }),
            (1, OP_LINK_SERVICE, 1 | 2) => {
                let (service, header, els) = all.service?;
                let reply = subcode == 2;
                Some(Self::LinkService { service, reply, header, els, mac: all.mac })
            }
            (1, OP_CONTROL, 1) => Some(Self::KeepAlive {
                enode: all.mac?,
                port: all.ports.first().copied(),
            }),
            (1, OP_CONTROL, 2) => Some(Self::ClearVirtualLink {
                fcf: all.mac?,
                switch: all.name?,
                ports: all.ports,
            }),
            _ => None,
        }
    }

    /// Returns the whole Ethernet frame.
    pub fn encode(&self, dst: Mac, src: Mac) -> Vec<u8> {
        let (op, subcode) = self.operation();
        let descriptors = self.descriptors();
        let words = u16::try_from(descriptors.len() / 4).unwrap_or(u16::MAX);
        let mut payload = Vec::with_capacity(10 + descriptors.len());
        payload.put_u8(1 << 4);
        payload.put_zeros(1);
        payload.put_u16(op);
        payload.put_zeros(1);
        payload.put_u8(subcode);
        payload.put_u16(words);
        payload.put_u16(self.flags());
        payload.put(&descriptors);
        Ethernet { dst, src, ethertype: ETHERTYPE_FIP, payload: &payload }.encode()
    }

    fn operation(&self) -> (u16, u8) {
        match self {
            Self::Solicitation { .. } => (OP_DISCOVERY, 1),
            Self::Advertisement { .. } => (OP_DISCOVERY, 2),
            Self::LinkService { reply, .. } => (OP_LINK_SERVICE, 1 + u8::from(*reply)),
            Self::KeepAlive { .. } => (OP_CONTROL, 1),
            Self::ClearVirtualLink { .. } => (OP_CONTROL, 2),
        }
    }

    fn flags(&self) -> u16 {
        match self {
            Self::Advertisement { solicited: false, .. } => {
                FLAG_FPMA | FLAG_AVAILABLE | FLAG_FCF
            }
            Self::Advertisement { solicited: true, .. } => {
                FLAG_FPMA | FLAG_AVAILABLE | FLAG_FCF | FLAG_SOLICITED
            }
            _ => FLAG_FPMA,
        }
    }

    fn descriptors(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Solicitation { enode, name, max_size } => {
                mac_descriptor(&mut out, *enode);
                name_descriptor(&mut out, *name);
                descriptor(&mut out, descriptor::SIZE, |body| body.put_u16(*max_size));
            }
            // Linux wants exactly these five (fcoe_ctlr_parse_adv). FC-BB-5 pads a solicited
            // one to the node's frame size; Linux ignores the padding, so there is none.
            Self::Advertisement {
                fcf, switch, fabric, fka_ms, no_keep_alive, ..
            } => {
                descriptor(&mut out, descriptor::PRIORITY, |body| body.put(&[0, 128]));
                mac_descriptor(&mut out, *fcf);
                name_descriptor(&mut out, *switch);
                descriptor(&mut out, descriptor::FABRIC, |body| {
                    body.put_zeros(3);
                    body.put_u24(FC_MAP);
                    body.put_u64(fabric.0);
                });
                descriptor(&mut out, descriptor::FKA, |body| {
                    body.put(&[0, u8::from(*no_keep_alive)]);
                    body.put_u32(*fka_ms);
                });
            }
            // The service first, the MAC second: Linux drops any other order.
            Self::LinkService { service, header, els, mac, .. } => {
                descriptor(&mut out, *service as u8, |body| {
                    body.put_zeros(2);
                    header.write(body);
                    body.put(els);
                });
                if let Some(mac) = mac {
                    mac_descriptor(&mut out, *mac);
                }
            }
            Self::KeepAlive { enode, port } => {
                mac_descriptor(&mut out, *enode);
                if let Some(port) = port {
                    port.write(&mut out);
                }
            }
            Self::ClearVirtualLink { fcf, switch, ports } => {
                mac_descriptor(&mut out, *fcf);
                name_descriptor(&mut out, *switch);
                for port in ports {
                    port.write(&mut out);
                }
            }
        }
        out
    }
}
