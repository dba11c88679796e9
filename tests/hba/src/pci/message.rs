//! Messages of vfio-user: a header of 16 bytes, then what the command needs. Numbers are in
//! the machine's byte order.

use understudy_fabric::bytes::Put;

/// Length of the header, in bytes.
pub(super) const HEADER_LEN: usize = 16;
/// The longest message that is taken. QEMU's longest, for this device, is a write of 8
/// bytes to a register, or its version.
pub(super) const MAX_LEN: usize = 64 << 10;

const FLAG_REPLY: u32 = 1;
const FLAG_NO_REPLY: u32 = 1 << 4;
const FLAG_ERROR: u32 = 1 << 5;
/// The bits of the flags that say whether a message is a command or a reply.
const TYPE_MASK: u32 = 0xf;

/// What a reply says of itself: no migration, 8 file descriptors and 1 MiB in a message.
const CAPABILITIES: &[u8] =
    b"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}\0";

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number that a reply repeats.
    pub(super) id: u16,
    /// The command's code.
    pub(super) command: u16,
    /// The length of the message, with this header.
    pub(super) len: usize,
    /// Whether QEMU waits for a reply.
    pub(super) wants_reply: bool,
}

impl Header {
    /// Takes a header apart. Returns `None` for a length out of range, and for a reply:
    /// this server asks nothing.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Native(bytes);
        let (id, command) = (reader.u16()?, reader.u16()?);
        let len = usize::try_from(reader.u32()?).ok()?;
        let flags = reader.u32()?;
        let fits = (HEADER_LEN..=MAX_LEN).contains(&len) && flags & TYPE_MASK == 0;
        let wants_reply = flags & FLAG_NO_REPLY == 0;
        fits.then_some(Self { id, command, len, wants_reply })
    }

    /// Returns the reply with this body, or with an error of errno's.
    pub(super) fn reply(&self, body: Result<Vec<u8>, Errno>) -> Vec<u8> {
        let (flags, error, body) = match body {
            Ok(body) => (FLAG_REPLY, 0, body),
            Err(Errno(error)) => (FLAG_REPLY | FLAG_ERROR, error, Vec::new()),
        };
        let len = u32::try_from(HEADER_LEN + body.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(HEADER_LEN + body.len());
        out.put(&self.id.to_ne_bytes());
        out.put(&self.command.to_ne_bytes());
        for value in [len, flags, error] {
            out.put(&value.to_ne_bytes());
        }
        out.put(&body);
        out
    }
}

/// An error number of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errno(pub(super) u32);

impl Errno {
    /// EINVAL: the request makes no sense.
    pub(super) const INVALID: Self = Self(22);
    /// ENOTSUP: this server cannot do that.
    pub(super) const UNSUPPORTED: Self = Self(95);
}

/// What a SET_IRQS does with an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IrqAction {
    /// Hold the interrupt back.
    Mask,
    /// Let the interrupt come again.
    Unmask,
    /// Take or give back the eventfds.
    Trigger,
}

/// A SET_IRQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SetIrqs {
    /// The kind of interrupt.
    pub(super) index: u32,
    /// What to do.
    pub(super) action: IrqAction,
}

