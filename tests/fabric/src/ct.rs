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

/// The CT header, with the fields that a name server needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The service (0xfc: directory).
    pub service: u8,
    /// The part of the service (2: name server).
    pub subtype: u8,
    /// The code of a request, or of an accept or reject.
    pub command: u16,
    /// The reason code of a reject.
    pub reason: u8,
    /// The explanation code of a reject.
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

    /// Takes a header off the front of a message.
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

/// The FC-4 types that a port has: one bit for each of 256, in the order of the wire.
pub type Fc4Types = [u8; 32];

/// Whether the bit of an FC-4 type is set: word `type / 32`, bit `type % 32`.
pub fn has_type(types: &Fc4Types, fc4: u8) -> bool {
    let byte = usize::from(fc4 / 32 * 4 + 3 - fc4 % 32 / 8);
    types.get(byte).is_some_and(|bits| bits >> (fc4 % 8) & 1 == 1)
}

/// Returns a map with one type in it.
pub fn one_type(fc4: u8) -> Fc4Types {
    let mut types = [0; 32];
    if let Some(byte) = types.get_mut(usize::from(fc4 / 32 * 4 + 3 - fc4 % 32 / 8)) {
        *byte = 1 << (fc4 % 8);
    }
    types
}

/// A request to the name server. Variants have the names of FC-GS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the standard's")]
pub enum Request {
    /// Ask for the port name of an address.
    GpnId { fcid: Fcid },
    /// Ask for the node name of an address.
    GnnId { fcid: Fcid },
    /// Ask for the FC-4 types of an address.
    GftId { fcid: Fcid },
    /// Ask for the symbolic port name of an address.
    GspnId { fcid: Fcid },
    /// Ask for the FC-4 features of an address.
    GffId { fcid: Fcid },
    /// Ask for the address of a port name.
    GidPn { wwpn: Wwn },
    /// Ask for the addresses of a node name.
    GidNn { wwnn: Wwn },
    /// Ask for all addresses with an FC-4 type.
    GidFt { fc4: u8 },
    /// Ask for all port names with an FC-4 type.
    GpnFt { fc4: u8 },
    /// Ask for all node names with an FC-4 type.
    GnnFt { fc4: u8 },
    /// Register the node name of an address.
    RnnId { fcid: Fcid, wwnn: Wwn },
    /// Register the FC-4 types of an address.
    RftId { fcid: Fcid, types: Fc4Types },
    /// Register the symbolic port name of an address.
    RspnId { fcid: Fcid, name: Vec<u8> },
    /// Register the features of one FC-4 type of an address.
    RffId { fcid: Fcid, features: u8, fc4: u8 },
    /// Register the symbolic name of a node.
    RsnnNn { wwnn: Wwn, name: Vec<u8> },
    /// Deregister everything of an address.
    DaId { fcid: Fcid },
}

impl Request {
    /// Returns the command code.
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

    /// Takes a CT request apart. The error is how to reject a request that cannot be
    /// answered.
    pub fn decode(payload: &[u8]) -> Result<Self, Reject> {
        let mut reader = Reader::new(payload);
        let header = Header::read(&mut reader).ok_or(Reject::BAD_SIZE)?;
        if (header.service, header.subtype) != (SERVICE_DIRECTORY, SUBTYPE_NAME_SERVER) {
            return Err(Reject::UNSUPPORTED);
        }
        Self::body(header.command, &mut reader).ok_or(Reject::BAD_SIZE)?
    }

    /// Takes the body of a request apart. Returns `None` where bytes are missing.
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

    /// Returns the whole CT request.
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

/// Takes a port address object: one reserved byte, then the address.
fn port(body: &mut Reader<'_>) -> Option<Fcid> {
    body.skip(1)?;
    body.u24().map(Fcid)
}

/// Takes the FC-4 type of a request. The three bytes before it are a reserved one, and
/// the domain and area to search. This fabric has one domain and one area, so these are
/// passed over.
fn scoped_type(body: &mut Reader<'_>) -> Option<u8> {
    body.skip(3)?;
    body.u8()
}

fn symbolic(body: &mut Reader<'_>) -> Option<Vec<u8>> {
    let len = body.u8()?;
    body.take(usize::from(len)).map(<[u8]>::to_vec)
}

/// Returns a symbolic name as the wire has it: a length byte, then at most 255 bytes.
pub fn counted(name: &[u8]) -> Vec<u8> {
    let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
    std::iter::once(len).chain(name.iter().copied().take(usize::from(len))).collect()
}

/// Why a CT request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The reason code.
    pub reason: u8,
    /// The explanation code.
    pub explanation: u8,
}

impl Reject {
    /// The name server does not know this request.
    pub const UNSUPPORTED: Self = Self { reason: 0x0b, explanation: 0 };
    /// Bytes of the request are missing.
    pub const BAD_SIZE: Self = Self { reason: 0x04, explanation: 0 };
    /// Unable: the address is not registered. Linux then forgets the port.
    pub const NO_PORT: Self = Self { reason: 0x09, explanation: 0x01 };
    /// Unable: the port name is not registered.
    pub const NO_PORT_NAME: Self = Self { reason: 0x09, explanation: 0x02 };
    /// Unable: the node name is not registered.
    pub const NO_NODE_NAME: Self = Self { reason: 0x09, explanation: 0x03 };
    /// Unable: no port has this FC-4 type. Linux takes that for an empty list.
    pub const NO_TYPE: Self = Self { reason: 0x09, explanation: 0x07 };
}

/// The answer to a request: the bytes after an accept's header, or a reject.
pub type Answer = Result<Vec<u8>, Reject>;

/// Returns the whole CT answer.
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

/// Takes a CT answer apart.
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
