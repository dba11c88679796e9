//! Fields of little-endian structures, such as the entries of a ring.

use understudy_fabric::addr::Fcid;

/// Length of a ring's entry, in bytes.
pub const ENTRY_LEN: usize = 64;

/// Reads fields at fixed places. What lies beyond the end reads as 0: structures come from
/// a guest, and a short one must do no harm.
pub trait Fields {
    /// Returns the bytes.
    fn bytes(&self) -> &[u8];

    /// Returns `N` bytes.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let tail = self.bytes().get(at..).unwrap_or_default();
        tail.first_chunk::<N>().copied().unwrap_or([0; N])
    }

    /// Returns a byte.
    fn u8(&self, at: usize) -> u8 {
        self.array::<1>(at)[0]
    }

    /// Returns two bytes as a number.
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    /// Returns four bytes as a number.
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    /// Returns eight bytes as a number.
    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    /// Returns `N` bytes with the order turned round in each group of four, as the chip has
    /// what goes over the wire.
    fn swapped<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = self.array::<N>(at);
        bytes.chunks_mut(4).for_each(<[u8]>::reverse);
        bytes
    }

    /// Returns eight bytes as a number, the highest first, as names are written.
    fn name(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }
}

impl Fields for [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Fields for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// An entry of a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub [u8; ENTRY_LEN]);

impl Entry {
    /// Returns an entry of a type, which is all 0 otherwise. It is one entry long.
    pub fn new(kind: u8) -> Self {
        let mut this = Self([0; ENTRY_LEN]);
        this.set(0, &[kind, 1]);
        this
    }

    /// Returns the type.
    pub fn kind(&self) -> u8 {
        self.u8(0)
    }

    /// Returns how many entries of the ring belong together, this one included.
    pub fn count(&self) -> u8 {
        self.u8(1)
    }

    /// Returns the number by which the driver knows its request.
    pub fn handle(&self) -> u32 {
        self.u32(4)
    }

    /// Writes bytes at a place.
    pub fn set(&mut self, at: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }

    /// Writes a number of two bytes.
    pub fn set_u16(&mut self, at: usize, value: u16) {
        self.set(at, &value.to_le_bytes());
    }

    /// Writes a number of four bytes.
    pub fn set_u32(&mut self, at: usize, value: u32) {
        self.set(at, &value.to_le_bytes());
    }

    /// Writes 0 into `n` bytes.
    pub fn clear(&mut self, at: usize, n: usize) {
        for byte in self.0.iter_mut().skip(at).take(n) {
            *byte = 0;
        }
    }
}

impl Fields for Entry {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for word in self.0.chunks(4) {
            for byte in word {
                write!(f, "{byte:02x}")?;
            }
            write!(f, " ")?;
        }
        Ok(())
    }
}

/// Returns an address of the fabric as a structure of the chip has it: the low byte first.
pub fn id_bytes(id: Fcid) -> [u8; 3] {
    let [low, middle, high, _] = id.0.to_le_bytes();
    [low, middle, high]
}

/// Returns the address that a structure has at a place, the low byte first.
pub fn id_at(fields: &impl Fields, at: usize) -> Fcid {
    let [low, middle, high] = fields.array(at);
    Fcid(u32::from_le_bytes([low, middle, high, 0]))
}

/// Returns bytes with the order turned round in each group of four, as the chip does with
/// what it takes for numbers. A group that is cut short is filled with 0.
pub fn swap_words(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().next_multiple_of(4));
    for word in bytes.chunks(4) {
        let mut whole = [0; 4];
        for (to, from) in whole.iter_mut().zip(word) {
            *to = *from;
        }
        whole.reverse();
        out.extend_from_slice(&whole);
    }
    out
}
