//! The rings in the guest's memory: entries of 64 bytes, with an index of their own for
//! each side.

use std::collections::VecDeque;

use crate::fields::{ENTRY_LEN, Entry, Fields};
use crate::pci::{Fault, GuestMemory};

/// Where a ring is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ring {
    /// The guest's address of the first entry.
    pub address: u64,
    /// The number of entries.
    pub length: u32,
}

impl Ring {
    /// Whether the ring can hold an entry, and all of it has addresses.
    pub fn is_usable(self) -> bool {
        let len = u64::from(self.length) * ENTRY_LEN as u64;
        self.length >= 2 && self.address.checked_add(len).is_some()
    }

    /// Returns the index after one.
    fn next(self, index: u32) -> u32 {
        if index + 1 < self.length { index + 1 } else { 0 }
    }

    /// Returns the guest's address of an entry.
    fn slot(self, index: u32) -> Option<u64> {
        let offset = u64::from(index) * ENTRY_LEN as u64;
        self.address.checked_add(offset).filter(|_| index < self.length)
    }
}

/// The request ring: the driver writes, firmware reads.
#[derive(Debug, Default)]
pub struct Requests {
    ring: Ring,
    out: u32,
}

impl Requests {
    /// Returns an empty ring. `out` is the first entry that will be read.
    pub fn new(ring: Ring, out: u32) -> Self {
        Self { ring, out: if out < ring.length { out } else { 0 } }
    }

    /// Returns the index of the entry that is read next.
    pub fn out(&self) -> u32 {
        self.out
    }

    /// Whether an index is one of the ring's.
    pub fn has(&self, index: u32) -> bool {
        index < self.ring.length
    }

    /// Takes the next entry before the index `end`, if there is one. An `end` outside the
    /// ring stands for no entry.
    pub fn take(
        &mut self,
        end: u32,
        memory: &GuestMemory,
    ) -> Option<Result<Entry, Fault>> {
        if !self.has(end) || self.out == end {
            return None;
        }
        let slot = self.ring.slot(self.out)?;
        self.out = self.ring.next(self.out);
        let mut entry = Entry([0; ENTRY_LEN]);
        Some(memory.read(slot, &mut entry.0).map(|()| entry))
    }
}

/// A ring that firmware writes: the response ring, or the ATIO ring. Entries for which
/// there is no room wait.
#[derive(Debug, Default)]
pub struct Responses {
    ring: Ring,
    /// The next entry to write.
    end: u32,
    /// The first entry that the driver has not read.
    start: u32,
    waiting: VecDeque<Entry>,
}

impl Responses {
    /// Returns an empty ring. `index` is the first entry that will be written.
    pub fn new(ring: Ring, index: u32) -> Self {
        let index = if index < ring.length { index } else { 0 };
        Self { ring, end: index, start: index, waiting: VecDeque::new() }
    }

    /// Notes how far the driver has read. An index outside the ring is ignored.
    pub fn read_up_to(&mut self, start: u32) {
        if start < self.ring.length {
            self.start = start;
        }
    }

    /// Adds an entry. [`Self::write`] brings it to the driver.
    pub fn push(&mut self, entry: Entry) {
        self.waiting.push_back(entry);
    }

    /// Returns how many entries wait for room.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes the entries for which there is room. Returns the index after the last one,
    /// if one was written. An entry that cannot be written is lost.
    pub fn write(&mut self, memory: &GuestMemory) -> Option<u32> {
        let before = self.end;
        while self.ring.next(self.end) != self.start {
            let slot = self.ring.slot(self.end)?;
            let Some(entry) = self.waiting.pop_front() else { break };
            match put(slot, &entry, memory) {
                Ok(()) => self.end = self.ring.next(self.end),
                Err(fault) => log::warn!("an entry of a ring is lost: {fault}"),
            }
        }
        (self.end != before).then_some(self.end)
    }
}

/// Writes an entry, its last four bytes last: in the ATIO ring these tell the driver that
/// the entry is whole.
fn put(slot: u64, entry: &Entry, memory: &GuestMemory) -> Result<(), Fault> {
    let (body, signature) = (entry.array::<60>(0), entry.array::<4>(60));
    memory.write(slot, &body)?;
    memory.write(slot.saturating_add(60), &signature)
}
