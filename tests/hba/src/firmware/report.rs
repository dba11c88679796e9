//! What the firmware has to tell the journal.

use serde::{Deserialize, Serialize};
use understudy_fabric::addr::Fcid;
use understudy_fabric::wwn::Wwn;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Report {
    /// The chip was reset, by the driver or by its QEMU.
    Reset,
    /// The driver has started the firmware.
    Started {
        /// Whether the physical port serves as a target.
        target: bool,
        /// Whether the physical port is an initiator.
        initiator: bool,
        /// The name of the physical port.
        wwpn: Wwn,
    },
    /// The link to the fabric is up.
    LinkUp,
    /// The link to the fabric is down.
    LinkDown,
    /// A port of the HBA is logged in to the fabric.
    LoggedIn {
        /// The port.
        vp: u8,
        /// The port's address.
        fcid: Fcid,
    },
    /// The fabric has refused a port of the HBA, or has not answered.
    Refused {
        /// The port.
        vp: u8,
        /// Why.
        why: String,
    },
    /// A port of the HBA is logged out.
    LoggedOut {
        /// The port.
        vp: u8,
    },
    /// Another port is logged in, so that commands may come.
    Session {
        /// The port of the HBA.
        vp: u8,
        /// The address of the other port.
        fcid: Fcid,
        /// The name of the other port.
        wwpn: Wwn,
        /// The handle of the other port.
        handle: u16,
    },
    /// The login of another port has ended.
    SessionEnded {
        /// The port of the HBA.
        vp: u8,
        /// The address of the other port.
        fcid: Fcid,
        /// The name of the other port.
        wwpn: Wwn,
    },
    /// An initiator has sent an ABTS.
    Abort {
        /// The port of the HBA.
        vp: u8,
        /// The address of the initiator.
        fcid: Fcid,
        /// Whether the HBA had the exchange.
        known: bool,
    },
    /// A fault was injected.
    Fault {
        /// Which fault.
        what: String,
    },
    /// The guest wrote something that makes no sense.
    Nonsense {
        /// What it wrote.
        what: String,
    },
}
