//! Common Transport: what ports ask of the name server, and how it answers.
//!
//! Formats: FC-GS; include/uapi/scsi/fc/{fc_gs.h,fc_ns.h} in Linux.

use crate::addr::Fcid;
use crate::bytes::{Put, Reader};
use crate::wwn::Wwn;

/// R_CTL of a CT request.
pub const R_CTL_REQUEST: u8 = 0x02;
/// R_CTL of a CT answer.
pub const R_CTL_REPLY: u8 = 0x03;
/// FC type of CT.
pub const TYPE: u8 = 0x20;
/// Length of the CT header.
pub const HEADER_LEN: usize = 16;

const SERVICE_DIRECTORY: u8 = 0xfc;
const SUBTYPE_NAME_SERVER: u8 = 2;
const REJECT: u16 = 0x8001;
const ACCEPT: u16 = 0x8002;

/// The CT header, as far as a name server cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which service (0xfc: directory).
    pub service: u8,
    /// Which part of it (2: name server).
    pub subtype: u8,
    /// Request, or accept, or reject.
    pub command: u16,
    /// Of a reject.
    pub reason: u8,
    /// Of a reject.
    pub explanation: u8,
}

impl Header {
    fn directory(command: u16) -> Self {
        Self {
            service: SERVICE_DIRECTORY,
            subtype: SUBTYPE_NAME_SERVER,
            command,
            reason: 0,
            explanation: 0,
        }
    }

    /// Takes a header off the front.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.skip(4)?;
        let (service, subtype) = (reader.u8()?, reader.u8()?);
        reader.skip(2)?;
        let command = reader.u16()?;
        reader.skip(3)?;
        let (reason, explanation) = (reader.u8()?, reader.u8()?);
        reader.skip(1)?;
        Some(Self { service, subtype, command, reason, explanation })
    }

    /// Appends the header, revision 1.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put(&[1, 0, 0, 0, self.service, self.subtype, 0, 0]);
        out.put_u16(self.command);
        out.put_zeros(3);
        out.put(&[self.reason, self.explanation, 0]);
    }
}

/// Which FC-4 types a port has: one bit each of 256, in the wire's own order.
pub type Fc4Types = [u8; 32];

/// Whether the bit of an FC-4 type is set: word `type / 32`, bit `type % 32`.
pub fn has_type(types: &Fc4Types, fc4: u8) -> bool {
    let byte = usize::from(fc4 / 32 * 4 + 3 - fc4 % 32 / 8);
    types.get(byte).is_some_and(|bits| bits >> (fc4 % 8) & 1 == 1)
}

/// The map with one type in it.
pub fn one_type(fc4: u8) -> Fc4Types {
    let mut types = [0; 32];
    if let Some(byte) = types.get_mut(usize::from(fc4 / 32 * 4 + 3 - fc4 % 32 / 8)) {
        *byte = 1 << (fc4 % 8);
    }
    types
}

/// A request to the name server, named as FC-GS names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the standard's")]
pub enum Request {
    /// Port name of an address.
    GpnId { fcid: Fcid },
    /// Node name of an address.
    GnnId { fcid: Fcid },
    /// FC-4 types of an address.
    GftId { fcid: Fcid },
    /// Symbolic port name of an address.
    GspnId { fcid: Fcid },
    /// FC-4 features of an address.
    GffId { fcid: Fcid },
    /// Address of a port name.
    GidPn { wwpn: Wwn },
    /// Addresses of a node name.
    GidNn { wwnn: Wwn },
    /// Addresses with an FC-4 type.
    GidFt { fc4: u8 },
    /// Port names with an FC-4 type.
    GpnFt { fc4: u8 },
    /// Node names with an FC-4 type.
    GnnFt { fc4: u8 },
    /// Register the node name.
    RnnId { fcid: Fcid, wwnn: Wwn },
    /// Register FC-4 types.
    RftId { fcid: Fcid, types: Fc4Types },
    /// Register the symbolic port name.
    RspnId { fcid: Fcid, name: Vec<u8> },
    /// Register the features of one FC-4 type.
    RffId { fcid: Fcid, features: u8, fc4: u8 },
    /// Register the symbolic node name.
    RsnnNn { wwnn: Wwn, name: Vec<u8> },
    /// Deregister everything of an address.
    DaId { fcid: Fcid },
}

impl Request {
    /// The command code.
    pub fn code(&self) -> u16 {
        match self {
            Self::GpnId { .. } => 0x0112,
            Self::GnnId { .. } => 0x0113,
            Self::GftId { .. } => 0x0117,
            Self::GspnId { .. } => 0x0118,
            Self::GffId { .. } => 0x011f,
            Self::GidPn { .. } => 0x0121,
            Self::GidNn { .. } => 0x0131,
            Self::GidFt { .. } => 0x0171,
            Self::GpnFt { .. } => 0x0172,
            Self::GnnFt { .. } => 0x0173,
            Self::RnnId { .. } => 0x0213,
            Self::RftId { .. } => 0x0217,
            Self::RspnId { .. } => 0x0218,
            Self::RffId { .. } => 0x021f,
            Self::RsnnNn { .. } => 0x0239,
            Self::DaId { .. } => 0x0300,
        }
    }

    /// Takes a CT request apart; what cannot be answered says how to reject it.
    pub fn decode(payload: &[u8]) -> Result<Self, Reject> {
        let mut reader = Reader::new(payload);
        let header = Header::read(&mut reader).ok_or(Reject::BAD_SIZE)?;
        if (header.service, header.subtype) != (SERVICE_DIRECTORY, SUBTYPE_NAME_SERVER) {
            return Err(Reject::UNSUPPORTED);
        }
        Self::body(header.command, &mut reader).ok_or(Reject::BAD_SIZE)?
    }

