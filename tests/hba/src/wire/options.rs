//! How a wire is set up.

use std::time::Duration;

use understudy_fabric::addr::Mac;
use understudy_fabric::els::MAX_PAYLOAD;
use understudy_fabric::wwn::Wwn;

/// How a wire is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The HBA's own Ethernet address. FIP frames carry it; each port has another one,
    /// which the fabric grants.
    pub enode: Mac,
    /// The HBA's name in its search for a forwarder.
    pub node_name: Wwn,
    /// How many virtual ports there may be beside the physical one, 254 at most.
    pub vports: u8,
    /// How many exchanges may be open at a time, of all ports together.
    pub exchanges: u16,
    /// The largest payload that this HBA receives, in bytes.
    pub receive_size: u16,
    /// R_A_TOV until a fabric has stated its own.
    pub r_a_tov: Duration,
    /// How long an ELS of somebody else may wait for its answer. Then it is forgotten.
    pub els_patience: Duration,
    /// What happens to an ABTS for an exchange that this HBA does not have. If true, it
    /// is handed up like any other. If false, it is answered with BA_RJT.
    pub hand_up_unknown_aborts: bool,
}

impl Options {
    /// Returns the options of an ISP2532, with an Ethernet address and a name.
    pub fn new(enode: Mac, node_name: Wwn) -> Self {
        Self {
            enode,
            node_name,
            vports: 63,
            exchanges: 2048,
            receive_size: MAX_PAYLOAD,
            r_a_tov: Duration::from_secs(10),
            els_patience: Duration::from_secs(120),
            hand_up_unknown_aborts: false,
        }
    }
}
