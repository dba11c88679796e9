//! Commands about the port on the fabric.

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::StateChangeRegistration;

use crate::chip::{Mailboxes, Status};
use crate::wire::{Vp, WireError};

use super::super::Hba;
use super::super::exchanges::{Origin, Pending};
use super::super::link::SPEED_8G;
use super::super::remotes::well_known;
use super::{Outcome, done, failed};

/// Why there is no address: no link.
const NO_LINK: u16 = 7;
/// The topology: a fabric, point to point.
const TOPOLOGY_F_PORT: u16 = 3;
/// The switch grants virtual ports.
const SWITCH_NPIV: u16 = 1 << 10;
/// What stands for a loop address in a topology without them.
const NO_LOOP_ID: u16 = 0xffff;
/// Tries of a login, and R_A_TOV in tenths of a second, twice: 10 s.
const RETRIES: u16 = 8;
const TWICE_R_A_TOV: u16 = 0xc8;

impl Hba {
    pub(super) fn retry_count(&self) -> Outcome {
        done(&[(1, RETRIES), (2, 0), (3, TWICE_R_A_TOV)])
    }

    pub(super) fn data_rate(&self) -> Outcome {
        done(&[(1, SPEED_8G)])
    }

    /// Tells the address of a port of the HBA.
    pub(super) fn address(&self, mailboxes: &Mailboxes) -> Outcome {
        let id = self.wire.id(Vp(mailboxes.vp()));
        let (Some(id), Some(login)) = (id, self.state.login) else {
            return Some((Status::Error, vec![(1, NO_LINK)]));
        };
        let [_, domain, area, port] = id.0.to_be_bytes();
        let npiv = if login.npiv { SWITCH_NPIV } else { 0 };
        done(&[
            (1, NO_LOOP_ID),
            (2, u16::from_be_bytes([area, port])),
            (3, u16::from(domain)),
            (6, TOPOLOGY_F_PORT),
            (7, npiv),
        ])
    }

    /// Tells the name of another port, or of its node.
    pub(super) fn port_name(&self, mailboxes: &Mailboxes) -> Outcome {
        let (handle, node) = (mailboxes.at(1), mailboxes.at(10) & 1 == 1);
        let remote = self.state.remotes.get(Vp(mailboxes.vp()), handle);
        let name = match (well_known(handle), self.state.login, remote) {
            (Some(Fcid::F_PORT), Some(login), _) if node => Some(login.fabric),
            (Some(Fcid::F_PORT), Some(login), _) => Some(login.f_port),
            (_, _, Some(remote)) if node => Some(remote.names.wwnn),
            (_, _, Some(remote)) => Some(remote.names.wwpn),
            _ => None,
        };
        let Some(name) = name else { return failed(Status::NotLoggedIn) };
        let [a, b, c, d, e, f, g, h] = name.0.to_be_bytes();
        let pair = |first, second| u16::from_be_bytes([first, second]);
        done(&[(2, pair(a, b)), (3, pair(c, d)), (6, pair(e, f)), (7, pair(g, h))])
    }

    /// Asks the fabric for state change notifications. The answer comes when the fabric
    /// has answered.
    pub(super) fn register_state_changes(&mut self, mailboxes: &Mailboxes) -> Outcome {
        let [function, _] = mailboxes.at(1).to_le_bytes();
        let scr = StateChangeRegistration { function }.encode();
        let vp = Vp(mailboxes.vp());
        match self.wire.send_els(vp, Fcid::CONTROLLER, &scr, self.now) {
            Ok(exchange) => {
                let pending = Pending::StateChanges(mailboxes.clone());
                self.state.pending.insert(exchange, pending);
                None
            }
            Err(WireError::NoPort | WireError::NotLoggedIn) => {
                failed(Status::NotLoggedIn)
            }
            Err(_) => failed(Status::Error),
        }
    }

    /// Carries out an entry that lies in a buffer of its own instead of in the ring.
    pub(super) fn entry_by_mailbox(&mut self, mailboxes: &Mailboxes) -> Outcome {
        let Some(entry) = self.read_entry(mailboxes.address()) else {
            self.nonsense(format!("no entry at {:#x}", mailboxes.address()));
            return failed(Status::Parameter);
        };
        if self.state.setup.is_none() {
            return failed(Status::Error);
        }
        self.carry_out_entry(entry, &[], Origin::Mailbox(mailboxes.clone()));
        None
    }
}
