//! The language of the control socket: JSON, one request or reply a line.

use serde::{Deserialize, Serialize};

use crate::firmware::{Fault, PortState, Report, Switches};
use crate::wire::{Direction, FrameKind};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase")]
pub enum Request {
    /// Tell how the HBA is.
    State,
    /// Turn light on or off, as if a cable was plugged or pulled.
    Light {
        /// Whether there is light.
        on: bool,
    },
    /// Inject a fault.
    Inject(Fault),
    /// Lose or hold the frames of the next exchange that has a certain frame.
    Strike {
        /// Which way the frames go.
        direction: Direction,
        /// The frame that is struck first. Those that follow it share its fate.
        frame: FrameKind,
        /// For how many milliseconds the frames are held. Without a number they are lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_ms: Option<u64>,
    },
    /// Set how firmware behaves where no source tells.
    Switch {
        /// All switches.
        switches: Switches,
    },
    /// List the events after a sequence number.
    Events {
        /// The number of the last event that is already known.
        after: u64,
    },
    /// Reply, then send events as they happen, one a line, until the client closes.
    Watch {
        /// The event to begin after. Without a number the next event is the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    /// End the program.
    Quit,
}

/// A reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether the request was carried out.
    pub ok: bool,
    /// Why the request was not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The answer to [`Request::State`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<HbaState>,
    /// The answer to [`Request::Events`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
}

impl Reply {
    /// Returns the reply to a request that was carried out.
    pub fn ok() -> Self {
        Self { ok: true, ..Self::default() }
    }

    /// Returns the reply to a request that was not carried out.
    pub fn error(error: impl ToString) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }
}

/// How an HBA is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HbaState {
    /// Whether a guest's QEMU is connected.
    pub guest: bool,
    /// Whether the fabric is connected.
    pub fabric: bool,
    /// Whether light is on, as far as it is up to the control socket.
    pub light: bool,
    /// The ports, once the driver has started the firmware.
    pub ports: Vec<PortState>,
    /// Frames received from the fabric.
    pub received: u64,
    /// Frames sent to the fabric.
    pub sent: u64,
    /// Frames that were thrown away.
    pub discarded: u64,
    /// How firmware behaves where no source tells.
    pub switches: Switches,
}

/// An entry of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The entry's number, from 1.
    pub seq: u64,
    /// When it happened, in seconds since 1970.
    pub t: f64,
    /// What happened.
    #[serde(flatten)]
    pub report: Report,
}
