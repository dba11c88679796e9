//! Ethernet, FCoE encapsulation and the FC frame header.
//!
//! Formats: FC-BB-5 (FCoE), FC-FS (header); include/uapi/scsi/fc/fc_fs.h and
//! include/scsi/fc/fc_fcoe.h in Linux.

use crate::addr::{Fcid, Mac};
use crate::bytes::{Put, Reader};
use crate::crc::crc32;

/// Ethertype of FIP.
pub const ETHERTYPE_FIP: u16 = 0x8914;
/// Ethertype of FCoE.
pub const ETHERTYPE_FCOE: u16 = 0x8906;

/// Start of the first frame of a class 3 sequence.
pub const SOF_I3: u8 = 0x2e;
/// Start of a later frame of a class 3 sequence.
pub const SOF_N3: u8 = 0x36;
/// End of a frame after which more frames of the sequence follow.
pub const EOF_N: u8 = 0x41;
/// End of the last frame of a sequence.
pub const EOF_T: u8 = 0x42;

/// F_CTL of an answer that ends its exchange: responder, last, end of sequence.
pub const FCTL_REPLY: u32 = 0x98_0000;
/// F_CTL of a frame inside an answer: responder, last sequence.
pub const FCTL_REPLY_MORE: u32 = 0x90_0000;
/// F_CTL of a request: first, end of sequence, initiative handed over.
pub const FCTL_REQUEST: u32 = 0x29_0000;
/// An exchange ID that nobody has assigned yet.
pub const XID_UNKNOWN: u16 = 0xffff;

/// Length of the Ethernet header, and of the FCoE header, in bytes.
const HEADER_LEN: usize = 14;
/// Length of what follows the FC frame: CRC, EOF and three reserved bytes.
const TRAILER_LEN: usize = 8;

/// An Ethernet frame, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ethernet<'a> {
    /// The destination address.
    pub dst: Mac,
    /// The source address.
    pub src: Mac,
    /// The protocol of the payload.
    pub ethertype: u16,
    /// The bytes after the header.
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Takes an Ethernet frame apart. Returns `None` where bytes are missing.
    pub fn decode(frame: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(frame);
        let dst = Mac(reader.array()?);
        let src = Mac(reader.array()?);
        let ethertype = reader.u16()?;
        Some(Self { dst, src, ethertype, payload: reader.rest() })
    }

    /// Returns the whole Ethernet frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER_LEN + self.payload.len());
        frame.put(&self.dst.0);
        frame.put(&self.src.0);
        frame.put_u16(self.ethertype);
        frame.put(self.payload);
        frame
    }
}

/// Replaces a frame's Ethernet addresses. All else is left alone, the CRC included.
pub fn readdress(frame: &mut [u8], dst: Mac, src: Mac) {
    if let Some(addresses) = frame.first_chunk_mut::<12>() {
        let both = dst.0.into_iter().chain(src.0);
        for (old, new) in addresses.iter_mut().zip(both) {
            *old = new;
        }
    }
}

/// The FC frame header, 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FcHeader {
    /// Routing control: what kind of frame this is.
    pub r_ctl: u8,
    /// The destination address.
    pub d_id: Fcid,
    /// Class-specific control.
    pub cs_ctl: u8,
    /// The source address.
    pub s_id: Fcid,
    /// The protocol of the payload (1 ELS, 8 FCP, 0x20 CT).
    pub fc_type: u8,
    /// Frame control, 24 bits.
    pub f_ctl: u32,
    /// The sequence's ID.
    pub seq_id: u8,
    /// The optional headers that follow.
    pub df_ctl: u8,
    /// The frame's number in its sequence.
    pub seq_cnt: u16,
    /// The originator's exchange ID.
    pub ox_id: u16,
    /// The responder's exchange ID.
    pub rx_id: u16,
    /// The parameter, whose meaning depends on the kind of frame.
    pub parameter: u32,
}

