//! The ELS between ports: PLOGI, PRLI, ADISC. What ports and fabric say to each other is in
//! [`understudy_fabric::els`].
//!
//! Formats: FC-LS, and FCP-4 clause 6 for PRLI.

use understudy_fabric::addr::Fcid;
use understudy_fabric::bytes::Put;
use understudy_fabric::els::{E_D_TOV_MS, Login, command};

use crate::wire::Names;

/// Process login.
pub const PRLI: u8 = 0x20;
/// Process logout.
pub const PRLO: u8 = 0x21;
/// Third party process logout.
pub const TPRLO: u8 = 0x24;
/// Discover whether a port is the one that was logged in.
pub const PDISC: u8 = 0x50;
/// Discover a port's address and names.
pub const ADISC: u8 = 0x52;

/// Features of a PLOGI: offsets increase continuously.
const FEATURES: u16 = 0x8800;
/// Sequences at a time, and which kinds of data have offsets.
const SEQUENCES: u32 = 0x00ff_001f;
/// The payload that this HBA receives, as the driver sets it up.
const RECEIVE_SIZE: u16 = 2048;

/// Returns a PLOGI, or the LS_ACC of one.
pub fn plogi(command: u8, names: Names) -> Vec<u8> {
    let Names { wwpn, wwnn } = names;
    Login {
        command,
        credit: 2,
        features: FEATURES,
        receive_size: RECEIVE_SIZE,
        r_a_tov: SEQUENCES,
        e_d_tov: E_D_TOV_MS,
        wwpn,
        wwnn,
    }
    .encode()
}

/// Returns a PRLI for FCP, or the LS_ACC of one, with this service parameter word 3.
pub fn prli(code: u8, word3: u16) -> Vec<u8> {
    const FCP: u8 = 8;
    const ESTABLISH: u8 = 0x20;
    const EXECUTED: u8 = 0x01;
    let executed = if code == command::LS_ACC { EXECUTED } else { 0 };
    let mut out = vec![code, 16, 0, 20, FCP, 0, ESTABLISH | executed, 0];
    out.put_zeros(10);
    out.put_u16(word3);
    out
}

/// Returns service parameter word 3 of a PRLI, or of the LS_ACC of one. Where bytes are
/// missing it is 0.
pub fn prli_word3(payload: &[u8]) -> u16 {
    let word = payload.get(18..).and_then(|tail| tail.first_chunk::<2>());
    word.map_or(0, |word| u16::from_be_bytes(*word))
}

/// Returns an ADISC, or the LS_ACC of one.
pub fn adisc(command: u8, names: Names, id: Fcid) -> Vec<u8> {
    let mut out = vec![command, 0, 0, 0];
    out.put_zeros(4);
    out.put_u64(names.wwpn.0);
    out.put_u64(names.wwnn.0);
    out.put_u32(id.0);
    out
}

/// Returns the LS_ACC of a PRLO: its page again, as carried out.
pub fn prlo_accept(payload: &[u8]) -> Vec<u8> {
    const EXECUTED: u8 = 0x01;
    let mut out = payload.to_vec();
    if let Some(first) = out.first_mut() {
        *first = command::LS_ACC;
    }
    if let Some(flags) = out.get_mut(6) {
        *flags |= EXECUTED;
    }
    out
}
