//! Disks that speak SCSI: reservations, by one path of a disk. Changes go through the
//! block layer's `IOC_PR_*` ioctls. Reading goes through SG_IO, because no released
//! kernel before 6.19 has an ioctl for it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;

use super::Protocol;
use super::opened::open;
use super::sense::sense_of;
use super::vpd;
use crate::kernel::op::{Done, Op};
use crate::kernel::reservation::{Key, Reservation, be64};
use crate::kernel::{Cause, KernelError, UNREGISTER};

/// `PR_WRITE_EXCLUSIVE_REG_ONLY` (include/uapi/linux/pr.h).
const PR_WRITE_EXCLUSIVE_REG_ONLY: u32 = 3;
/// `PR_FL_IGNORE_KEY`: replace any key that this nexus has registered.
const PR_FL_IGNORE_KEY: u32 = 1;

/// SCSI status codes (SAM-5 5.3.1).
const CHECK_CONDITION: i32 = 0x02;
const RESERVATION_CONFLICT: i32 = 0x18;
/// How many times a command is sent at most. Several unit attentions may be pending, and
/// each takes the place of an answer.
const TRIES: usize = 4;

/// The length of a usual answer, for a handful of registrants. Some targets send as many
/// bytes as there is room for, even if most are unused (LIO does).
const USUAL: u16 = 512;
/// The length of the longest answer: 1023 keys, or the full status of some hundred
/// registrants.
const MOST: u16 = 8192;

/// `struct pr_registration`.
#[repr(C)]
pub(crate) struct PrRegistration {
    old_key: u64,
    new_key: u64,
    flags: u32,
    pad: u32,
}

/// `struct pr_reservation`.
#[repr(C)]
pub(crate) struct PrReservation {
    key: u64,
    kind: u32,
    flags: u32,
}

/// `struct pr_preempt`, whose field names mislead: `old_key` is the key of the node that
/// preempts, `new_key` is the one to remove. `sd_pr_preempt` in drivers/scsi/sd.c puts
/// them into RESERVATION KEY and SERVICE ACTION RESERVATION KEY in this order.
#[repr(C)]
pub(crate) struct PrPreempt {
    old_key: u64,
    new_key: u64,
    kind: u32,
    flags: u32,
}

/// `struct sg_io_hdr` (include/scsi/sg.h).
#[repr(C)]
struct SgIoHdr {
    interface_id: i32,
    dxfer_direction: i32,
    cmd_len: u8,
    mx_sb_len: u8,
    iovec_count: u16,
    dxfer_len: u32,
    dxferp: *mut u8,
    cmdp: *const u8,
    sbp: *mut u8,
    timeout: u32,
    flags: u32,
    pack_id: i32,
    usr_ptr: *mut u8,
    status: u8,
    masked_status: u8,
    msg_status: u8,
    sb_len_wr: u8,
    host_status: u16,
    driver_status: u16,
    resid: i32,
    duration: u32,
    info: u32,
}

nix::ioctl_write_ptr!(ioc_pr_register, b'p', 200, PrRegistration);
nix::ioctl_write_ptr!(ioc_pr_reserve, b'p', 201, PrReservation);
nix::ioctl_write_ptr!(ioc_pr_preempt_abort, b'p', 204, PrPreempt);
nix::ioctl_readwrite_bad!(sg_io, 0x2285, SgIoHdr);

/// The protocol SCSI.
pub(crate) struct Scsi;

impl Protocol for Scsi {
    fn perform(&self, path: &Path, op: &Op) -> Result<Done, KernelError> {
        match op {
            Op::Join { key, .. } => register(path, Some(Key(0)), *key),
            Op::Register { key, .. } => register(path, None, *key),
            Op::Confirm { key, .. } => register(path, Some(*key), *key),
            Op::Unregister { key, .. } => register(path, Some(*key), Key(0)),
            Op::Reserve { key, .. } => reserve(path, *key),
            Op::PreemptAndAbort { key, other, .. } => {
                preempt_and_abort(path, *key, *other)
            }
            _ => read_reservation(path),
        }
    }

