//! Reads and writes a device in whole pages, past the page cache.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

use super::PAGE;
use crate::kernel::Cause;

/// Opens a device for reads and writes past the page cache.
pub(super) fn open(
    options: &mut OpenOptions,
    flags: i32,
    device: &Path,
) -> Result<File, Cause> {
    let direct = options.custom_flags(flags | libc::O_DIRECT).open(device);
    direct.map_err(|e| Cause::of(&e))
}

/// Returns the size of a device. A block device's metadata does not have it, so this
/// seeks to the end.
pub(super) fn size(mut file: &File) -> Result<u64, Cause> {
    file.seek(SeekFrom::End(0)).map_err(|e| Cause::of(&e))
}

/// Reads whole pages from an offset, at least `length` bytes in all.
pub(super) fn read(file: &File, from: u64, length: usize) -> Result<Vec<u8>, Cause> {
    let mut pages = Pages::new(length);
    file.read_exact_at(pages.bytes(), from).map_err(|e| Cause::of(&e))?;
    Ok(pages.bytes().to_vec())
}

/// Writes a text, padded with zeros to whole pages, in one write.
pub(super) fn write(file: &File, to: u64, text: &str) -> Result<(), Cause> {
    let mut pages = Pages::new(text.len());
    pages.bytes().iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    match file.write_at(pages.bytes(), to).map_err(|e| Cause::of(&e))? {
        taken if taken == pages.bytes().len() => Ok(()),
        taken => Err(Cause::Short(taken)),
    }
}

/// Memory for whole pages, aligned as O_DIRECT requires.
struct Pages {
    room: Vec<u8>,
    skip: usize,
    length: usize,
}

impl Pages {
    fn new(bytes: usize) -> Self {
        let length = bytes.next_multiple_of(PAGE);
        let room = vec![0; length + PAGE];
        let skip = room.as_ptr().align_offset(PAGE).min(PAGE);
        Self { room, skip, length }
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.room.get_mut(self.skip..self.skip + self.length).unwrap_or_default()
    }
}
