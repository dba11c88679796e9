//! A port of the HBA, and how far its login to the fabric has come.

use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::els::Logout;
use understudy_fabric::fip::VnPort;

use super::Names;

/// How long a FLOGI, FDISC or LOGO waits for its answer: E_D_TOV.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each of them is sent.
const TRIES: u8 = 4;

/// A port of the HBA.
#[derive(Debug, Clone, Copy)]
pub(super) struct Port {
    /// The names to log in with, if firmware wants it logged in.
    pub(super) names: Option<Names>,
    pub(super) state: State,
}

/// How far a port's login has come.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// Not logged in. If it is to be, not before this time.
    Out(Duration),
    /// The FLOGI or FDISC is sent.
    Asking(Names, Question),
    /// Logged in.
    In(Membership),
    /// The LOGO is sent.
    Leaving(Membership, Question),
}

/// A link service that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) ox_id: u16,
    /// How often it may still be sent, with the first time.
    pub(super) tries: u8,
    pub(super) deadline: Duration,
}

/// A login that is in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Membership {
    pub(super) id: Fcid,
    pub(super) names: Names,
    /// Whether virtual ports may follow.
    pub(super) npiv: bool,
    /// When the port's next keep-alive is due.
    pub(super) beat: Duration,
}

impl Question {
    /// Returns a question that is asked for the first time.
    pub(super) fn new(ox_id: u16, now: Duration) -> Self {
        Self { ox_id, tries: TRIES, deadline: now.saturating_add(PATIENCE) }
    }

    /// Returns the question, asked once more, or `None` if that was the last time.
    pub(super) fn again(self, now: Duration) -> Option<Self> {
        let tries = self.tries.checked_sub(1).filter(|tries| *tries > 0)?;
        Some(Self { tries, deadline: now.saturating_add(PATIENCE), ..self })
    }
}

impl Membership {
    /// Returns the LOGO that ends it.
    pub(super) fn logout(&self) -> Logout {
        Logout { fcid: self.id, wwpn: self.names.wwpn }
    }

    /// Returns the port as FIP names it.
    pub(super) fn vn_port(&self) -> VnPort {
        VnPort {
            mac: Mac::fabric_provided(self.id),
            fcid: self.id,
            wwpn: self.names.wwpn,
        }
    }
}

impl Port {
    /// A port that nobody wants logged in.
    pub(super) const OUT: Self = Self { names: None, state: State::Out(Duration::ZERO) };

    /// Returns the login that is in force.
    pub(super) fn membership(&self) -> Option<&Membership> {
        match &self.state {
            State::In(membership) => Some(membership),
            _ => None,
        }
    }

    /// Returns the address, if the port is logged in.
    pub(super) fn id(&self) -> Option<Fcid> {
        self.membership().map(|membership| membership.id)
    }
}
