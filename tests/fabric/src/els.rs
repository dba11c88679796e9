//! Extended Link Services: the payloads of logins, registrations and notifications.
//!
//! Formats: FC-LS; include/uapi/scsi/fc/fc_els.h in Linux.

use crate::addr::Fcid;
use crate::bytes::{Put, Reader};
use crate::wwn::Wwn;

/// The first byte of an ELS, which says what it is.
pub mod command {
    #![allow(missing_docs, reason = "the names are the standard's")]
    pub const LS_RJT: u8 = 0x01;
    pub const LS_ACC: u8 = 0x02;
    pub const PLOGI: u8 = 0x03;
    pub const FLOGI: u8 = 0x04;
    pub const LOGO: u8 = 0x05;
    pub const RTV: u8 = 0x0e;
    pub const RLS: u8 = 0x0f;
    pub const RRQ: u8 = 0x12;
    pub const FDISC: u8 = 0x51;
    pub const RSCN: u8 = 0x61;
    pub const SCR: u8 = 0x62;
}

/// R_CTL of an ELS request.
pub const R_CTL_REQUEST: u8 = 0x22;
/// R_CTL of an ELS answer.
pub const R_CTL_REPLY: u8 = 0x23;
/// FC type of an ELS.
pub const TYPE: u8 = 0x01;

/// Error detection timeout of the fabric, in milliseconds.
pub const E_D_TOV_MS: u32 = 2_000;
/// Resource allocation timeout of the fabric, in milliseconds.
pub const R_A_TOV_MS: u32 = 4_000;
/// The largest FC payload, in bytes.
pub const MAX_PAYLOAD: u16 = 2112;
/// The smallest receive size that a port may state (FC_MIN_MAX_PAYLOAD).
pub const MIN_PAYLOAD: u16 = 256;

/// Feature bit of a FLOGI LS_ACC: virtual ports may follow.
const FEATURE_NPIV_GRANTED: u16 = 0x2000;
/// Feature bit of a FLOGI LS_ACC: the other end is a fabric, not a point-to-point peer.
const FEATURE_F_PORT: u16 = 0x1000;
/// Class 3 is valid, delivery is in order.
const CLASS_VALID_IN_ORDER: u16 = 0x8800;

/// A FLOGI, FDISC or PLOGI, or the LS_ACC of one. All have one format of 116 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// The ELS command.
    pub command: u8,
    /// Buffer-to-buffer credit, which means nothing over Ethernet.
    pub credit: u16,
    /// Common feature bits, whose meaning depends on the command.
    pub features: u16,
    /// The largest payload that the sender receives.
    pub receive_size: u16,
    /// R_A_TOV in a FLOGI LS_ACC. In others, sequences and offsets.
    pub r_a_tov: u32,
    /// E_D_TOV in milliseconds.
    pub e_d_tov: u32,
    /// The sender's port name.
    pub wwpn: Wwn,
    /// The sender's node name. In a FLOGI LS_ACC, the fabric's name.
    pub wwnn: Wwn,
}

impl Login {
    /// The length of a login payload without the optional extension.
    pub const LEN: usize = 116;

    /// Takes a login payload apart.
    pub fn decode(els: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(els.get(..Self::LEN)?);
        let command = reader.u8()?;
        reader.skip(3)?;
        reader.skip(2)?;
        Some(Self {
            command,
            credit: reader.u16()?,
            features: reader.u16()?,
            receive_size: reader.u16()? & 0xfff,
            r_a_tov: reader.u32()?,
            e_d_tov: reader.u32()?,
            wwpn: Wwn(reader.u64()?),
            wwnn: Wwn(reader.u64()?),
        })
    }

    /// Returns the payload. Class 3 is its only class.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        out.put(&[self.command, 0, 0, 0]);
        out.put(&[0x20, 0x20]);
        out.put_u16(self.credit);
        out.put_u16(self.features);
        out.put_u16(self.receive_size);
        out.put_u32(self.r_a_tov);
        out.put_u32(self.e_d_tov);
        out.put_u64(self.wwpn.0);
        out.put_u64(self.wwnn.0);
        out.put_zeros(32);
        out.put_u16(CLASS_VALID_IN_ORDER);
        out.put_zeros(4);
        out.put_u16(self.receive_size);
        out.put_u16(255);
        out.put(&[0, 0, 0, 1, 0, 0]);
        out.put_zeros(32);
        out
    }

    /// Returns the answer to a FLOGI or FDISC.
    pub fn fabric_accept(f_port: Wwn, fabric: Wwn, npiv: bool) -> Self {
        let npiv = if npiv { FEATURE_NPIV_GRANTED } else { 0 };
        Self {
            command: command::LS_ACC,
            credit: 64,
            features: FEATURE_F_PORT | npiv,
            receive_size: MAX_PAYLOAD,
            r_a_tov: R_A_TOV_MS,
            e_d_tov: E_D_TOV_MS,
            wwpn: f_port,
            wwnn: fabric,
        }
    }

    /// Returns the answer to a PLOGI at a well-known address. It allows 255 sequences at
    /// a time.
    pub fn server_accept(server: Wwn, fabric: Wwn) -> Self {
        Self {
            features: 0,
            r_a_tov: 0x00ff_001f,
            ..Self::fabric_accept(server, fabric, false)
        }
    }

    /// Whether a FLOGI LS_ACC grants virtual ports.
    pub fn grants_npiv(&self) -> bool {
        self.features & FEATURE_NPIV_GRANTED != 0
    }
}

