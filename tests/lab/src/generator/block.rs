//! Blocks on a disk, and the stamp in each. The stamp says which disk and which block
//! this is, and which write it holds.

use std::sync::LazyLock;

/// Size of a block, which is the size of every request.
pub const SIZE: usize = 64 * 1024;
/// Size of the smallest part of a block that can be lost.
const SECTOR: usize = 512;
/// Size of the stamp at the beginning of a sector: four words.
const HEAD: usize = 32;

/// Random bytes for the rest of a sector. No two places in them are alike.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(SIZE as u64);
    std::iter::repeat_with(|| random.u8(..)).take(2 * SIZE).collect()
});

/// A buffer for direct I/O.
#[repr(C, align(4096))]
#[derive(Clone)]
pub struct Buffer(pub [u8; SIZE]);

impl Buffer {
    /// Returns an empty buffer.
    pub fn new() -> Box<Self> {
        Box::new(Self([0; SIZE]))
    }
}

/// The stamp of a block: what the block must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The run of the generator that wrote the block.
    pub run: u64,
    /// The disk's number in this run.
    pub disk: u32,
    /// The block's number on the disk.
    pub block: u32,
    /// The number of the write, among all writes of the run.
    pub write: u64,
}

impl Stamp {
    /// Fills a buffer with the stamp. Every sector begins with the stamp and the sector's
    /// number.
    pub fn fill(&self, buffer: &mut Buffer) {
        let place = u64::from(self.disk) << 32 | u64::from(self.block);
        // Each write uses another part of the noise.
        let first = self.write.wrapping_mul(0x9e37_79b9) as usize % SIZE;
        let noise = NOISE.get(first..).unwrap_or_default().chunks_exact(SECTOR);
        let sectors = buffer.0.chunks_exact_mut(SECTOR);
        for ((number, sector), noise) in (0_u64..).zip(sectors).zip(noise) {
            let (head, rest) = sector.split_at_mut(HEAD);
            let words = [self.run, place, self.write, number];
            for (to, value) in head.chunks_exact_mut(8).zip(words) {
                to.copy_from_slice(&value.to_le_bytes());
            }
            rest.copy_from_slice(noise.get(HEAD..).unwrap_or_default());
        }
    }

    /// Returns the stamp at the beginning of a sector, and the sector's number, as they
    /// were read.
    fn read(sector: &[u8]) -> Option<(Self, u64)> {
        let mut words = sector
            .chunks_exact(8)
            .filter_map(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        let mut next = || words.next();
        let (run, place, write, number) = (next()?, next()?, next()?, next()?);
        let (disk, block) = ((place >> 32) as u32, place as u32);
        Some((Self { run, disk, block, write }, number))
    }

    /// Returns in what a buffer differs from this stamp, in words, if it does. `wanted`
    /// is a buffer that the stamp has filled.
    pub fn differs(&self, wanted: &Buffer, found: &Buffer) -> Option<String> {
        let sectors = || wanted.0.chunks_exact(SECTOR).zip(found.0.chunks_exact(SECTOR));
        let wrong = sectors().filter(|(wanted, found)| wanted != found).count();
        let (at, (_, sector)) =
            sectors().enumerate().find(|(_, (wanted, found))| wanted != found)?;
        let what = match Self::read(sector) {
            _ if sector.iter().all(|byte| *byte == 0) => "zeros".to_owned(),
            Some((stamp, _)) if stamp.run != self.run => "nothing of this run".to_owned(),
            Some((stamp, _)) if stamp == *self => {
                "its stamp, and a damaged rest".to_owned()
            }
            Some((stamp, number)) => format!(
                "write {} of disk {}, block {}, sector {number}",
                stamp.write, stamp.disk, stamp.block
            ),
            None => "less than a sector".to_owned(),
        };
        Some(format!(
            "{wrong} of {} sectors are not write {} of disk {}; sector {at} is {what}",
            SIZE / SECTOR,
            self.write,
            self.disk
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { run: 77, disk: 3, block: 9, write: 12 };

    fn filled(stamp: Stamp) -> Box<Buffer> {
        let mut buffer = Buffer::new();
        stamp.fill(&mut buffer);
        buffer
    }

    fn found(change: impl FnOnce(&mut Buffer)) -> Option<String> {
        let mut buffer = filled(STAMP);
        change(&mut buffer);
        STAMP.differs(&filled(STAMP), &buffer)
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        assert_eq!(found(|_| ()), None);
    }

    #[test]
    fn every_way_to_lose_a_write_has_words_of_its_own() {
        let old = filled(Stamp { write: 11, ..STAMP });
        let said = found(|buffer| buffer.0 = old.0).unwrap_or_default();
        assert!(
            said.starts_with("128 of 128 sectors are not write 12 of disk 3"),
            "{said}"
        );
        assert!(said.ends_with("sector 0 is write 11 of disk 3, block 9, sector 0"));
        let torn = found(|buffer| {
            buffer.0[SECTOR..2 * SECTOR].copy_from_slice(&old.0[SECTOR..2 * SECTOR]);
        });
        assert!(torn.unwrap_or_default().starts_with("1 of 128"));
        let gone = found(|buffer| buffer.0 = [0; SIZE]).unwrap_or_default();
        assert!(gone.ends_with("sector 0 is zeros"));
        let foreign = filled(Stamp { run: 78, ..STAMP });
        let other = found(|buffer| buffer.0 = foreign.0).unwrap_or_default();
        assert!(other.ends_with("nothing of this run"));
        let bit = found(|buffer| buffer.0[SIZE - 1] ^= 1).unwrap_or_default();
        assert!(bit.ends_with("sector 127 is its stamp, and a damaged rest"), "{bit}");
    }
}
