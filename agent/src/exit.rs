//! Exit codes, as Pacemaker reads them for each action.

use std::process::ExitCode;

use understudy_core::failure::{Failure, Kind};

/// An OCF exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done; for a monitor: running.
    Success = 0,
    /// It went wrong. From a stop this has the node fenced.
    Failed = 1,
    /// Called in a way that makes no sense.
    Arguments = 2,
    /// No such action.
    Unimplemented = 3,
    /// Not allowed, to this user.
    Permission = 4,
    /// This node lacks something; another may have it.
    Installed = 5,
    /// The configuration is wrong on every node: Pacemaker tries none.
    Configured = 6,
    /// For a monitor: not running, and nothing left.
    NotRunning = 7,
    /// For a monitor: running, and not as well as it should. Pacemaker shows it.
    Degraded = 190,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// What an action came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// See [`Code`].
    pub code: Code,
    /// A line for the operator.
    pub reason: Option<String>,
}

impl Outcome {
    /// This code, and nothing to explain.
    pub fn plain(code: Code) -> Self {
        Self { code, reason: None }
    }

    /// It went wrong.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { code: Code::Failed, reason: Some(reason.into()) }
    }

    /// A failure of any action but a stop or a monitor, to which Pacemaker may answer by
    /// trying another node, or none.
    pub fn of(result: Result<(), Failure>) -> Self {
        let Err(failure) = result else { return Self::plain(Code::Success) };
        let code = match failure.kind {
            Kind::Configuration => Code::Configured,
            Kind::Node => Code::Installed,
            Kind::Failed => Code::Failed,
        };
        Self { code, reason: Some(failure.to_string()) }
    }
}