    fn renamed(&self, root: &Path, path: &Path) -> Option<[String; 2]> {
        vpd::renamed(root, path)
    }

    fn capacity(&self, path: &Path) -> Option<u64> {
        capacity(path).ok()
    }
}

/// Registers a key in place of `old`, which is zero if none is registered. With `None`,
/// any key is replaced.
fn register(disk: &Path, old: Option<Key>, new: Key) -> Result<Done, KernelError> {
    let action = if new.0 == 0 { UNREGISTER } else { "register" };
    let file = open(disk, action)?;
    let old_key = old.map_or(0, |key| key.0);
    let flags = if old.is_none() { PR_FL_IGNORE_KEY } else { 0 };
    let request = PrRegistration { old_key, new_key: new.0, flags, pad: 0 };
    let answer = past_attentions(|| {
        // SAFETY: the descriptor is open, the structure is what the ioctl reads.
        unsafe { ioc_pr_register(file.as_raw_fd(), &request) }
    });
    changed(answer, action, disk, if new.0 == 0 { old } else { Some(new) })
}

fn reserve(disk: &Path, key: Key) -> Result<Done, KernelError> {
    let file = open(disk, "reserve")?;
    let request =
        PrReservation { key: key.0, kind: PR_WRITE_EXCLUSIVE_REG_ONLY, flags: 0 };
    let answer = past_attentions(|| {
        // SAFETY: the descriptor is open, the structure is what the ioctl reads.
        unsafe { ioc_pr_reserve(file.as_raw_fd(), &request) }
    });
    changed(answer, "reserve", disk, Some(key))
}

fn preempt_and_abort(disk: &Path, key: Key, other: Key) -> Result<Done, KernelError> {
    let action = "preempt-and-abort";
    let file = open(disk, action)?;
    let request = PrPreempt {
        old_key: key.0,
        new_key: other.0,
        kind: PR_WRITE_EXCLUSIVE_REG_ONLY,
        flags: 0,
    };
    let answer = past_attentions(|| {
        // SAFETY: the descriptor is open, the structure is what the ioctl reads.
        unsafe { ioc_pr_preempt_abort(file.as_raw_fd(), &request) }
    });
    changed(answer, action, disk, Some(other))
}

/// Reads the reservation of a disk by READ FULL STATUS, which has keys and holder in one
/// answer. If the disk does not support that, or its answer is too long, READ KEYS and
/// READ RESERVATION follow. All are sent by SG_IO. One path is enough, because the answer
/// lists the registrations of all paths.
fn read_reservation(disk: &Path) -> Result<Done, KernelError> {
    const READ_KEYS: u8 = 0;
    const READ_RESERVATION: u8 = 1;
    const READ_FULL_STATUS: u8 = 3;
    let action = "read reservation";
    let file = open(disk, action)?;
    let failed = |cause| KernelError::new(action, disk, cause);
    let words = |why| failed(Cause::Device(why));
    for room in [USUAL, MOST] {
        match persistent_reserve_in(&file, READ_FULL_STATUS, room) {
            Ok(answer) => {
                if let Ok(reservation) = Reservation::parse(&answer) {
                    return Ok(Done::Reservation(reservation));
                }
            }
            Err(Cause::NoReservations) => break,
            Err(cause) => return Err(failed(cause)),
        }
    }
    let keys = persistent_reserve_in(&file, READ_KEYS, MOST).map_err(failed)?;
    let keys = Reservation::parse_keys(&keys).map_err(words)?;
    let holder = persistent_reserve_in(&file, READ_RESERVATION, USUAL).map_err(failed)?;
    let holder = Reservation::parse_holder(&holder).map_err(words)?;
    Ok(Done::Reservation(Reservation { keys, holder, host_key: None }))
}

