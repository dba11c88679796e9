//! A capture of every frame, with its link and direction, for Wireshark.
//!
//! Format: pcapng (draft-ietf-opsawg-pcapng), with one interface for each link, and times
//! in microseconds.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::bytes::Put;
use crate::port::LinkId;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET: u16 = 1;
const OPTION_IF_NAME: u16 = 2;
const OPTION_PACKET_FLAGS: u16 = 2;

/// How many bytes are buffered at most. Then they are written, whatever the time.
const BUFFER_SIZE: usize = 1 << 20;

/// The direction of a frame, as the format numbers it.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Direction {
    /// From a node.
    Received = 1,
    /// To a node.
    Sent = 2,
}

/// A capture file. Whole blocks are written only, so it can be read at any time.
#[derive(Debug)]
pub struct Capture {
    file: File,
    buffer: Vec<u8>,
    snap: usize,
}

impl Capture {
    /// Begins a capture, with one interface for each link. Of each frame, it keeps the
    /// first `snap` bytes.
    pub fn create(path: &Path, links: &[String], snap: usize) -> io::Result<Self> {
        let mut capture = Self { file: File::create(path)?, buffer: Vec::new(), snap };
        capture.block(SECTION_HEADER, |body| {
            body.put(&BYTE_ORDER.to_le_bytes());
            body.put(&1_u32.to_le_bytes());
            body.put(&(-1_i64).to_le_bytes());
        });
        for name in links {
            capture.block(INTERFACE, |body| {
                body.put(&u32::from(LINKTYPE_ETHERNET).to_le_bytes());
                body.put_zeros(4);
                option(body, OPTION_IF_NAME, name.as_bytes());
                body.put_zeros(4);
            });
        }
        capture.flush()?;
        Ok(capture)
    }

    /// Adds a frame. `time` is since 1970.
    pub fn frame(
        &mut self,
        link: LinkId,
        direction: Direction,
        time: Duration,
        frame: &[u8],
    ) -> io::Result<()> {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).to_le_bytes();
        let [a, b, c, d, high @ ..] = micros;
        let interface = u32::try_from(link.0).unwrap_or(u32::MAX);
        let kept = frame.get(..self.snap).unwrap_or(frame);
        self.block(ENHANCED_PACKET, |body| {
            body.put(&interface.to_le_bytes());
            body.put(&high);
            body.put(&[a, b, c, d]);
            body.put(&len(kept));
            body.put(&len(frame));
            body.put(kept);
            pad(body);
            option(body, OPTION_PACKET_FLAGS, &(direction as u32).to_le_bytes());
            body.put_zeros(4);
        });
        if self.buffer.len() >= BUFFER_SIZE { self.flush() } else { Ok(()) }
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Returns whether something is buffered.
    pub fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Appends a block: type, length, body, length again.
    fn block(&mut self, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.put(&kind.to_le_bytes());
        self.buffer.put_zeros(4);
        fill(&mut self.buffer);
        let len = u32::try_from(self.buffer.len() + 4 - start).unwrap_or(u32::MAX);
        self.buffer.put(&len.to_le_bytes());
        if let Some(slot) = self.buffer.get_mut(start + 4..start + 8) {
            slot.copy_from_slice(&len.to_le_bytes());
        }
    }
}

fn len(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.put(&code.to_le_bytes());
    body.put(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    body.put(value);
    pad(body);
}

/// Pads a block to a multiple of four bytes. Everything before is such a multiple too, so
/// the block's length tells how much is missing.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}
