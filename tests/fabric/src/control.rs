//! The language of the control socket: JSON, one request or reply a line.

use serde::{Deserialize, Serialize};

use crate::addr::Fcid;
use crate::wwn::Wwn;

pub use crate::event::{Event, LoginKind, Overlap, What, contests, overlaps};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase")]
pub enum Request {
    /// List the ports that are logged in.
    Ports,
    /// List the links.
    Links,
    /// Cut a link: no frame passes, and its ports are deregistered.
    Cut {
        /// The link.
        link: String,
    },
    /// End the cut of a link.
    Restore {
        /// The link.
        link: String,
    },
    /// End the login of one port, with a Clear Virtual Link.
    Drop {
        /// The port's name.
        wwpn: Wwn,
    },
    /// Hold frames between ports; logins go on.
    Pause,
    /// Forward the held frames in order, and stop holding them.
    Resume,
    /// Grant or refuse virtual ports, from a link's next FLOGI.
    Npiv {
        /// Whether virtual ports are granted.
        on: bool,
        /// The link, or `None` for every link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
    /// Put zones in force, or end zoning.
    Zone {
        /// The members of each zone. Without zones every port sees every other.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zones: Option<Vec<Vec<Wwn>>>,
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
    /// The answer to [`Request::Ports`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PortInfo>>,
    /// The answer to [`Request::Links`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<LinkInfo>>,
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

/// A port that is logged in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortInfo {
    /// The link that the port is on.
    pub link: String,
    /// The port's name.
    pub wwpn: Wwn,
    /// The name of the port's node.
    pub wwnn: Wwn,
    /// The address that the port was granted.
    pub fcid: Fcid,
    /// How the port logged in.
    pub kind: LoginKind,
    /// The FC-4 types that the port registered, with their features (1 target, 2
    /// initiator).
    pub fc4: Vec<Fc4Info>,
    /// Whether the port asked for state change notifications.
    pub state_changes: bool,
    /// The symbolic port name.
    pub symbolic_name: String,
    /// When the port logged in, in seconds since 1970.
    pub since: f64,
}

/// A registered FC-4 type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fc4Info {
    /// The type: 8 is FCP.
    #[serde(rename = "type")]
    pub fc4: u8,
    /// The feature bits of the type, once RFF_ID has set them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<u8>,
}

/// Whether a link carries frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// A node is connected.
    Up,
    /// No node is connected.
    Down,
    /// Cut through the control socket, whether or not a node is connected.
    Cut,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkInfo {
    /// The link's name.
    pub name: String,
    /// Whether the link carries frames.
    pub state: LinkState,
    /// Whether the link's next FLOGI is granted virtual ports.
    pub npiv: bool,
    /// How many ports are logged in on the link.
    pub ports: usize,
    /// Frames received from the node.
    pub received: u64,
    /// Frames sent to the node.
    pub sent: u64,
    /// Frames from the node that were not forwarded, because one of the two ports was not
    /// logged in, or because no zone has both.
    pub discarded: u64,
    /// Bytes waiting for the node to take them.
    pub queued: usize,
}
