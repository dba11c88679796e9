//! The connection of a QEMU: its messages, and the answers to them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use understudy_fabric::bytes::Put;

use super::interrupts::{INTX, MSI};
use super::message::{Command, Errno, HEADER_LEN, Header, numbers, version};
use super::{BAR_SIZE, Device, Function, config};

/// VFIO's index of the region that is BAR 1.
const REGION_BAR: u32 = 1;
/// VFIO's index of config space.
const REGION_CONFIG: u32 = 7;
/// How many regions VFIO has for a PCI device, and how many kinds of interrupts.
const REGIONS: u32 = 9;
const IRQ_KINDS: u32 = 5;

/// VFIO_DEVICE_FLAGS_RESET and VFIO_DEVICE_FLAGS_PCI.
const DEVICE_FLAGS: u32 = 1 | 2;
/// VFIO_REGION_INFO_FLAG_READ and VFIO_REGION_INFO_FLAG_WRITE.
const REGION_FLAGS: u32 = 1 | 2;
/// VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE and VFIO_IRQ_INFO_AUTOMASKED.
const PIN_FLAGS: u32 = 1 | 2 | 4;
/// VFIO_IRQ_INFO_EVENTFD and VFIO_IRQ_INFO_NORESIZE.
const MSI_FLAGS: u32 = 1 | 8;

/// How many file descriptors a message may carry.
const MAX_FILES: usize = 8;
/// How many messages are served before others get a turn.
const BURST: usize = 256;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The bytes are no vfio-user message.
    #[error("no vfio-user message: {0:02x?}")]
    Header(Vec<u8>),
    /// The socket failed.
    #[error("{0}")]
    Socket(#[from] io::Error),
}

/// A QEMU that has connected.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    /// What has come of the present message.
    input: Vec<u8>,
    /// The header of the present message, once it is there.
    header: Option<Header>,
    /// The files that came with the present message.
    files: VecDeque<File>,
    output: Vec<u8>,
}

