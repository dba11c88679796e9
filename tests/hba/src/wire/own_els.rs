//! The link services that need no firmware: ECHO, RLS, RTV, REC, RRQ and RSCN (FC-LS).

use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::bytes::{Put, Reader};
use understudy_fabric::els::{Reject, StateChange, accept, command, timeouts};
use understudy_fabric::frame::FcHeader;

use super::exchange::{Exchange, Exchanges, Kind};
use super::sequence::{RESPONDER, Stretch};
use super::{RscnPage, Vp};

const ECHO: u8 = 0x10;
const REC: u8 = 0x13;

/// LS_RJT: logical error, the OX_ID and RX_ID name no exchange.
const NO_EXCHANGE: Reject = Reject { reason: 0x03, explanation: 0x17 };
/// E_STAT: this end did not begin the exchange.
const STAT_RESPONDER: u32 = 1 << 31;
/// E_STAT: this end has the sequence initiative.
const STAT_INITIATIVE: u32 = 1 << 30;

/// An answer, and the changes that the ELS named.
pub(super) struct OwnAnswer {
    pub(super) payload: Vec<u8>,
    pub(super) pages: Vec<RscnPage>,
}

/// Returns the answer to an ELS that needs no firmware, or `None` for any other.
pub(super) fn answer(
    exchanges: &Exchanges,
    vp: Vp,
    header: &FcHeader,
    els: &[u8],
    r_a_tov: Duration,
) -> Option<OwnAnswer> {
    let mut pages = Vec::new();
    let payload = match *els.first()? {
        ECHO => [&accept(), els.get(4..).unwrap_or_default()].concat(),
        // Six counters of errors that do not happen here.
        command::RLS => [accept(), vec![0; 24]].concat(),
        command::RTV => timeouts(u32::try_from(r_a_tov.as_millis()).unwrap_or(u32::MAX)),
        command::RRQ => accept(),
        REC => match asked_for(exchanges, vp, header, els) {
            Some(exchange) => state(exchange),
            None => NO_EXCHANGE.encode(),
        },
        command::RSCN => match StateChange::pages(els) {
            Some(changed) => {
                let page = |(format, id)| RscnPage { format, id };
                pages = changed.into_iter().map(page).collect();
                accept()
            }
            None => Reject::BAD_LENGTH.encode(),
        },
        _ => return None,
    };
    Some(OwnAnswer { payload, pages })
}

/// Returns the exchange that a REC asks for. Its sender must be the other end.
fn asked_for<'a>(
    exchanges: &'a Exchanges,
    vp: Vp,
    header: &FcHeader,
    rec: &[u8],
) -> Option<&'a Exchange> {
    let mut reader = Reader::new(rec);
    reader.skip(5)?;
    let originator = Fcid(reader.u24()?);
    let (ox_id, rx_id) = (reader.u16()?, reader.u16()?);
    // The exchange is looked up as if a frame of it had come from the REC's sender.
    let f_ctl = if originator == header.s_id { 0 } else { RESPONDER };
    let id = exchanges.of_frame(vp, &FcHeader { f_ctl, ox_id, rx_id, ..*header })?;
    exchanges.get(id)
}

/// Returns the LS_ACC of a REC.
fn state(exchange: &Exchange) -> Vec<u8> {
    let (moved, waits) = match &exchange.kind {
        Kind::Target { ask, moved } => {
            let arrived = ask.as_ref().map_or(0, Stretch::moved);
            (moved.saturating_add(arrived), ask.is_some())
        }
        Kind::Initiator { read, wanted, .. } => (read.moved(), wanted.is_none()),
        _ => (0, exchange.ours),
    };
    let (originator, responder) = match exchange.ours {
        true => (exchange.local, exchange.remote),
        false => (exchange.remote, exchange.local),
    };
    let mut out = accept();
    out.put_u16(exchange.ox_id);
    out.put_u16(exchange.rx_id);
    out.put_u32(originator.0);
    out.put_u32(responder.0);
    out.put_u32(moved);
    let responder = if exchange.ours { 0 } else { STAT_RESPONDER };
    out.put_u32(responder | if waits { 0 } else { STAT_INITIATIVE });
    out
}
