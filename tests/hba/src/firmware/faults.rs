//! Faults that a test injects.

use serde::{Deserialize, Serialize};
use understudy_fabric::els::Reject;

use crate::wire;

use super::link::event;
use super::{Hba, Report};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// The firmware reports a system error (8002). The driver resets the chip.
    SystemError,
    /// Mailbox commands are carried out and not answered, until this ends.
    Silent {
        /// Whether it begins or ends.
        on: bool,
    },
    /// The next logins of virtual ports fail, as if the fabric had refused them.
    RefuseVports {
        /// How many.
        count: u32,
    },
    /// The next entries that go on with a command are lost: they are neither carried out
    /// nor answered.
    LoseCtios {
        /// How many.
        count: u32,
    },
}

/// The faults that are in force.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) silent: bool,
    pub(super) refuse_vports: u32,
    pub(super) lose_ctios: u32,
}

impl Faults {
    /// What the fabric of this project says of a name that is in use.
    pub(super) const REJECT: Reject = Reject::NAME_IN_USE;

    /// Returns whether a counted fault strikes now, and counts it.
    pub(super) fn strikes(left: &mut u32) -> bool {
        let strikes = *left > 0;
        *left = left.saturating_sub(1);
        strikes
    }
}

impl Hba {
    /// Injects a fault.
    pub fn inject(&mut self, fault: Fault) {
        self.report(Report::Fault { what: format!("{fault:?}") });
        match fault {
            Fault::SystemError => self.tell([event::SYSTEM_ERROR, 0x10, 0x20, 0]),
            Fault::Silent { on } => self.faults.silent = on,
            Fault::RefuseVports { count } => self.faults.refuse_vports = count,
            Fault::LoseCtios { count } => self.faults.lose_ctios = count,
        }
    }

    /// Strikes the next exchange that has a certain frame.
    pub fn strike(&mut self, fault: wire::Fault) {
        self.report(Report::Fault { what: format!("{fault:?}") });
        self.wire.strike(fault);
    }
}
