//! CT_PASSTHRU and ELS_PASSTHRU: requests that the driver writes itself.

use understudy_fabric::addr::Fcid;

use crate::fields::{Entry, Fields, id_at};

/// A part of the guest's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Segment {
    /// The guest's address.
    pub address: u64,
    /// How many bytes.
    pub len: u32,
}

impl Segment {
    /// Returns the segment at a place: 8 bytes of address, 4 of length.
    pub fn at(fields: &impl Fields, at: usize) -> Self {
        Self { address: fields.u64(at), len: fields.u32(at + 8) }
    }

    /// Returns the segments of an entry that continues another one, five at most.
    pub fn continued(entry: &Entry) -> impl Iterator<Item = Self> {
        (0..5).map(|index| Self::at(entry, 4 + 12 * index))
    }
}

/// A CT_PASSTHRU entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ct {
    /// The driver's number for the server.
    pub handle: u16,
    /// The port of the HBA.
    pub vp: u8,
    /// Where the request is.
    pub request: Segment,
    /// Where the answer goes.
    pub answer: Segment,
}

impl Ct {
    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        let (request, answer) = (Segment::at(entry, 40), Segment::at(entry, 52));
        Self { handle: entry.u16(10), vp: entry.u8(14), request, answer }
    }

    /// Turns the entry into its answer, which says how many bytes came.
    pub fn finish(entry: &mut Entry, status: u16, len: u32) {
        entry.set_u16(8, status);
        entry.set_u32(32, len);
    }
}

/// An ELS_PASSTHRU entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Els {
    /// The port of the HBA.
    pub vp: u8,
    /// The ELS command.
    pub opcode: u8,
    /// The address of the other port.
    pub id: Fcid,
    /// Where the ELS is.
    pub request: Segment,
    /// Where the answer goes.
    pub answer: Segment,
}

impl Els {
    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        Self {
            vp: entry.u8(14),
            opcode: entry.u8(22),
            id: id_at(entry, 24),
            request: Segment::at(entry, 40),
            answer: Segment::at(entry, 52),
        }
    }

    /// Turns the entry into its answer. A failure has no length, and the reason where a
    /// success has the length.
    pub fn finish(entry: &mut Entry, status: u16, len: u32) {
        entry.set_u16(8, status);
        entry.set_u32(32, len);
        entry.clear(36, 8);
    }
}
