//! The data of an entry in the guest's memory: a list of segments.

use crate::chip::iocb::{Segment, kind};
use crate::fields::Entry;
use crate::pci::GuestMemory;

/// The longest transfer of one entry: Linux asks for 65535 blocks at most.
const LONGEST: u32 = 32 << 20;

/// Where the data of an entry is, or where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Segments(Vec<Segment>);

impl Segments {
    /// Returns the segments of an entry, up to the length of its data. The entry has the
    /// first one of `count`, and those that continue it have the others. Returns `None`
    /// where the segments are too few, or the data is too long.
    pub(super) fn gather(
        first: Segment,
        rest: &[Entry],
        count: u16,
        length: u32,
    ) -> Option<Self> {
        if length > LONGEST {
            return None;
        }
        let continued = rest
            .iter()
            .filter(|entry| entry.kind() == kind::CONTINUE)
            .flat_map(Segment::continued);
        let all = std::iter::once(first).chain(continued).take(usize::from(count));
        let segments = Self(all.collect());
        segments.stretch(0, length).map(Self)
    }

    /// Returns `len` bytes of the data, from `skip` on. Returns `None` where they are not
    /// all in the guest's memory.
    pub(super) fn read(
        &self,
        skip: u32,
        len: u32,
        memory: &GuestMemory,
    ) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for Segment { address, len } in self.stretch(skip, len)? {
            let len = usize::try_from(len).ok()?;
            bytes.extend(memory.read_vec(address, len).ok()?);
        }
        Some(bytes)
    }

    /// Writes bytes into the data, from `skip` on. Returns whether all had room.
    pub(super) fn write(&self, skip: u32, bytes: &[u8], memory: &GuestMemory) -> bool {
        let len = u32::try_from(bytes.len()).ok();
        let Some(parts) = len.and_then(|len| self.stretch(skip, len)) else {
            return false;
        };
        let mut rest = bytes;
        parts.into_iter().all(|Segment { address, len }| {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let (piece, more) = rest.split_at(len.min(rest.len()));
            rest = more;
            memory.write(address, piece).is_ok()
        })
    }

    /// Returns the parts of the segments that have `len` bytes, from `skip` on. Returns
    /// `None` where the segments are shorter than that.
    fn stretch(&self, skip: u32, len: u32) -> Option<Vec<Segment>> {
        let (mut skip, mut left) = (skip, len);
        let mut parts = Vec::new();
        for segment in &self.0 {
            let begin = skip.min(segment.len);
            skip -= begin;
            let len = (segment.len - begin).min(left);
            left -= len;
            if len > 0 {
                let address = segment.address.checked_add(u64::from(begin))?;
                parts.push(Segment { address, len });
            }
        }
        (left == 0).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where the guest's memory begins, and its size.
    const MEMORY: u64 = 0x4000;
    const LEN: usize = 0x2000;

    fn memory() -> GuestMemory {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN as u64).unwrap();
        let mut memory = GuestMemory::default();
        memory.map(MEMORY, LEN as u64, 0, Some(file), true).unwrap();
        memory
    }

    /// Segments that do not overlap, and lie side by side with gaps.
    fn segments() -> impl Strategy<Value = Segments> {
        prop::collection::vec((0..64_u32, 0..200_u32), 0..20).prop_map(|parts| {
            let mut address = MEMORY;
            Segments(
                parts
                    .into_iter()
                    .map(|(gap, len)| {
                        let segment = Segment { address, len };
                        address += u64::from(gap + len);
                        segment
                    })
                    .collect(),
            )
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            segments in segments(),
            bytes in prop::collection::vec(any::<u8>(), 0..4000),
            skip in 0..300_u32,
        ) {
            let memory = memory();
            let room: u32 = segments.0.iter().map(|segment| segment.len).sum();
            let len = u32::try_from(bytes.len()).unwrap();
            let fits = segments.write(skip, &bytes, &memory);
            prop_assert_eq!(fits, bytes.is_empty() || skip + len <= room);
            if fits {
                prop_assert_eq!(segments.read(skip, len, &memory), Some(bytes));
            } else {
                prop_assert_eq!(memory.read_vec(MEMORY, LEN).unwrap(), vec![0; LEN]);
            }
        }
    }

    #[test]
    fn segments_that_are_too_few_are_none() {
        let first = Segment { address: MEMORY, len: 100 };
        let mut more = Entry::new(kind::CONTINUE);
        more.set(4, &MEMORY.to_le_bytes());
        more.set_u32(12, 50);
        assert!(Segments::gather(first, &[more], 2, 150).is_some());
        assert!(Segments::gather(first, &[more], 2, 151).is_none());
        assert!(Segments::gather(first, &[more], 1, 150).is_none());
        assert!(Segments::gather(first, &[], 2, 150).is_none());
        assert!(Segments::gather(first, &[Entry::new(kind::CTIO)], 2, 150).is_none());
        let huge = Segment { len: u32::MAX, ..first };
        assert!(Segments::gather(huge, &[], 1, LONGEST).is_some());
        assert!(Segments::gather(huge, &[], 1, LONGEST + 1).is_none());
    }

    #[test]
    fn an_address_beyond_the_last_is_none() {
        let last = Segment { address: u64::MAX - 3, len: 100 };
        let segments = Segments::gather(last, &[], 1, 100).unwrap();
        assert!(!segments.write(10, &[1], &memory()));
        assert_eq!(segments.read(0, 8, &memory()), None);
    }
}
