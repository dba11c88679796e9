//! The guest's memory, which the device reads and writes directly.
//!
//! Each part of it is a file of QEMU's (`memory-backend-memfd,share=on`), and every access
//! is a system call on that file: the kernel copies. So there is no pointer into memory that
//! a guest changes at the same time, and a file that QEMU has cut short is an error instead
//! of a signal.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The largest number of maps at a time. A PC has a dozen.
const MAX_MAPS: usize = 1024;

/// The error for an access outside the memory that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no guest memory for {len} bytes at {address:#x}")]
pub struct Fault {
    /// The guest's address of the first byte.
    pub address: u64,
    /// How many bytes were to be read or written.
    pub len: usize,
}

/// Why a map is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The map is empty, or it ends beyond the last address.
    #[error("a map whose size is out of range")]
    Size,
    /// A part of the map is mapped already.
    #[error("a map over another one")]
    Overlap,
    /// The file is shorter than the map.
    #[error("a map of more than the file has")]
    File,
    /// So many maps are too many.
    #[error("more than {MAX_MAPS} maps")]
    TooMany,
}

/// A part of the guest's memory.
#[derive(Debug)]
struct Map {
    /// The guest's address of the first byte.
    address: u64,
    /// The guest's address of the last byte.
    last: u64,
    /// Where the first byte is in the file.
    offset: u64,
    /// The file. Parts that a device cannot reach, such as ROMs, have none.
    file: Option<File>,
    /// Whether the device may write.
    writable: bool,
}

/// All of the guest's memory.
#[derive(Debug, Default)]
pub struct GuestMemory {
    maps: Vec<Map>,
}

impl GuestMemory {
    /// Adds `size` bytes at a guest's address, which are in `file` from `offset` on.
    pub fn map(
        &mut self,
        address: u64,
        size: u64,
        offset: u64,
        file: Option<File>,
        writable: bool,
    ) -> Result<(), MapError> {
        let end = size.checked_sub(1).and_then(|more| address.checked_add(more));
        let last = end.ok_or(MapError::Size)?;
        let in_file = offset.checked_add(size).ok_or(MapError::Size)?;
        if self.maps.iter().any(|map| map.address <= last && address <= map.last) {
            return Err(MapError::Overlap);
        }
        if self.maps.len() >= MAX_MAPS {
            return Err(MapError::TooMany);
        }
        if let Some(file) = &file {
            let len = file.metadata().map_err(|_| MapError::File)?.len();
            if in_file > len {
                return Err(MapError::File);
            }
        }
        self.maps.push(Map { address, last, offset, file, writable });
        Ok(())
    }

    /// Removes the maps that lie within `size` bytes at an address. Returns whether there
    /// was one.
    pub fn unmap(&mut self, address: u64, size: u64) -> bool {
        let last = address.saturating_add(size.saturating_sub(1));
        let before = self.maps.len();
        self.maps.retain(|map| map.address < address || map.last > last);
        self.maps.len() < before
    }

    /// Removes all maps.
    pub fn clear(&mut self) {
        self.maps.clear();
    }

    /// Fills `buffer` with the bytes at a guest's address.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { address, len: buffer.len() };
        let mut rest = buffer;
        let mut at = address;
        while !rest.is_empty() {
            let (file, offset, room, _) = self.find(at).ok_or(fault)?;
            let (piece, more) = rest.split_at_mut(room.min(rest.len()));
            file.read_exact_at(piece, offset).map_err(|_| fault)?;
            if !more.is_empty() {
                at = next(at, piece.len()).ok_or(fault)?;
            }
            rest = more;
        }
        Ok(())
    }

    /// Writes bytes at a guest's address: all of them, or none where a part of the range
    /// is not the device's to write.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        let fault = Fault { address, len: bytes.len() };
        let mut pieces = Vec::new();
        let mut rest = bytes;
        let mut at = address;
        while !rest.is_empty() {
            let (file, offset, room, writable) = self.find(at).ok_or(fault)?;
            if !writable {
                return Err(fault);
            }
            let (piece, more) = rest.split_at(room.min(rest.len()));
            pieces.push((file, offset, piece));
            if !more.is_empty() {
                at = next(at, piece.len()).ok_or(fault)?;
            }
            rest = more;
        }
        for (file, offset, piece) in pieces {
            file.write_all_at(piece, offset).map_err(|_| fault)?;
        }
        Ok(())
    }

    /// Returns the bytes at a guest's address.
    pub fn read_vec(&self, address: u64, len: usize) -> Result<Vec<u8>, Fault> {
        let mut buffer = vec![0; len];
        self.read(address, &mut buffer)?;
        Ok(buffer)
    }

    /// Returns the file that has an address, where the address is in the file, how many
    /// bytes of the map begin there, and whether they may be written.
    fn find(&self, address: u64) -> Option<(&File, u64, usize, bool)> {
        let holds = |map: &&Map| map.address <= address && address <= map.last;
        let map = self.maps.iter().find(holds)?;
        let file = map.file.as_ref()?;
        let room = (map.last - address).saturating_add(1);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        Some((file, map.offset + (address - map.address), room, map.writable))
    }
}

fn next(address: u64, len: usize) -> Option<u64> {
    u64::try_from(len).ok().and_then(|len| address.checked_add(len))
}