    /// `None` where bytes are missing.
    fn body(code: u16, body: &mut Reader<'_>) -> Option<Result<Self, Reject>> {
        Some(Ok(match code {
            0x0112 => Self::GpnId { fcid: port(body)? },
            0x0113 => Self::GnnId { fcid: port(body)? },
            0x0117 => Self::GftId { fcid: port(body)? },
            0x0118 => Self::GspnId { fcid: port(body)? },
            0x011f => Self::GffId { fcid: port(body)? },
            0x0121 => Self::GidPn { wwpn: Wwn(body.u64()?) },
            0x0131 => Self::GidNn { wwnn: Wwn(body.u64()?) },
            0x0171 => Self::GidFt { fc4: scoped_type(body)? },
            0x0172 => Self::GpnFt { fc4: scoped_type(body)? },
            0x0173 => Self::GnnFt { fc4: scoped_type(body)? },
            0x0213 => Self::RnnId { fcid: port(body)?, wwnn: Wwn(body.u64()?) },
            0x0217 => Self::RftId { fcid: port(body)?, types: body.array()? },
            0x0218 => Self::RspnId { fcid: port(body)?, name: symbolic(body)? },
            0x021f => {
                let fcid = port(body)?;
                body.skip(2)?;
                Self::RffId { fcid, features: body.u8()?, fc4: body.u8()? }
            }
            0x0239 => Self::RsnnNn { wwnn: Wwn(body.u64()?), name: symbolic(body)? },
            0x0300 => Self::DaId { fcid: port(body)? },
            _ => return Some(Err(Reject::UNSUPPORTED)),
        }))
    }

    /// The whole CT request.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Header::directory(self.code()).write(&mut out);
        match self {
            Self::GpnId { fcid }
            | Self::GnnId { fcid }
            | Self::GftId { fcid }
            | Self::GspnId { fcid }
            | Self::GffId { fcid }
            | Self::DaId { fcid } => out.put_u32(fcid.0),
            Self::GidPn { wwpn: name } | Self::GidNn { wwnn: name } => {
                out.put_u64(name.0)
            }
            Self::GidFt { fc4 } | Self::GpnFt { fc4 } | Self::GnnFt { fc4 } => {
                out.put(&[0, 0, 0, *fc4]);
            }
            Self::RnnId { fcid, wwnn } => {
                out.put_u32(fcid.0);
                out.put_u64(wwnn.0);
            }
            Self::RftId { fcid, types } => {
                out.put_u32(fcid.0);
                out.put(types);
            }
            Self::RspnId { fcid, name } => {
                out.put_u32(fcid.0);
                out.put(&counted(name));
            }
            Self::RffId { fcid, features, fc4 } => {
                out.put_u32(fcid.0);
                out.put(&[0, 0, *features, *fc4]);
            }
            Self::RsnnNn { wwnn, name } => {
                out.put_u64(wwnn.0);
                out.put(&counted(name));
            }
        }
        out
    }
}

/// A port address object: one reserved byte, then the address.
fn port(body: &mut Reader<'_>) -> Option<Fcid> {
    body.skip(1)?;
    body.u24().map(Fcid)
}

/// Reserved, domain and area scope (this fabric has one of each), FC-4 type.
fn scoped_type(body: &mut Reader<'_>) -> Option<u8> {
    body.skip(3)?;
    body.u8()
}

fn symbolic(body: &mut Reader<'_>) -> Option<Vec<u8>> {
    let len = body.u8()?;
    body.take(usize::from(len)).map(<[u8]>::to_vec)
}

/// A symbolic name: a length byte, then at most 255 bytes.
pub fn counted(name: &[u8]) -> Vec<u8> {
    let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
    std::iter::once(len).chain(name.iter().copied().take(usize::from(len))).collect()
}

/// Why a CT request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// Reason code.
    pub reason: u8,
    /// Explanation.
    pub explanation: u8,
}

impl Reject {
    /// No such request here.
    pub const UNSUPPORTED: Self = Self { reason: 0x0b, explanation: 0 };
    /// Bytes are missing.
    pub const BAD_SIZE: Self = Self { reason: 0x04, explanation: 0 };
    /// Unable: the address is not registered. Linux then forgets the port.
    pub const NO_PORT: Self = Self { reason: 0x09, explanation: 0x01 };
    /// Unable: the port name is not registered.
    pub const NO_PORT_NAME: Self = Self { reason: 0x09, explanation: 0x02 };
    /// Unable: the node name is not registered.
    pub const NO_NODE_NAME: Self = Self { reason: 0x09, explanation: 0x03 };
    /// Unable: nothing with this FC-4 type. Linux takes it for an empty list.
    pub const NO_TYPE: Self = Self { reason: 0x09, explanation: 0x07 };
}

/// The answer to a request: what follows an accept's header, or a reject.
pub type Answer = Result<Vec<u8>, Reject>;

/// The CT answer.
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    match answer {
        Ok(body) => {
            Header::directory(ACCEPT).write(&mut out);
            out.put(body);
        }
        Err(Reject { reason, explanation }) => {
            let (reason, explanation) = (*reason, *explanation);
            Header { reason, explanation, ..Header::directory(REJECT) }.write(&mut out);
        }
    }
    out
}

/// Takes an answer apart.
pub fn decode_answer(payload: &[u8]) -> Option<Answer> {
    let mut reader = Reader::new(payload);
    let header = Header::read(&mut reader)?;
    match header.command {
        ACCEPT => Some(Ok(reader.rest().to_vec())),
        REJECT => {
            Some(Err(Reject { reason: header.reason, explanation: header.explanation }))
        }
        _ => None,
    }
}
