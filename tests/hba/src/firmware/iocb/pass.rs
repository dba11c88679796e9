//! CT requests and ELS that the driver writes itself.

use understudy_fabric::addr::Fcid;

use crate::chip::iocb::{Ct, DMA_ERROR, Els, PORT_LOGGED_OUT, PORT_UNAVAILABLE, Segment};
use crate::fields::{Entry, swap_words};
use crate::wire::{Vp, WireError};

use super::super::Hba;
use super::super::exchanges::{Origin, Pending};
use super::super::remotes::well_known;

/// The longest request that is sent, in bytes: one frame's payload.
const LONGEST: u32 = 2112;

impl Hba {
    /// Sends a CT request.
    pub(super) fn ct(&mut self, mut entry: Entry, origin: Origin) {
        let ct = Ct::decode(&entry);
        let vp = Vp(ct.vp);
        let remote = self.state.remotes.get(vp, ct.handle).map(|remote| remote.id);
        let server = well_known(ct.handle).filter(|id| *id != Fcid::MANAGEMENT);
        let sent = match (self.request(ct.request), remote.or(server)) {
            (None, _) => Err(DMA_ERROR),
            (_, None) => Err(PORT_LOGGED_OUT),
            (Some(request), Some(id)) => {
                self.wire.send_ct(vp, id, &request, self.now).map_err(status_of)
            }
        };
        match sent {
            Ok(exchange) => {
                let pending = Pending::Ct(entry, origin, ct.answer);
                self.state.pending.insert(exchange, pending);
            }
            Err(status) => {
                Ct::finish(&mut entry, status, 0);
                self.finish(origin, entry);
            }
        }
    }

    /// Sends an ELS.
    pub(super) fn els(&mut self, mut entry: Entry, origin: Origin) {
        let els = Els::decode(&entry);
        let request =
            self.request(els.request).map(|request| in_wire_order(request, &els));
        let sent = match request {
            None => Err(DMA_ERROR),
            Some(request) => {
                let vp = Vp(els.vp);
                self.wire.send_els(vp, els.id, &request, self.now).map_err(status_of)
            }
        };
        match sent {
            Ok(exchange) => {
                let pending = Pending::Els(entry, origin, els.answer);
                self.state.pending.insert(exchange, pending);
            }
            Err(status) => {
                Els::finish(&mut entry, status, 0);
                self.finish(origin, entry);
            }
        }
    }

    fn request(&mut self, segment: Segment) -> Option<Vec<u8>> {
        let len = usize::try_from(segment.len.min(LONGEST)).ok()?;
        match self.memory.read_vec(segment.address, len) {
            Ok(request) => Some(request),
            Err(fault) => {
                self.nonsense(format!("a request to send: {fault}"));
                None
            }
        }
    }
}

/// Returns an ELS as it goes over the wire. The driver has a LOGO in words that are turned
/// round, and what comes from user space as it is. The command's place tells.
fn in_wire_order(request: Vec<u8>, els: &Els) -> Vec<u8> {
    match request.first_chunk::<4>() {
        Some([first, .., last]) if *first != els.opcode && *last == els.opcode => {
            swap_words(&request)
        }
        _ => request,
    }
}

fn status_of(error: WireError) -> u16 {
    match error {
        WireError::NoPort | WireError::NotLoggedIn => PORT_LOGGED_OUT,
        _ => PORT_UNAVAILABLE,
    }
}
