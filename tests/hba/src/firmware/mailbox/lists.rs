//! Commands that tell who is logged in.

use understudy_fabric::bytes::Put;

use crate::chip::{Mailboxes, Status};
use crate::fields::id_bytes;
use crate::wire::Vp;

use super::super::Hba;
use super::super::remotes::Remote;
use super::{Outcome, done, failed};

/// How much of a record a list has.
const LISTED: usize = 40;

impl Hba {
    /// Tells what is known of another port.
    pub(super) fn port_database(&mut self, mailboxes: &Mailboxes) -> Outcome {
        let remote = self.state.remotes.get(Vp(mailboxes.vp()), mailboxes.at(1));
        let Some(record) = remote.map(|remote| record(remote, false)) else {
            return failed(Status::NotLoggedIn);
        };
        self.put_list(mailboxes, &record, &[])
    }

    /// Lists all other ports with their names.
    pub(super) fn port_list(&mut self, mailboxes: &Mailboxes) -> Outcome {
        let mut list = Vec::new();
        for remote in self.state.remotes.n_ports(Vp(mailboxes.vp())) {
            list.extend(record(remote, true).into_iter().take(LISTED));
        }
        list.truncate(usize::from(mailboxes.at(8)) / LISTED * LISTED);
        let len = u16::try_from(list.len()).unwrap_or(u16::MAX);
        self.put_list(mailboxes, &list, &[(1, len)])
    }

    /// Lists the addresses of all other ports.
    pub(super) fn id_list(&mut self, mailboxes: &Mailboxes) -> Outcome {
        let mut list = Vec::new();
        let mut count: u16 = 0;
        for remote in self.state.remotes.n_ports(Vp(mailboxes.vp())) {
            list.put(&id_bytes(remote.id));
            list.put_u8(0);
            list.put(&remote.handle.to_le_bytes());
            list.put_zeros(2);
            count = count.saturating_add(1);
        }
        self.put_list(mailboxes, &list, &[(1, count)])
    }

    fn put_list(
        &mut self,
        mailboxes: &Mailboxes,
        list: &[u8],
        values: &[(u64, u16)],
    ) -> Outcome {
        match self.memory.write(mailboxes.address(), list) {
            Ok(()) => done(values),
            Err(fault) => {
                self.nonsense(format!("a list has no room: {fault}"));
                failed(Status::Parameter)
            }
        }
    }
}

/// Returns the record of a port (struct port_database_24xx in qla_fw.h). Lists have the
/// names in the other order.
fn record(remote: &Remote, listed: bool) -> Vec<u8> {
    let mut out = vec![0; 2];
    let state = remote.stage.code();
    out.put(&[state, state, 0, 0, 0, 0]);
    let [low, middle, high] = id_bytes(remote.id);
    out.put(&[high, middle, low, 0, 0, 0]);
    out.put(&remote.handle.to_le_bytes());
    out.put(&remote.receive_size.to_le_bytes());
    out.put_zeros(4);
    // The driver's header calls it big endian. The driver looks for the bit of a target in
    // the first byte (__qla24xx_parse_gpdb in qla_mbx.c).
    out.put(&remote.roles.word3.to_le_bytes());
    for name in [remote.names.wwpn, remote.names.wwnn] {
        if listed {
            out.put(&name.0.to_le_bytes());
        } else {
            out.put_u64(name.0);
        }
    }
    out.put_zeros(24);
    out
}