/// A command, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Version { major: u16 },
    DmaMap { writable: bool, offset: u64, address: u64, size: u64 },
    DmaUnmap { all: bool, address: u64, size: u64, body: &'a [u8] },
    DeviceInfo,
    RegionInfo { index: u32 },
    IrqInfo { index: u32 },
    SetIrqs(SetIrqs),
    RegionRead { offset: u64, region: u32, count: u32 },
    RegionWrite { offset: u64, region: u32, count: u32, data: &'a [u8] },
    Reset,
}

/// VFIO_DMA_MAP_FLAG_WRITE.
const MAP_WRITE: u32 = 2;
/// VFIO_DMA_UNMAP_FLAG_ALL.
const UNMAP_ALL: u32 = 2;
/// VFIO_IRQ_SET_DATA_BOOL: which interrupts are meant would follow as bytes.
const IRQ_DATA_BOOL: u32 = 2;

impl<'a> Command<'a> {
    /// Takes the body of a command apart. The error is what to answer.
    pub(super) fn decode(code: u16, body: &'a [u8]) -> Result<Self, Errno> {
        let mut reader = Native(body);
        match code {
            1 => reader.u16().map(|major| Self::Version { major }),
            2 => reader.dma().map(|(flags, offset, address, size)| Self::DmaMap {
                writable: flags & MAP_WRITE != 0,
                offset,
                address,
                size,
            }),
            3 => reader.unmap().map(|(flags, address, size)| Self::DmaUnmap {
                all: flags & UNMAP_ALL != 0,
                address,
                size,
                body,
            }),
            4 => Some(Self::DeviceInfo),
            5 => reader.index().map(|index| Self::RegionInfo { index }),
            7 => reader.index().map(|index| Self::IrqInfo { index }),
            8 => return reader.set_irqs().map(Self::SetIrqs),
            9 => reader.access().map(|(offset, region, count)| Self::RegionRead {
                offset,
                region,
                count,
            }),
            10 => reader.access().map(|(offset, region, count)| Self::RegionWrite {
                offset,
                region,
                count,
                data: reader.0,
            }),
            13 => Some(Self::Reset),
            _ => return Err(Errno::UNSUPPORTED),
        }
        .ok_or(Errno::INVALID)
    }
}

/// Takes numbers off the front of a message.
struct Native<'a>(&'a [u8]);

impl Native<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Takes the flags, the offset, the address and the size of a map.
    fn dma(&mut self) -> Option<(u32, u64, u64, u64)> {
        self.u32()?;
        Some((self.u32()?, self.u64()?, self.u64()?, self.u64()?))
    }

    /// Takes the flags, the address and the size of what is unmapped.
    fn unmap(&mut self) -> Option<(u32, u64, u64)> {
        self.u32()?;
        Some((self.u32()?, self.u64()?, self.u64()?))
    }

    /// Takes an index after the size and the flags of an answer's structure.
    fn index(&mut self) -> Option<u32> {
        self.u64()?;
        self.u32()
    }

    /// Takes the offset, the region and the length of an access.
    fn access(&mut self) -> Option<(u64, u32, u32)> {
        Some((self.u64()?, self.u32()?, self.u32()?))
    }

    fn set_irqs(&mut self) -> Result<SetIrqs, Errno> {
        let mut fields = || {
            self.u32()?;
            Some((self.u32()?, self.u32()?))
        };
        let (flags, index) = fields().ok_or(Errno::INVALID)?;
        if flags & IRQ_DATA_BOOL != 0 {
            return Err(Errno::UNSUPPORTED);
        }
        let action = match flags >> 3 & 7 {
            1 => IrqAction::Mask,
            2 => IrqAction::Unmask,
            4 => IrqAction::Trigger,
            _ => return Err(Errno::INVALID),
        };
        Ok(SetIrqs { index, action })
    }
}

/// Returns the body of a version's reply: 0.0, as QEMU's.
pub(super) fn version() -> Vec<u8> {
    let mut out = vec![0; 4];
    out.put(CAPABILITIES);
    out
}

/// Returns the body of a reply that is numbers.
pub(super) fn numbers(values: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * values.len());
    for value in values {
        out.put(&value.to_ne_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_message_is_too_strange(
            header in prop::collection::vec(any::<u8>(), 0..20),
            code in 0..20_u16,
            body in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Some(header) = Header::decode(&header) {
                prop_assert!((HEADER_LEN..=MAX_LEN).contains(&header.len));
            }
            let _ = Command::decode(code, &body);
        }

        #[test]
        fn a_reply_repeats_the_number_and_has_its_length(
            id in any::<u16>(),
            body in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let header = Header { id, command: 9, len: HEADER_LEN, wants_reply: true };
            let reply = header.reply(Ok(body.clone()));
            let mut reader = Native(&reply);
            prop_assert_eq!((reader.u16(), reader.u16()), (Some(id), Some(9)));
            prop_assert_eq!(reader.u32(), u32::try_from(reply.len()).ok());
            prop_assert_eq!((reader.u32(), reader.u32()), (Some(FLAG_REPLY), Some(0)));
            prop_assert_eq!(reader.0, &body[..]);
        }
    }
}