/// Issues a command again as long as a unit attention takes the place of its answer. A
/// disk reports an attention once to each nexus, and does not carry out the command that
/// it answers in this way.
fn past_attentions(mut issue: impl FnMut() -> nix::Result<i32>) -> nix::Result<i32> {
    for _ in 1..TRIES {
        match issue() {
            Ok(status) if status & 0xff == CHECK_CONDITION => {}
            answer => return answer,
        }
    }
    issue()
}

/// Returns the outcome of a change to a reservation. Before 6.5 a positive answer is the
/// SCSI status, with the mid layer's status above it. Later it is `enum pr_status`, which
/// has the same values for what matters here.
fn changed(
    answer: nix::Result<i32>,
    action: &str,
    disk: &Path,
    key: Option<Key>,
) -> Result<Done, KernelError> {
    let cause = match answer {
        Ok(0) => return Ok(Done::Changed),
        Ok(status) if status & 0xff == RESERVATION_CONFLICT => {
            Cause::Device("reservation conflict: another node owns the disk".into())
        }
        Ok(status) if status & 0xff == CHECK_CONDITION => {
            Cause::Device("the disk refused (CHECK CONDITION)".into())
        }
        Ok(status) if status >> 16 & 0xff != 0 => {
            path_failed((status >> 16 & 0xff) as u16)
        }
        Ok(status) => Cause::Device(format!("the disk answered status {status:#x}")),
        Err(errno) => Cause::Errno(errno as i32),
    };
    let value = key.map(|key| format!("key {key}"));
    Err(KernelError { action: action.into(), path: disk.into(), value, cause })
}

/// Sends PERSISTENT RESERVE IN (SPC-4 6.15) and returns the answer.
fn persistent_reserve_in(file: &File, action: u8, room: u16) -> Result<Vec<u8>, Cause> {
    let [high, low] = room.to_be_bytes();
    let command = [0x5e, action, 0, 0, 0, 0, 0, high, low, 0];
    ask(file, "PERSISTENT RESERVE IN", &command, room)
}

/// Returns a path's failure, from a status of the SCSI mid layer (`DID_...` in
/// include/scsi/scsi_status.h).
fn path_failed(host_status: u16) -> Cause {
    Cause::PathFailed(format!("host status {host_status}"))
}

/// Returns the size of a disk in bytes, by READ CAPACITY (16) (SBC-3 5.16).
fn capacity(disk: &Path) -> Result<u64, Cause> {
    const LENGTH: u16 = 32;
    let mut command = [0; 16];
    command[0] = 0x9e;
    command[1] = 0x10;
    command[13] = LENGTH as u8;
    let file = open(disk, "read capacity").map_err(|error| error.cause)?;
    let answer = ask(&file, "READ CAPACITY (16)", &command, LENGTH)?;
    bytes_of(&answer).ok_or_else(|| {
        Cause::Device(format!("READ CAPACITY (16) answered {} bytes", answer.len()))
    })
}

/// Returns a disk's page of designators (its names), by INQUIRY (SPC-4 6.6 and 7.8.5).
pub(crate) fn designators(disk: &Path) -> Result<Vec<u8>, Cause> {
    const PAGE: u8 = 0x83;
    let [high, low] = MOST.to_be_bytes();
    let file = open(disk, "ask for its name").map_err(|error| error.cause)?;
    let mut page = ask(&file, "INQUIRY", &[0x12, 1, PAGE, high, low, 0], MOST)?;
    let whole = page.get(2..4).map_or(0, |length| be64(length) as usize) + 4;
    if page.len() < whole {
        return Err(Cause::Short(page.len()));
    }
    page.truncate(whole);
    Ok(page)
}

/// Returns the size in an answer to READ CAPACITY, from the number of the last block and
/// the size of a block; `None` if the answer is too short.
fn bytes_of(answer: &[u8]) -> Option<u64> {
    let (last, block) = (be64(answer.get(..8)?), be64(answer.get(8..12)?));
    Some(last.saturating_add(1).saturating_mul(block))
}

