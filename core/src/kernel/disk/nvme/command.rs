//! NVMe commands, sent by pass-through to the device node of a namespace.
//!
//! The block layer has ioctls for reservations too (drivers/nvme/host/pr.c), but they are
//! of no use here. To unregister, they replace the key by zero. They always ask for
//! persistence. And they cannot read before 6.19. Pass-through can do all of it on every
//! kernel.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;

use crate::kernel::Cause;
use crate::kernel::disk::opened::open;
use crate::kernel::reservation::Key;

/// Status codes that are treated differently from others: type and code, as in
/// include/linux/nvme.h.
const INVALID_OPCODE: u16 = 0x001;
const INVALID_FIELD: u16 = 0x002;
const HOST_ID_INCONSISTENT: u16 = 0x018;
/// The status Reservation Conflict.
pub(crate) const CONFLICT: u16 = 0x083;
/// The statuses that report a failed path (type 3).
const OF_PATHS: std::ops::RangeInclusive<u16> = 0x300..=0x3ff;

/// The reservation type Write Exclusive, Registrants Only, as NVMe numbers it.
const WRITE_EXCLUSIVE_REGISTRANTS_ONLY: u32 = 3;

/// The action Replace of the command Reservation Register.
const REPLACE: u32 = 2;

/// A command for the kernel: `struct nvme_passthru_cmd`
/// (include/uapi/linux/nvme_ioctl.h).
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Command {
    opcode: u8,
    flags: u8,
    reserved: u16,
    namespace: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    data: u64,
    metadata_length: u32,
    data_length: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

nix::ioctl_none!(nvme_ioctl_id, b'N', 0x40);
nix::ioctl_readwrite!(nvme_ioctl_admin_cmd, b'N', 0x41, Command);
nix::ioctl_readwrite!(nvme_ioctl_io_cmd, b'N', 0x43, Command);

/// The reason why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The controller answered with this status, or the kernel did on its behalf.
    Status(u16),
    /// The kernel did not send the command, or cancelled it.
    Kernel(Errno),
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        let said = |status| format!("NVMe status {status:#05x}{}", meaning(status));
        match refusal {
            Refusal::Status(INVALID_OPCODE) => Self::NoReservations,
            Refusal::Status(status) if OF_PATHS.contains(&status) => {
                Self::PathFailed(said(status))
            }
            Refusal::Status(status) => {
                Self::Device(format!("the namespace refused, {}", said(status)))
            }
            // A multipath device of the NVMe driver answers this if it has no path
            // (`nvme_ns_head_ioctl`).
            Refusal::Kernel(Errno::EAGAIN) => {
                Self::PathFailed("no controller is connected".into())
            }
            // The command was cancelled (`nvme_execute_rq`).
            Refusal::Kernel(Errno::EINTR) => {
                Self::PathFailed("the controller was reset meanwhile".into())
            }
            Refusal::Kernel(errno) => Self::Errno(errno as i32),
        }
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        INVALID_FIELD => ", invalid field",
        0x00b => ", invalid namespace",
        HOST_ID_INCONSISTENT => ", Host IDs of another length",
        0x082 => ", the namespace is not ready",
        CONFLICT => ", reservation conflict",
        0x300 => ", internal path error",
        0x301 => ", this controller has lost the namespace for good",
        0x302 => ", this controller cannot reach the namespace",
        0x303 => ", this controller is about to gain or lose the namespace",
        0x360 => ", controller pathing error",
        0x370 => ", host pathing error",
        0x371 => ", aborted by the host",
        _ => "",
    }
}

/// The ioctl that sends a command to the controller, or to the namespace.
type Send = unsafe fn(i32, *mut Command) -> nix::Result<i32>;

/// An NVMe namespace that is open.
pub(crate) struct Namespace {
    file: Rc<File>,
    id: u32,
}

impl Namespace {
    /// Opens the namespace behind a block device.
    pub(crate) fn open(disk: &Path, action: &str) -> Result<Self, Cause> {
        let file = open(disk, action).map_err(|error| error.cause)?;
        // SAFETY: the descriptor is open, and the ioctl takes nothing else.
        let id = unsafe { nvme_ioctl_id(file.as_raw_fd()) }.map_err(Refusal::Kernel)?;
        Ok(Self { file, id: id as u32 })
    }