impl Client {
    /// Returns a client that has just connected. The socket does not block.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            header: None,
            files: VecDeque::new(),
            output: Vec::new(),
        }
    }

    /// Whether bytes wait for QEMU to read them.
    pub fn is_behind(&self) -> bool {
        !self.output.is_empty()
    }

    /// Serves the messages that have come. One whose reply QEMU does not read is the last
    /// for now. Returns false once QEMU has closed.
    pub fn serve(
        &mut self,
        function: &mut Function,
        device: &mut dyn Device,
    ) -> Result<bool, ProtocolError> {
        for _ in 0..BURST {
            if self.is_behind() {
                break;
            }
            match self.receive()? {
                Received::Nothing => break,
                Received::End => return Ok(false),
                Received::Part => {}
                Received::Message(header) => {
                    let body = std::mem::take(&mut self.input);
                    let files = std::mem::take(&mut self.files);
                    let answer = answer(&header, &body, files, function, device);
                    if header.wants_reply {
                        self.output.put(&header.reply(answer));
                        self.flush()?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Writes as much of what waits as the socket takes now.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads more of the present message, and never beyond its end: the files that come
    /// with a read belong to the message whose header it begins.
    fn receive(&mut self) -> Result<Received, ProtocolError> {
        let total = self.header.map_or(HEADER_LEN, |header| header.len - HEADER_LEN);
        let mut chunk = vec![0; total - self.input.len().min(total)];
        let n = self.read(&mut chunk);
        match n {
            Ok(0) if !chunk.is_empty() => return Ok(Received::End),
            Ok(n) => self.input.extend(chunk.iter().take(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(Received::Nothing);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                return Ok(Received::Part);
            }
            Err(error) => return Err(error.into()),
        }
        if self.input.len() < total {
            return Ok(Received::Part);
        }
        if let Some(header) = self.header.take() {
            return Ok(Received::Message(header));
        }
        let bytes = std::mem::take(&mut self.input);
        let header = Header::decode(&bytes).ok_or(ProtocolError::Header(bytes))?;
        if header.len == HEADER_LEN {
            return Ok(Received::Message(header));
        }
        self.header = Some(header);
        Ok(Received::Part)
    }

    /// Reads once, and keeps the files that come along.
    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let mut space = nix::cmsg_space!([i32; MAX_FILES]);
        let mut slices = [IoSliceMut::new(chunk)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let fd = self.stream.as_raw_fd();
        let message = recvmsg::<()>(fd, &mut slices, Some(&mut space), flags)?;
        let n = message.bytes;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                self.files.extend(fds.into_iter().map(|fd| {
                    // SAFETY: the kernel has just made this descriptor for this process,
                    // and nothing else has it.
                    File::from(unsafe { OwnedFd::from_raw_fd(fd) })
                }));
            }
        }
        Ok(n)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// What a read has brought.
enum Received {
    /// Nothing, for now.
    Nothing,
    /// A part of a message.
    Part,
    /// A whole message; its body is the input.
    Message(Header),
    /// The end of the connection.
    End,
}

/// Does what a message asks for. Returns the body of the reply.
fn answer(
    header: &Header,
    body: &[u8],
    files: VecDeque<File>,
    function: &mut Function,
    device: &mut dyn Device,
) -> Result<Vec<u8>, Errno> {
    let command = Command::decode(header.command, body)?;
    match command {
        Command::Version { major: 0 } => Ok(version()),
        Command::Version { .. } => Err(Errno::UNSUPPORTED),
        Command::DmaMap { writable, offset, address, size } => {
            let file = files.into_iter().next();
            let mapped = device.memory().map(address, size, offset, file, writable);
            mapped.map(|()| Vec::new()).map_err(|error| {
                log::warn!("dma map of {size:#x} bytes at {address:#x}: {error}");
                Errno::INVALID
            })
        }
        Command::DmaUnmap { all: true, body, .. } => {
            device.memory().clear();
            Ok(body.to_vec())
        }
        Command::DmaUnmap { address, size, body, .. } => {
            let known = device.memory().unmap(address, size);
            known.then(|| body.to_vec()).ok_or(Errno::INVALID)
        }
        Command::DeviceInfo => Ok(numbers(&[16, DEVICE_FLAGS, REGIONS, IRQ_KINDS])),
        Command::RegionInfo { index } => region_info(index),
        Command::IrqInfo { index } => irq_info(index),
        Command::SetIrqs(request) => {
            let done = function.interrupts.set(&request, files.into());
            done.then(Vec::new).ok_or(Errno::INVALID)
        }
        Command::RegionRead { offset, region, count } => {
            let len = checked(region, offset, count)?;
            let mut data = vec![0; len];
            match region {
                REGION_BAR => device.read(offset, &mut data),
                _ => function.config.read(offset, &mut data),
            }
            Ok(access(offset, region, count, &data))
        }
        Command::RegionWrite { offset, region, count, data } => {
            let len = checked(region, offset, count)?;
            let data = data.get(..len).ok_or(Errno::INVALID)?;
            match region {
                REGION_BAR => device.write(offset, data),
                _ => function.config.write(offset, data),
            }
            Ok(access(offset, region, count, &[]))
        }
        Command::Reset => {
            device.reset();
            Ok(Vec::new())
        }
    }
}

impl Function {
    /// Gives back the interrupts and the config space of a client that has gone.
    pub fn disconnect(&mut self) {
        self.interrupts.clear();
        self.config = config::Config::default();
    }
}

fn region_info(index: u32) -> Result<Vec<u8>, Errno> {
    if index >= REGIONS {
        return Err(Errno::INVALID);
    }
    let size = region_size(index);
    let flags = if size > 0 { REGION_FLAGS } else { 0 };
    let mut out = numbers(&[32, flags, index, 0]);
    out.put(&size.to_ne_bytes());
    // Where a region would be in the device's file. Nobody maps it.
    out.put(&(u64::from(index) << 40).to_ne_bytes());
    Ok(out)
}

fn irq_info(index: u32) -> Result<Vec<u8>, Errno> {
    let (flags, count) = match index {
        INTX => (PIN_FLAGS, 1),
        MSI => (MSI_FLAGS, 1),
        _ if index < IRQ_KINDS => (0, 0),
        _ => return Err(Errno::INVALID),
    };
    Ok(numbers(&[16, flags, index, count]))
}

fn region_size(region: u32) -> u64 {
    match region {
        REGION_BAR => BAR_SIZE,
        REGION_CONFIG => 256,
        _ => 0,
    }
}

/// Returns the length of an access that lies within its region.
fn checked(region: u32, offset: u64, count: u32) -> Result<usize, Errno> {
    let end = offset.checked_add(u64::from(count)).ok_or(Errno::INVALID)?;
    if end > region_size(region) {
        return Err(Errno::INVALID);
    }
    usize::try_from(count).map_err(|_| Errno::INVALID)
}

/// Returns the body of the reply to an access.
fn access(offset: u64, region: u32, count: u32, data: &[u8]) -> Vec<u8> {
    let mut out = offset.to_ne_bytes().to_vec();
    out.put(&numbers(&[region, count]));
    out.put(data);
    out
}

#[cfg(test)]
mod tests {
    use super::super::GuestMemory;
    use super::*;

    /// A device whose registers all read 0.
    #[derive(Default)]
    struct Zeros(GuestMemory);

    impl Device for Zeros {
        fn read(&mut self, _: u64, data: &mut [u8]) {
            data.fill(0);
        }

        fn write(&mut self, _: u64, _: &[u8]) {}

        fn reset(&mut self) {}

        fn memory(&mut self) -> &mut GuestMemory {
            &mut self.0
        }
    }

    #[test]
    fn a_qemu_that_reads_no_replies_has_to_wait() {
        let (mut qemu, server) = UnixStream::pair().unwrap();
        qemu.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        let (mut function, mut device) = (Function::default(), Zeros::default());
        let mut client = Client::new(server);
        // Reads of the whole BAR: the reply is 16 KiB.
        let len = u32::try_from(BAR_SIZE).unwrap();
        let mut message = [1_u16, 9].map(u16::to_ne_bytes).concat();
        message.extend(numbers(&[32, 0, 0]));
        message.extend(access(0, REGION_BAR, len, &[]));
        let mut sent = 0;
        while qemu.write_all(&message).is_ok() && sent < 10_000 {
            sent += 1;
            assert!(client.serve(&mut function, &mut device).unwrap());
        }
        assert!(client.is_behind() && client.output.len() < 0x8000);
    }
}
