//! The control socket's language: one JSON line a request, one line a reply.

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
    /// Cut a link: nothing passes, its ports are deregistered.
    Cut {
        /// Which.
        link: String,
    },
    /// End a cut.
    Restore {
        /// Which.
        link: String,
    },
    /// End the login of one port, with a Clear Virtual Link.
    Drop {
        /// Which.
        wwpn: Wwn,
    },
    /// Hold frames between ports; logins go on.
    Pause,
    /// Let them go, in order.
    Resume,
    /// Grant virtual ports, or do not, from a link's next FLOGI.
    Npiv {
        /// Whether.
        on: bool,
        /// One link; all where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
    /// Put zones in force, or end zoning.
    Zone {
        /// Each zone's members; all ports see all where there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zones: Option<Vec<Vec<Wwn>>>,
    },
    /// The events after a sequence number.
    Events {
        /// The last one that is already known.
        after: u64,
    },
    /// The reply, then events as they happen, a line each, until the client closes.
    Watch {
        /// Begin after this event; with the next one where there is none.
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
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For [`Request::Ports`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PortInfo>>,
    /// For [`Request::Links`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<LinkInfo>>,
    /// For [`Request::Events`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
}

impl Reply {
    /// Done.
    pub fn ok() -> Self {
        Self { ok: true, ..Self::default() }
    }

    /// Not done.
    pub fn error(error: impl ToString) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }
}

/// A port that is logged in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortInfo {
    /// The link it is on.
    pub link: String,
    /// Its name.
    pub wwpn: Wwn,
    /// Its node's name.
    pub wwnn: Wwn,
    /// The address that it was granted.
    pub fcid: Fcid,
    /// How it logged in.
    pub kind: LoginKind,
    /// The FC-4 types that it registered, with their features (1 target, 2 initiator).
    pub fc4: Vec<Fc4Info>,
    /// Whether it asked for state change notifications.
    pub state_changes: bool,
    /// Its symbolic port name.
    pub symbolic_name: String,
    /// When it logged in, seconds since 1970.
    pub since: f64,
}

/// A registered FC-4 type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fc4Info {
    /// The type: 8 is FCP.
    #[serde(rename = "type")]
    pub fc4: u8,
    /// Its feature bits, once RFF_ID has said them.
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
    /// Its name.
    pub name: String,
    /// Whether it carries frames.
    pub state: LinkState,
    /// Whether its next FLOGI is granted virtual ports.
    pub npiv: bool,
    /// How many ports are logged in on it.
    pub ports: usize,
    /// Frames received from the node.
    pub received: u64,
    /// Frames sent to the node.
    pub sent: u64,
    /// Frames from the node that no live port was there for, or that came from none.
    pub discarded: u64,
    /// Bytes waiting for the node to take them.
    pub queued: usize,
}