    /// Returns the Host ID of this node, as the controller reports it (Get Features): 16
    /// bytes, or 8 from a controller that has only short ones.
    pub(crate) fn host_id(&self) -> Result<Vec<u8>, Refusal> {
        const GET_FEATURES: u8 = 0x0a;
        const HOST_IDENTIFIER: u32 = 0x81;
        let ask = |extended: u32, mut id: Vec<u8>| {
            let command = Command {
                opcode: GET_FEATURES,
                cdw10: HOST_IDENTIFIER,
                cdw11: extended,
                ..Command::default()
            };
            self.send(nvme_ioctl_admin_cmd, command, &mut id).map(|()| id)
        };
        match ask(1, vec![0; 16]) {
            Err(Refusal::Status(INVALID_FIELD | HOST_ID_INCONSISTENT)) => {
                ask(0, vec![0; 8])
            }
            answer => answer,
        }
    }

    /// Returns which reservations the namespace supports (RESCAP).
    pub(crate) fn reservation_capabilities(&self) -> Result<u8, Refusal> {
        let answer = self.identify(0)?;
        Ok(answer.get(31).copied().unwrap_or(0))
    }

    /// Returns the identification descriptors of the namespace.
    pub(crate) fn descriptors(&self) -> Result<Vec<u8>, Refusal> {
        self.identify(3)
    }

    /// Returns the answer to the command Identify with this CNS.
    fn identify(&self, cns: u32) -> Result<Vec<u8>, Refusal> {
        const IDENTIFY: u8 = 0x06;
        let mut answer = vec![0; 4096];
        let namespace = self.id;
        let command =
            Command { opcode: IDENTIFY, namespace, cdw10: cns, ..Command::default() };
        self.send(nvme_ioctl_admin_cmd, command, &mut answer).map(|()| answer)
    }

    /// Returns the first `length` bytes of the Reservation Report, in the form that fits
    /// the length of this node's Host ID.
    pub(crate) fn report(&self, host: &[u8], length: usize) -> Result<Vec<u8>, Refusal> {
        const REPORT: u8 = 0x0e;
        let mut answer = vec![0; length];
        let extended = u32::from(host.len() == 16);
        // The field counts dwords, from zero.
        let dwords = (length / 4).saturating_sub(1) as u32;
        let command = self.command(REPORT, dwords, extended);
        self.send(nvme_ioctl_io_cmd, command, &mut answer).map(|()| answer)
    }

    /// Registers a key. The namespace refuses if this host has registered another one.
    pub(crate) fn register(&self, key: Key, lasting: bool) -> Result<(), Refusal> {
        self.registration(persistence(lasting), Key(0), key)
    }

    /// Registers again the key that this host has registered. The namespace refuses if it
    /// has not.
    pub(crate) fn confirm(&self, key: Key, lasting: bool) -> Result<(), Refusal> {
        self.registration(REPLACE | persistence(lasting), key, key)
    }

    /// Registers a key in place of the one that this host has, no matter which that is.
    pub(crate) fn replace(&self, key: Key, lasting: bool) -> Result<(), Refusal> {
        const IGNORE_KEY: u32 = 1 << 3;
        self.registration(REPLACE | IGNORE_KEY | persistence(lasting), Key(0), key)
    }

    /// Gives up this host's registration.
    pub(crate) fn unregister(&self, key: Key) -> Result<(), Refusal> {
        const UNREGISTER: u32 = 1;
        self.registration(UNREGISTER, key, Key(0))
    }

    fn registration(&self, action: u32, current: Key, new: Key) -> Result<(), Refusal> {
        const REGISTER: u8 = 0x0d;
        self.send_keys(REGISTER, action, current, new)
    }

    /// Acquires the reservation.
    pub(crate) fn reserve(&self, key: Key) -> Result<(), Refusal> {
        const ACQUIRE: u32 = 0;
        self.acquire(ACQUIRE, key, Key(0))
    }

