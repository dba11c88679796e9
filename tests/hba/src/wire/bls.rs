//! Basic link services: ABTS and its answers.
//!
//! Formats: FC-FS-3 clause 16.3; include/uapi/scsi/fc/fc_fs.h in Linux.

use understudy_fabric::bytes::{Put, Reader};
use understudy_fabric::frame::FcHeader;

use super::AbortAnswer;
use super::sequence::{END, LAST, RESPONDER};

/// R_CTL of ABTS.
pub(super) const R_CTL_ABTS: u8 = 0x81;
/// R_CTL of BA_ACC.
pub(super) const R_CTL_ACCEPT: u8 = 0x84;
/// R_CTL of BA_RJT.
pub(super) const R_CTL_REJECT: u8 = 0x85;

/// BA_RJT: logical error, the OX_ID and RX_ID name no exchange.
pub(super) const NO_EXCHANGE: (u8, u8) = (0x03, 0x03);

/// Returns the header and payload of the answer to an ABTS. `rx_id` is the responder's
/// number. An error is the reason and explanation of a BA_RJT.
pub(super) fn answer(
    abts: &FcHeader,
    rx_id: u16,
    answer: Result<(), (u8, u8)>,
) -> (FcHeader, Vec<u8>) {
    let mut payload = Vec::with_capacity(12);
    let r_ctl = match answer {
        // No SEQ_ID is given, and all of SEQ_CNT: the whole exchange is aborted.
        Ok(()) => {
            payload.put_zeros(4);
            payload.put_u16(abts.ox_id);
            payload.put_u16(rx_id);
            payload.put_u16(0);
            payload.put_u16(0xffff);
            R_CTL_ACCEPT
        }
        Err((reason, explanation)) => {
            payload.put(&[0, reason, explanation, 0]);
            R_CTL_REJECT
        }
    };
    let f_ctl = !abts.f_ctl & RESPONDER | LAST | END;
    let header =
        FcHeader { f_ctl, fc_type: 0, seq_id: abts.seq_id, rx_id, ..abts.reply(r_ctl) };
    (header, payload)
}

/// Takes the answer to an ABTS apart.
pub(super) fn read_answer(r_ctl: u8, payload: &[u8]) -> Option<AbortAnswer> {
    if r_ctl == R_CTL_ACCEPT {
        return Some(AbortAnswer::Accepted);
    }
    let mut reader = Reader::new(payload);
    reader.skip(1)?;
    Some(AbortAnswer::Rejected { reason: reader.u8()?, explanation: reader.u8()? })
}