/// Why an ELS is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The reason code.
    pub reason: u8,
    /// The explanation code.
    pub explanation: u8,
}

impl Reject {
    /// This fabric does not know the ELS.
    pub const UNSUPPORTED: Self = Self { reason: 0x0b, explanation: 0x2c };
    /// Bytes of the ELS are missing.
    pub const BAD_LENGTH: Self = Self { reason: 0x07, explanation: 0x2d };
    /// Logical error, invalid N_Port name: the name is logged in already.
    pub const NAME_IN_USE: Self = Self { reason: 0x03, explanation: 0x0d };
    /// Logical error, login required: a virtual port came before its physical port.
    pub const LOGIN_FIRST: Self = Self { reason: 0x03, explanation: 0x1e };
    /// Unable, no resources: no virtual ports on this link, or no address left.
    pub const NO_RESOURCES: Self = Self { reason: 0x09, explanation: 0x29 };

    /// Returns the LS_RJT.
    pub fn encode(self) -> Vec<u8> {
        vec![command::LS_RJT, 0, 0, 0, 0, self.reason, self.explanation, 0]
    }

    /// Takes an LS_RJT apart.
    pub fn decode(els: &[u8]) -> Option<Self> {
        match els {
            [command::LS_RJT, _, _, _, _, reason, explanation, ..] => {
                Some(Self { reason: *reason, explanation: *explanation })
            }
            _ => None,
        }
    }
}

/// Returns an LS_ACC with nothing in it.
pub fn accept() -> Vec<u8> {
    vec![command::LS_ACC, 0, 0, 0]
}

/// Returns the LS_ACC of RTV, with both timeouts in milliseconds.
pub fn timeouts(r_a_tov: u32) -> Vec<u8> {
    let mut out = accept();
    out.put_u32(r_a_tov);
    out.put_u32(E_D_TOV_MS);
    out.put_zeros(4);
    out
}

/// An SCR, by which a port asks for state change notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChangeRegistration {
    /// What the port asks for: 1 fabric-detected, 2 port-detected, 3 both, 255 nothing
    /// any longer.
    pub function: u8,
}

impl StateChangeRegistration {
    /// The function that ends a registration.
    pub const CLEAR: u8 = 255;
    /// The function that asks for all notifications.
    pub const FULL: u8 = 3;

    /// Takes an SCR apart.
    pub fn decode(els: &[u8]) -> Option<Self> {
        match els {
            [command::SCR, _, _, _, _, _, _, function, ..] => {
                Some(Self { function: *function })
            }
            _ => None,
        }
    }

    /// Returns the SCR.
    pub fn encode(self) -> Vec<u8> {
        vec![command::SCR, 0, 0, 0, 0, 0, 0, self.function]
    }
}

/// A LOGO, by which a port leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logout {
    /// The address that the port gives as its own.
    pub fcid: Fcid,
    /// The port's name.
    pub wwpn: Wwn,
}

impl Logout {
    /// Takes a LOGO apart.
    pub fn decode(els: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(els);
        if reader.u8()? != command::LOGO {
            return None;
        }
        reader.skip(4)?;
        Some(Self { fcid: Fcid(reader.u24()?), wwpn: Wwn(reader.u64()?) })
    }

    /// Returns the LOGO.
    pub fn encode(self) -> Vec<u8> {
        let mut out = vec![command::LOGO, 0, 0, 0, 0];
        out.put_u24(self.fcid.0);
        out.put_u64(self.wwpn.0);
        out
    }
}

/// An RSCN, which says that something changed at these addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The ports, one page for each, in port address format.
    pub ports: Vec<Fcid>,
}

impl StateChange {
    /// Takes an RSCN apart. Pages in another format than "port" are refused.
    pub fn decode(els: &[u8]) -> Option<Self> {
        let port = |(format, id)| (format == 0).then_some(id);
        let ports = Self::pages(els)?.into_iter().map(port).collect::<Option<_>>()?;
        Some(Self { ports })
    }

    /// Returns the pages of an RSCN, with the format of each address: 0 a port, 1 an area,
    /// 2 a domain, 3 the whole fabric.
    pub fn pages(els: &[u8]) -> Option<Vec<(u8, Fcid)>> {
        let mut reader = Reader::new(els);
        if (reader.u8()?, reader.u8()?) != (command::RSCN, 4) {
            return None;
        }
        let len = usize::from(reader.u16()?).checked_sub(4)?;
        let mut list = Reader::new(reader.take(len)?);
        let mut pages = Vec::new();
        while !list.is_empty() {
            pages.push((list.u8()? & 3, Fcid(list.u24()?)));
        }
        Some(pages)
    }

    /// Returns the RSCN.
    pub fn encode(&self) -> Vec<u8> {
        let len = u16::try_from(4 + 4 * self.ports.len()).unwrap_or(u16::MAX);
        let mut out = vec![command::RSCN, 4];
        out.put_u16(len);
        for port in &self.ports {
            out.put_u32(port.0);
        }
        out
    }
}
