//! The socket buffers of a link. Each frame has a four-byte length before it, as QEMU's
//! `-netdev stream` sends and takes it (net/stream.c).

use std::io::{self, ErrorKind, Read, Write};

use crate::bytes::{Put, Reader};

/// The largest packet that QEMU sends (NET_BUFSIZE), in bytes.
const MAX_FRAME: usize = 4096 + 65536;
/// How many bytes one read takes: a burst from a busy guest in one system call.
const READ_SIZE: usize = 256 << 10;
/// How many bytes must be written before they are dropped from the front of an outbox. At
/// least as many must be written as still wait, so each byte is moved once at most.
const COMPACT_SIZE: usize = 1 << 20;
const PREFIX_LEN: usize = 4;

/// The error for a length that no QEMU sends. The peer speaks another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes announced: the peer is no QEMU stream socket")]
pub struct BadLength(usize);

/// The bytes that came from a node, and the frames in them.
#[derive(Debug)]
pub struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { buffer: vec![0; READ_SIZE], start: 0, end: 0 }
    }
}

impl Inbox {
    /// Reads once. Returns the number of bytes, which is 0 at the end.
    pub fn fill(&mut self, socket: &mut impl Read) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // There is room: what is left over is less than one frame.
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let n = loop {
            match socket.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.end += n;
        Ok(n)
    }

    /// Returns the next frame that is whole, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<&mut [u8]>, BadLength> {
        let filled = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(len) = prefix(filled) else { return Ok(None) };
        if len > MAX_FRAME {
            return Err(BadLength(len));
        }
        let frame = self.start + PREFIX_LEN..self.start + PREFIX_LEN + len;
        if frame.end > self.end {
            return Ok(None);
        }
        self.start = frame.end;
        Ok(self.buffer.get_mut(frame))
    }
}

/// The frames for a node. They are written in as few calls as the socket allows.
#[derive(Debug, Default)]
pub struct Outbox {
    buffer: Vec<u8>,
    /// The place up to which everything has been written.
    written: usize,
    /// The beginning of the frame that `written` is in. The outbox may be cut there.
    frame: usize,
}

impl Outbox {
    /// Queues a frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.buffer.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        self.buffer.put(frame);
    }

    /// Returns how many bytes wait.
    pub fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes as much as the socket takes now.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while let Some(waiting @ [_, ..]) = self.buffer.get(self.written..) {
            match socket.write(waiting) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.compact();
        Ok(())
    }

    /// Drops the waiting frames for which `keep` is false. A frame that is half written
    /// stays, because the stream would lose its frame boundaries.
    pub fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        self.find_frame();
        let begun = self.next_boundary().filter(|_| self.written > self.frame);
        let begun = begun.unwrap_or(self.written).min(self.buffer.len());
        let waiting = self.buffer.split_off(begun);
        let mut reader = Reader::new(&waiting);
        while let Some(frame) = prefix(reader.rest()).and_then(|len| {
            reader.skip(PREFIX_LEN)?;
            reader.take(len)
        }) {
            if keep(frame) {
                self.push(frame);
            }
        }
    }

    fn compact(&mut self) {
        if self.is_empty() {
            self.buffer.clear();
            (self.written, self.frame) = (0, 0);
        } else if self.written >= self.len().max(COMPACT_SIZE) {
            self.find_frame();
            self.buffer.drain(..self.frame);
            self.written -= self.frame;
            self.frame = 0;
        }
    }

    /// Moves `frame` to the beginning of the frame that `written` is in.
    fn find_frame(&mut self) {
        while let Some(end) = self.next_boundary().filter(|end| *end <= self.written) {
            self.frame = end;
        }
    }

    fn next_boundary(&self) -> Option<usize> {
        let len = prefix(self.buffer.get(self.frame..)?)?;
        Some(self.frame + PREFIX_LEN + len)
    }
}

/// Returns the length that stands before a frame.
fn prefix(bytes: &[u8]) -> Option<usize> {
    usize::try_from(Reader::new(bytes).u32()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A socket that takes a few bytes at a time, and then would block.
    struct Trickle(Vec<u8>, usize);

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let n = bytes.len().min(self.1);
            self.1 -= n;
            self.0.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_signal_is_no_end() {
        struct Interrupted<'a>(&'a [u8], bool);
        impl Read for Interrupted<'_> {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    Err(ErrorKind::Interrupted.into())
                } else {
                    self.0.read(bytes)
                }
            }
        }
        let mut inbox = Inbox::default();
        let n = inbox.fill(&mut Interrupted(&[0, 0, 0, 1, 7], false)).unwrap();
        assert_eq!((n, inbox.next_frame()), (5, Ok(Some(&mut [7][..]))));
    }

    fn frames_in(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut inbox = Inbox::default();
        let mut frames = Vec::new();
        while inbox.fill(&mut bytes).unwrap() > 0 {
            while let Some(frame) = inbox.next_frame().unwrap() {
                frames.push(frame.to_vec());
            }
        }
        assert_eq!(inbox.start, inbox.end, "a frame was left incomplete");
        frames
    }

    proptest! {
        #[test]
        fn frames_survive_any_slicing(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..40),
            step in 1_usize..200,
        ) {
            let mut outbox = Outbox::default();
            let mut wire = Trickle(Vec::new(), 0);
            for frame in &frames {
                outbox.push(frame);
                wire.1 = step;
                outbox.flush(&mut wire).unwrap();
            }
            wire.1 = usize::MAX;
            outbox.flush(&mut wire).unwrap();
            prop_assert!(outbox.is_empty());
            prop_assert_eq!(frames_in(&wire.0), frames);
        }

        #[test]
        fn only_waiting_frames_are_forgotten(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 1..40),
            taken in prop_oneof![Just(0), 0_usize..2000],
        ) {
            let even = |frame: &[u8]| frame.len() % 2 == 0;
            let mut outbox = Outbox::default();
            frames.iter().for_each(|frame| outbox.push(frame));
            let mut wire = Trickle(Vec::new(), taken);
            outbox.flush(&mut wire).unwrap();
            outbox.retain(even);
            wire.1 = usize::MAX;
            outbox.flush(&mut wire).unwrap();
            let mut end = 0;
            let expected: Vec<Vec<u8>> = frames.into_iter().filter(|frame| {
                let begun = end < taken;
                end += PREFIX_LEN + frame.len();
                begun || even(frame)
            }).collect();
            prop_assert_eq!(frames_in(&wire.0), expected);
        }
    }

    #[test]
    fn a_long_queue_is_compacted_without_losing_a_byte() {
        let frames: Vec<Vec<u8>> =
            (0..=255).cycle().take(1500).map(|b| vec![b; 2000]).collect();
        let mut outbox = Outbox::default();
        frames.iter().for_each(|frame| outbox.push(frame));
        let mut wire = Trickle(Vec::new(), 0);
        while !outbox.is_empty() {
            wire.1 = 777_777;
            outbox.flush(&mut wire).unwrap();
            assert!(outbox.written < outbox.len().max(COMPACT_SIZE));
        }
        assert!(frames_in(&wire.0) == frames);
    }

    #[test]
    fn a_length_out_of_range_is_an_error() {
        let mut inbox = Inbox::default();
        inbox.fill(&mut &b"GET / HTTP/1.0"[..]).unwrap();
        assert_eq!(inbox.next_frame(), Err(BadLength(0x4745_5420)));
    }
}
