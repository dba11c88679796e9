//! The account of SCSI commands on a network interface under software FCoE, which
//! nftables keep: how many commands came from each initiator, and how many were answered.
//!
//! A frame that carries a command (R_CTL 06h) is counted as it comes, and the frame that
//! carries its response (07h) as it leaves. The difference is what no counter of a disk
//! shows: a flush, a request that a multipath device holds back, a command that waits for
//! a processor. Commands that came before the account was begun are not in it. So it also
//! lists the ports for which it was begun before they appeared, and answers only for
//! these. If somebody flushes the ruleset, a new account does not list them.
//!
//! tcm_fc never answers a command after it has agreed to abort the command's exchange
//! (BA_ACC, 84h). The response is refused and tried again without end
//! (`fc_seq_send_locked` and `ft_queue_status`). Such a command is lost, and hangs a
//! logout.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wwn::Wwn;

/// Counts of the commands of one initiator to one port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Commands {
    /// The FC address of the port.
    pub target: u32,
    /// The FC address of the initiator.
    pub initiator: u32,
    /// How many commands have come.
    pub came: u64,
    /// How many commands were answered.
    pub answered: u64,
    /// How many commands the port has agreed to abort. These are never answered.
    pub aborted: u64,
}

impl Commands {
    /// Returns how many commands have not been answered.
    pub(crate) fn open(&self) -> u64 {
        self.came.saturating_sub(self.answered)
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, initiator, .. } = self;
        write!(f, "{} of {initiator:#08x} with {target:#08x}", self.open())
    }
}

/// The account of a network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// The ports that the account has counted every command for, since they appeared.
    pub ports: BTreeSet<Wwn>,
    /// The counts for each pair of an initiator and a port.
    pub commands: Vec<Commands>,
    /// How many commands were not counted because a set was full.
    pub missed: u64,
}
