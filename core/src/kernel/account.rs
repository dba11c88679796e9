//! An account of commands, kept by nftables for each network interface under software FCoE:
//! how many commands have come in from each initiator, and how many were answered.
//!
//! A frame that carries a command (R_CTL 06h) is counted as it comes, and the frame that
//! carries its response (07h) as it leaves. The difference is what no counter of a disk
//! shows: a flush, a request that a multipath device holds back, a command that waits for a
//! processor. The account knows nothing of commands from before it was begun. So it also has
//! the names of the ports for which it was begun before they appeared: a ruleset that was
//! flushed and made again lacks them.
//!
//! tcm_fc never answers a command whose exchange it has agreed to abort (BA_ACC, 84h): the
//! response is refused and tried again without end (`fc_seq_send_locked` and
//! `ft_queue_status`). Such a command is lost, and hangs a logout.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wwn::Wwn;

/// The commands of an initiator to a port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Commands {
    /// The address of the port.
    pub target: u32,
    /// The address of the initiator.
    pub initiator: u32,
    /// How many have come.
    pub came: u64,
    /// How many were answered.
    pub answered: u64,
    /// How many the port has agreed to abort: these are never answered.
    pub aborted: u64,
}

impl Commands {
    /// Returns how many have not been answered.
    pub fn open(&self) -> u64 {
        self.came.saturating_sub(self.answered)
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, initiator, .. } = self;
        write!(f, "{} of {initiator:#08x} with {target:#08x}", self.open())
    }
}

/// What the account of an interface says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// The ports for which it has every command since they appeared.
    pub ports: BTreeSet<Wwn>,
    /// The commands, of each initiator to each port.
    pub commands: Vec<Commands>,
    /// How many commands have come in without getting into the account.
    pub missed: u64,
}
