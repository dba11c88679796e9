//! Exit codes, as Pacemaker reads them for each action.

use std::process::ExitCode;

use understudy_core::action::failure::{Failure, Kind};

/// An OCF exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done; for a monitor: running.
    Success = 0,
    /// The action went wrong. If it was a stop, the node is fenced.
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

/// The result of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code.
    pub code: Code,
    /// A line for the operator.
    pub reason: Option<String>,
}

impl Outcome {
    /// Returns an outcome with this code, and nothing to explain.
    pub fn plain(code: Code) -> Self {
        Self { code, reason: None }
    }

    /// Returns the outcome of an action that went wrong.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { code: Code::Failed, reason: Some(reason.into()) }
    }

    /// Returns the outcome of any action but a stop or a monitor. Pacemaker may answer a
    /// failure by trying another node, or none.
    pub fn of(result: Result<(), Failure>) -> Self {
        let Err(failure) = result else { return Self::plain(Code::Success) };
        let code = match failure.kind {
            Kind::Configuration => Code::Configured,
            Kind::Node => Code::Installed,
            _ => Code::Failed,
        };
        Self { code, reason: Some(failure.to_string()) }
    }
}