impl FcHeader {
    /// Takes a header off the front of a frame.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            r_ctl: reader.u8()?,
            d_id: Fcid(reader.u24()?),
            cs_ctl: reader.u8()?,
            s_id: Fcid(reader.u24()?),
            fc_type: reader.u8()?,
            f_ctl: reader.u24()?,
            seq_id: reader.u8()?,
            df_ctl: reader.u8()?,
            seq_cnt: reader.u16()?,
            ox_id: reader.u16()?,
            rx_id: reader.u16()?,
            parameter: reader.u32()?,
        })
    }

    /// Appends the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_u8(self.r_ctl);
        out.put_u24(self.d_id.0);
        out.put_u8(self.cs_ctl);
        out.put_u24(self.s_id.0);
        out.put_u8(self.fc_type);
        out.put_u24(self.f_ctl);
        out.put_u8(self.seq_id);
        out.put_u8(self.df_ctl);
        out.put_u16(self.seq_cnt);
        out.put_u16(self.ox_id);
        out.put_u16(self.rx_id);
        out.put_u32(self.parameter);
    }

    /// Returns the header of an FCoE frame (the Ethernet payload), and looks no further.
    /// Relaying needs nothing else.
    pub fn peek(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        reader.skip(HEADER_LEN)?;
        Self::read(&mut reader)
    }

    /// Returns the header of a one-frame answer to this request.
    pub fn reply(&self, r_ctl: u8) -> Self {
        Self {
            r_ctl,
            d_id: self.s_id,
            s_id: self.d_id,
            cs_ctl: 0,
            fc_type: self.fc_type,
            f_ctl: FCTL_REPLY,
            seq_id: 0,
            df_ctl: 0,
            seq_cnt: 0,
            ox_id: self.ox_id,
            rx_id: self.rx_id,
            parameter: 0,
        }
    }
}

/// An FC frame as FCoE carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fcoe<'a> {
    /// The start-of-frame byte.
    pub sof: u8,
    /// The header.
    pub header: FcHeader,
    /// The payload, without fill bytes.
    pub payload: &'a [u8],
    /// The end-of-frame byte.
    pub eof: u8,
}

impl<'a> Fcoe<'a> {
    /// Takes apart what follows the Ethernet header. Returns `None` where the CRC is
    /// wrong or bytes are missing.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()? >> 4;
        reader.skip(HEADER_LEN - 2)?;
        let sof = reader.u8()?;
        let fc = reader.take(reader.rest().len().checked_sub(TRAILER_LEN)?)?;
        let crc = reader.array().map(u32::from_le_bytes)?;
        let eof = reader.u8()?;
        if version != 0 || crc != crc32(fc) {
            return None;
        }
        let mut reader = Reader::new(fc);
        let header = FcHeader::read(&mut reader)?;
        let fill = usize::try_from(header.f_ctl & 3).ok()?;
        let len = reader.rest().len().checked_sub(fill)?;
        Some(Self { sof, header, payload: reader.take(len)?, eof })
    }

    /// Returns the whole Ethernet frame. The number of fill bytes is put into F_CTL.
    pub fn encode(&self, dst: Mac, src: Mac) -> Vec<u8> {
        let fill = self.payload.len().wrapping_neg() & 3;
        let f_ctl = self.header.f_ctl & !3 | u32::try_from(fill).unwrap_or(0);
        let mut fc = Vec::with_capacity(24 + self.payload.len() + fill);
        FcHeader { f_ctl, ..self.header }.write(&mut fc);
        fc.put(self.payload);
        fc.put_zeros(fill);

        let mut frame = Vec::with_capacity(2 * HEADER_LEN + fc.len() + TRAILER_LEN);
        frame.put(&dst.0);
        frame.put(&src.0);
        frame.put_u16(ETHERTYPE_FCOE);
        frame.put_zeros(HEADER_LEN - 1);
        frame.put_u8(self.sof);
        frame.put(&fc);
        frame.put(&crc32(&fc).to_le_bytes());
        frame.put_u8(self.eof);
        frame.put_zeros(3);
        frame
    }
}