    /// Removes another host's registration and aborts its commands. If that host held the
    /// reservation, this host holds it now.
    pub(crate) fn preempt_and_abort(&self, key: Key, other: Key) -> Result<(), Refusal> {
        const PREEMPT_AND_ABORT: u32 = 2;
        self.acquire(PREEMPT_AND_ABORT, key, other)
    }

    fn acquire(&self, action: u32, key: Key, other: Key) -> Result<(), Refusal> {
        const ACQUIRE: u8 = 0x11;
        let cdw10 = action | WRITE_EXCLUSIVE_REGISTRANTS_ONLY << 8;
        self.send_keys(ACQUIRE, cdw10, key, other)
    }

    /// Sends a command whose data are two keys: this host's own, and another.
    fn send_keys(
        &self,
        opcode: u8,
        cdw10: u32,
        own: Key,
        other: Key,
    ) -> Result<(), Refusal> {
        let mut keys = [own.0.to_le_bytes(), other.0.to_le_bytes()].concat();
        self.send(nvme_ioctl_io_cmd, self.command(opcode, cdw10, 0), &mut keys)
    }

    fn command(&self, opcode: u8, cdw10: u32, cdw11: u32) -> Command {
        Command { opcode, namespace: self.id, cdw10, cdw11, ..Command::default() }
    }

    /// Sends a command, with the kernel's own timeout. When that passes, the kernel
    /// resets the controller, and everybody's commands with it.
    fn send(
        &self,
        by: Send,
        mut command: Command,
        data: &mut [u8],
    ) -> Result<(), Refusal> {
        command.data = data.as_mut_ptr().addr() as u64;
        command.data_length = data.len() as u32;
        let file = self.file.as_raw_fd();
        // SAFETY: the descriptor is open, the structure is what the ioctl reads and writes,
        // and it points to a buffer of the length that it states, alive until the call
        // returns.
        let answer = unsafe { by(file, &raw mut command) };
        answered(answer)
    }
}

/// Returns the bits that make a registration persistent; 0 if it is not to be.
fn persistence(lasting: bool) -> u32 {
    if lasting { 3 << 30 } else { 0 }
}

/// Returns the outcome of a command. A status also has bits that say whether to try
/// again, and these are ignored.
fn answered(answer: nix::Result<i32>) -> Result<(), Refusal> {
    match answer {
        Ok(status) => match (status & 0x7ff) as u16 {
            0 => Ok(()),
            status => Err(Refusal::Status(status)),
        },
        Err(errno) => Err(Refusal::Kernel(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_has_the_kernels_size() {
        assert_eq!(size_of::<Command>(), 72);
    }

    #[test]
    fn a_status_is_seen_through_the_bits_above_it() {
        assert_eq!(answered(Ok(0x4083)), Err(Refusal::Status(CONFLICT)));
        assert_eq!(answered(Ok(0)), Ok(()));
        assert_eq!(answered(Err(Errno::EINTR)), Err(Refusal::Kernel(Errno::EINTR)));
    }

    #[test]
    fn each_refusal_has_its_words() {
        let cause = |answer| Cause::from(answered(answer).unwrap_err());
        assert_eq!(cause(Ok(0x4001)), Cause::NoReservations);
        for (answer, is_paths, words) in [
            (Ok(0x4002), false, "NVMe status 0x002, invalid field"),
            (Ok(0x0082), false, "not ready"),
            (Ok(0x0302), true, "cannot reach"),
            (Ok(0x0370), true, "NVMe status 0x370, host pathing error"),
            (Ok(0x03ff), true, "NVMe status 0x3ff"),
            (Ok(0x0281), false, "NVMe status 0x281"),
            (Err(Errno::EAGAIN), true, "no controller is connected"),
            (Err(Errno::EINTR), true, "reset"),
        ] {
            let cause = cause(answer);
            assert!(cause.to_string().contains(words), "{cause}");
            assert_eq!(cause.is_paths(), is_paths, "{cause}");
        }
    }
}
