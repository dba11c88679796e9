//! The situation of a port on this node, which follows from the port and its target.

use crate::fc::VirtualPort;

use super::observe::Tree;

/// The situation of one port of a group on this node, by two facts: the virtual port, and
/// its target in LIO. A target is empty if it has neither LUNs nor initiators. It is bound
/// if its driver keeps it with its port until a boot ([`Tree::is_bound`]).
///
/// | situation | the port | its target | what a takeover does | what a release does |
/// | --- | --- | --- | --- | --- |
/// | `Absent` | none | none | makes both | nothing |
/// | `Serving` | any; if bound, not `Disabled` | not empty | leaves it | logs the port out, takes the LUNs away |
/// | `Parked` | `Disabled` | bound | fills the target, lets the port log in | empties the target |
/// | `Stray` | any other | bound, empty, enabled | logs the port out, then as for `Parked` | logs the port out |
/// | `Orphaned` | none | bound | refuses: only a boot helps | empties the target |
/// | `Partial` | anything else: a start or a stop was cut short | | goes on | takes it down |
///
/// A `Parked` port is what a release leaves where targets are bound. It becomes a `Stray`
/// one when the HBA is reset, which lets every port log in. Of ports that are bound only
/// `Disabled` says that the driver has logged one out: a link event shows a port that is
/// logged in as `VPort Failed` for a moment (`qla2x00_async_event`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Situation {
    /// Neither the port nor its target is on this node.
    Absent,
    /// Initiators may use LUNs behind the port.
    Serving,
    /// The port is logged out and waits, with its target, for a takeover.
    Parked,
    /// The port is logged in to the fabric, with an empty target.
    Stray,
    /// Somebody has deleted the port. No other port can take its target.
    Orphaned,
    /// The port is without its target, or the target without its LUNs or its port.
    Partial,
}

impl Situation {
    /// Returns the situation of a port and its target.
    pub(crate) fn of(port: Option<&VirtualPort>, target: Option<&Tree>) -> Self {
        let Some(target) = target else {
            return if port.is_none() { Self::Absent } else { Self::Partial };
        };
        let is_bound = target.is_bound();
        match port {
            None if is_bound => Self::Orphaned,
            None => Self::Partial,
            Some(port) if is_bound && port.is_disabled() => Self::Parked,
            Some(_) if !target.is_bare() => Self::Serving,
            Some(_) if is_bound && target.enabled == Some(true) => Self::Stray,
            Some(_) => Self::Partial,
        }
    }

    /// Returns whether a takeover uses the port again, because the port and a target that
    /// can be filled exist.
    pub(crate) fn is_reusable(self) -> bool {
        matches!(self, Self::Parked | Self::Stray)
    }
}