/// Sends a command to a device and returns the answer, of `length` bytes at most.
fn ask(file: &File, name: &str, command: &[u8], length: u16) -> Result<Vec<u8>, Cause> {
    const SG_DXFER_FROM_DEV: i32 = -3;
    for left in (0..TRIES).rev() {
        let mut data = vec![0u8; usize::from(length)];
        let mut sense = [0u8; 32];
        let mut header = SgIoHdr {
            interface_id: i32::from(b'S'),
            dxfer_direction: SG_DXFER_FROM_DEV,
            cmd_len: command.len() as u8,
            mx_sb_len: sense.len() as u8,
            iovec_count: 0,
            dxfer_len: u32::from(length),
            dxferp: data.as_mut_ptr(),
            cmdp: command.as_ptr(),
            sbp: sense.as_mut_ptr(),
            timeout: 10_000,
            flags: 0,
            pack_id: 0,
            usr_ptr: std::ptr::null_mut(),
            status: 0,
            masked_status: 0,
            msg_status: 0,
            sb_len_wr: 0,
            host_status: 0,
            driver_status: 0,
            resid: 0,
            duration: 0,
            info: 0,
        };
        // SAFETY: the header's pointers are to buffers of the lengths that it states,
        // alive until the call returns.
        let answer = unsafe { sg_io(file.as_raw_fd(), &mut header) };
        answer.map_err(|errno| match errno {
            // The device takes no SCSI commands at all.
            Errno::ENOTTY | Errno::EINVAL => Cause::NoReservations,
            other => Cause::Errno(other as i32),
        })?;
        if header.host_status != 0 {
            return Err(path_failed(header.host_status));
        }
        if header.status == 0 {
            let missing = usize::try_from(header.resid).unwrap_or(0);
            data.truncate(data.len().saturating_sub(missing));
            return Ok(data);
        }
        let (key, code) = sense_of(&sense);
        if key == 0x06 && left > 0 {
            continue;
        }
        return Err(match (key, code) {
            // ILLEGAL REQUEST: the device does not know the command, or not this variant
            // of it.
            (0x05, _) => Cause::NoReservations,
            // A persistent reservation never forbids a question (SPC-4 table 66, SPC-2
            // table 9), so this is a reservation of the old kind.
            _ if i32::from(header.status) == RESERVATION_CONFLICT => Cause::Reserved,
            _ => Cause::Device(format!(
                "{name} failed, status {:#04x}, sense {key:x}/{code:04x}",
                header.status
            )),
        });
    }
    Err(Cause::Device("it answered with unit attentions only".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_seen_through_the_bits_above_the_status() {
        let disk = Path::new("/dev/x");
        let error = changed(Ok(0x118), "reserve", disk, Some(Key(7))).unwrap_err();
        assert!(error.to_string().contains("another node owns"), "{error}");
        assert!(error.to_string().contains("0x0000000000000007"), "{error}");
        assert!(changed(Ok(0), "reserve", disk, None).is_ok());
    }

    #[test]
    fn a_size_is_read_whatever_the_blocks_are() {
        let answer = |last: u64, block: u32| {
            [last.to_be_bytes().as_slice(), &block.to_be_bytes(), &[0; 20]].concat()
        };
        assert_eq!(bytes_of(&answer(131_071, 512)), Some(64 << 20));
        assert_eq!(bytes_of(&answer(16_383, 4096)), Some(64 << 20));
        assert_eq!(bytes_of(&answer(u64::MAX, u32::MAX)), Some(u64::MAX));
        assert_eq!(bytes_of(&answer(1, 512)[..11]), None);
    }

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<PrRegistration>(), 24);
        assert_eq!(size_of::<PrReservation>(), 16);
        assert_eq!(size_of::<PrPreempt>(), 24);
        assert_eq!(size_of::<SgIoHdr>(), 88);
    }
}
