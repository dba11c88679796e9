//! The states of ports. They are parsed once, where sysfs is read, and printed in the
//! kernel's words.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enum of port states, each with the kernel's word for it. A word that is
/// not in the list is kept as `Other`.
macro_rules! states {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$what:meta])* $state:ident = $word:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$what])* $state,)+
            /// Another word, which this list of states does not have.
            Other(String),
        }

        impl $name {
            /// Returns the word for the state, as sysfs, the status and messages use it.
            pub fn word(&self) -> &str {
                match self {
                    $(Self::$state => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$state,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from).map(Self::from)
            }
        }
    };
}

states! {
    /// The state of a virtual port (`fc_vport_state_names` in
    /// drivers/scsi/scsi_transport_fc.c). The driver sets it, after what the fabric
    /// answered.
    VportState {
        /// The driver has set no state.
        Unknown = "Unknown",
        /// Logged in to the fabric.
        Active = "Active",
        /// Told to stay out of the fabric (`vport_disable`).
        Disabled = "Disabled",
        /// The physical port has no link.
        Linkdown = "Linkdown",
        /// About to log in to the fabric.
        Initializing = "Initializing",
        /// The switch does not support NPIV.
        NoFabricSupport = "No Fabric Support",
        /// The switch's limit of NPIV logins is reached.
        NoFabricResources = "No Fabric Resources",
        /// The fabric has logged the port out.
        FabricLogout = "Fabric Logout",
        /// The fabric does not accept the port's name.
        FabricRejectedWwn = "Fabric Rejected WWN",
        /// The driver has given up on the port. qla2xxx also shows this for a moment
        /// while a link comes and goes (`qla2x00_async_event`).
        Failed = "VPort Failed",
    }
}

states! {
    /// The state of a host's port or of a remote port (`fc_port_state_names` in
    /// drivers/scsi/scsi_transport_fc.c). understudy adds one state, `Dark`.
    PortState {
        /// The driver has set no state.
        Unknown = "Unknown",
        /// A remote port that the fabric no longer shows.
        NotPresent = "Not Present",
        /// Logged in: a host's port to the fabric, a remote port with this node's port.
        Online = "Online",
        /// About to log in, or told to stay out of the fabric.
        Offline = "Offline",
        /// A remote port that was lost a moment ago and may come back.
        Blocked = "Blocked",
        /// A port that is bypassed in its loop.
        Bypassed = "Bypassed",
        /// Busy with a diagnostic test.
        Diagnostics = "Diagnostics",
        /// A port without a link.
        Linkdown = "Linkdown",
        /// A port that the driver reports as faulty.
        Error = "Error",
        /// A port that is connected to itself.
        Loopback = "Loopback",
        /// A port that is being removed.
        Deleted = "Deleted",
        /// A remote port whose path loses frames.
        Marginal = "Marginal",
        /// A physical port that is turned off. The kernel has no state for this.
        Dark = "Dark",
    }
}

impl VportState {
    /// Returns what an operator can do about a state that a port does not leave by itself
    /// while its physical port is online; `None` for states that may pass. Each of these
    /// states also shows for a moment when the link changes, so the caller has to see it
    /// last.
    pub(crate) fn hopeless(&self) -> Option<&'static str> {
        match self {
            Self::NoFabricSupport => Some("Turn NPIV on at the switch port"),
            Self::NoFabricResources => {
                Some("The switch port's limit of NPIV logins is reached")
            }
            Self::FabricRejectedWwn => {
                Some("The fabric takes the name for a duplicate, or bars it")
            }
            Self::FabricLogout => Some("The fabric logged the port out"),
            Self::Failed => Some("See the kernel's log"),
            _ => None,
        }
    }
}

/// Returns the state of a physical port as a virtual port's state: `Online` is `Active`,
/// the other words are the same.
impl From<PortState> for VportState {
    fn from(state: PortState) -> Self {
        match state {
            PortState::Online => Self::Active,
            state => Self::from(state.to_string()),
        }
    }
}

/// What was seen of a port: its state, or that the kernel has no such port, which prints
/// as `absent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<S> {
    /// The kernel has no such port.
    Absent,
    /// The kernel has the port, in this state.
    In(S),
}

impl<S: PartialEq> Seen<S> {
    /// Returns whether the port is there and in this state.
    pub fn is(&self, state: &S) -> bool {
        matches!(self, Self::In(its) if its == state)
    }
}

impl<S> From<Option<S>> for Seen<S> {
    fn from(state: Option<S>) -> Self {
        state.map_or(Self::Absent, Self::In)
    }
}

/// The word for a port that the kernel does not have.
const ABSENT: &str = "absent";

impl<S: fmt::Display> fmt::Display for Seen<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.pad(ABSENT),
            Self::In(state) => state.fmt(f),
        }
    }
}

impl<S: fmt::Display> Serialize for Seen<S> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        to.collect_str(self)
    }
}

impl<'de, S: From<String>> Deserialize<'de> for Seen<S> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        Ok(if word == ABSENT { Self::Absent } else { Self::In(S::from(word)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states in the kernel's source, and one word that is none of them.
    const VPORTS: [&str; 11] = [
        "Unknown",
        "Active",
        "Disabled",
        "Linkdown",
        "Initializing",
        "No Fabric Support",
        "No Fabric Resources",
        "Fabric Logout",
        "Fabric Rejected WWN",
        "VPort Failed",
        "Half Way",
    ];
    const PORTS: [&str; 14] = [
        "Unknown",
        "Not Present",
        "Online",
        "Offline",
        "Blocked",
        "Bypassed",
        "Diagnostics",
        "Linkdown",
        "Error",
        "Loopback",
        "Deleted",
        "Marginal",
        "Dark",
        "Half Way",
    ];

    fn known<S: From<String> + fmt::Display + Serialize>(
        words: &[&str],
        is_other: fn(&S) -> bool,
    ) -> usize {
        for word in words {
            let state = S::from((*word).to_owned());
            assert_eq!(state.to_string(), *word);
            assert_eq!(serde_json::to_value(&state).unwrap(), *word);
        }
        let states = words.iter().map(|word| S::from((*word).to_owned()));
        states.filter(|state| !is_other(state)).count()
    }

    #[test]
    fn a_state_is_printed_as_it_was_read() {
        assert_eq!(known(&VPORTS, |state| matches!(state, VportState::Other(_))), 10);
        assert_eq!(known(&PORTS, |state| matches!(state, PortState::Other(_))), 13);
    }

    #[test]
    fn a_physical_port_that_is_online_is_active() {
        for (word, state) in [
            ("Online", VportState::Active),
            ("Linkdown", VportState::Linkdown),
            ("Offline", VportState::Other("Offline".into())),
        ] {
            assert_eq!(VportState::from(PortState::from(word.to_owned())), state);
        }
    }

    #[test]
    fn a_port_that_is_not_there_is_absent() {
        let states = [None, Some(PortState::Blocked)].map(Seen::from);
        assert_eq!(serde_json::to_string(&states).unwrap(), r#"["absent","Blocked"]"#);
        assert!(states[1].is(&PortState::Blocked) && !states[0].is(&PortState::Blocked));
    }
}
