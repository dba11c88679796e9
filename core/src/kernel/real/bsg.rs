//! Fibre Channel pass-through, by the block layer's SCSI generic (`bsg`). It sends an
//! ECHO to a remote port (FC-LS 4.2.7): once the answer is here, everything that the
//! remote port had sent before has arrived. It also sends a LOGO to the fabric (4.2.8).

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crate::kernel::op::{Done, Op};
use crate::kernel::{Cause, KernelError};
use crate::wwn::Wwn;

/// `struct sg_io_v4` (include/uapi/linux/bsg.h).
#[repr(C)]
#[derive(Default)]
struct SgIoV4 {
    guard: i32,
    protocol: u32,
    subprotocol: u32,
    request_len: u32,
    request: u64,
    request_tag: u64,
    request_attr: u32,
    request_priority: u32,
    request_extra: u32,
    max_response_len: u32,
    response: u64,
    dout_iovec_count: u32,
    dout_xfer_len: u32,
    din_iovec_count: u32,
    din_xfer_len: u32,
    dout_xferp: u64,
    din_xferp: u64,
    timeout: u32,
    flags: u32,
    usr_ptr: u64,
    spare_in: u32,
    driver_status: u32,
    transport_status: u32,
    device_status: u32,
    retry_delay: u32,
    info: u32,
    duration: u32,
    response_len: u32,
    din_resid: i32,
    dout_resid: i32,
    generated_tag: u64,
    spare_out: u32,
    padding: u32,
}

/// `FC_BSG_RPT_ELS` (include/uapi/scsi/scsi_bsg_fc.h): send an ELS to a remote port.
const FC_BSG_RPT_ELS: u32 = 0x4000_0001;
/// `FC_BSG_HST_ELS_NOLOGIN`: send an ELS from a host to any address.
const FC_BSG_HST_ELS: u32 = 0x8000_0003;
const BSG_SUB_PROTOCOL_SCSI_TRANSPORT: u32 = 2;
const ELS_ECHO: u8 = 0x10;
const ELS_LOGO: u8 = 0x05;
/// The address at which a fabric takes logins and logouts (FC-FS, `F_Port Controller`).
const F_PORT: [u8; 3] = [0xff, 0xff, 0xfe];
/// The sizes of `struct fc_bsg_request` and `struct fc_bsg_reply`, as the kernel requires
/// them.
const REQUEST_SIZE: usize = 20;
const REPLY_SIZE: usize = 16;
/// How long an answer is waited for. An exchange is given up after two seconds (E_D_TOV),
/// so this is less.
const PATIENCE: Duration = Duration::from_millis(1500);

nix::ioctl_readwrite_bad!(sg_io_v4, 0x2285, SgIoV4);

/// Sends an ECHO and waits for the answer. A rejection is as good as an echo, because the
/// other side has sent it after everything before.
pub(crate) fn echo(device: &Path, op: &Op) -> Result<Done, KernelError> {
    let payload = [ELS_ECHO, 0, 0, 0, b'u', b's', 0, 0];
    send(device, FC_BSG_RPT_ELS, [ELS_ECHO, 0, 0, 0], &payload, op)?;
    Ok(Done::Unchanged)
}

/// Sends a LOGO to the fabric and waits for its answer. A failure is only logged.
pub(crate) fn log_out(device: &Path, wwpn: Wwn, fcid: u32, op: &Op) -> Done {
    let [_, id @ ..] = fcid.to_be_bytes();
    let mut payload = [0u8; 16];
    let fields = [ELS_LOGO, 0, 0, 0, 0].into_iter().chain(id);
    let fields = fields.chain(wwpn.value().to_be_bytes());
    payload.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    let [x, y, z] = F_PORT;
    match send(device, FC_BSG_HST_ELS, [ELS_LOGO, x, y, z], &payload, op) {
        Ok(()) => Done::Changed,
        Err(error) => {
            log::warn!("{error}; the fabric is left to notice that the port has gone");
            Done::Unchanged
        }
    }
}

/// Sends an ELS and waits for the answer.
fn send(
    device: &Path,
    code: u32,
    what: [u8; 4],
    payload: &[u8],
    op: &Op,
) -> Result<(), KernelError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
        .map_err(|e| KernelError::io("open", device, &e))?;
    let mut request = [0u8; REQUEST_SIZE];
    let fields = code.to_ne_bytes().into_iter().chain(what);
    request.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    let mut answer = [0u8; 64];
    let mut reply = [0u8; REPLY_SIZE];
    let mut header = SgIoV4 {
        guard: i32::from(b'Q'),
        subprotocol: BSG_SUB_PROTOCOL_SCSI_TRANSPORT,
        request_len: REQUEST_SIZE as u32,
        request: request.as_ptr() as u64,
        max_response_len: REPLY_SIZE as u32,
        response: reply.as_mut_ptr() as u64,
        dout_xfer_len: payload.len() as u32,
        dout_xferp: payload.as_ptr() as u64,
        din_xfer_len: answer.len() as u32,
        din_xferp: answer.as_mut_ptr() as u64,
        timeout: PATIENCE.as_millis() as u32,
        ..SgIoV4::default()
    };
    // SAFETY: the header's addresses are of buffers of the lengths that it states, alive
    // until the call returns.
    let done = unsafe { sg_io_v4(file.as_raw_fd(), &mut header) };
    done.map_err(|errno| op.failed(Cause::Errno(errno as i32)))?;
    // The reply begins with a negative errno if no answer came.
    let [a, b, c, d, ..] = reply;
    match i32::from_ne_bytes([a, b, c, d]) {
        0 => Ok(()),
        result if result < 0 => Err(op.failed(Cause::Errno(-result))),
        result => {
            Err(op.failed(Cause::Device(format!("the driver answered {result:#x}"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_kernels_size() {
        assert_eq!(size_of::<SgIoV4>(), 160);
    }
}
