//! The init control block: how the driver starts the firmware.
//!
//! Format: struct init_cb_24xx in drivers/scsi/qla2xxx/qla_fw.h.

use understudy_fabric::wwn::Wwn;

use crate::chip::Ring;
use crate::fields::Fields;
use crate::wire::Names;

/// Length of the part that is read, in bytes. The setups of virtual ports that follow it
/// are all 0: these ports come later.
pub(super) const LEN: usize = 132;

/// How the driver starts the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setup {
    /// The names of the physical port.
    pub(super) names: Names,
    /// The request ring, and the entry to begin with.
    pub(super) requests: (Ring, u32),
    /// The response ring, and the entry to begin with.
    pub(super) responses: (Ring, u32),
    /// The ATIO ring, and the entry to begin with.
    pub(super) atios: (Ring, u32),
    /// Whether the physical port serves as a target.
    pub(super) target: bool,
    /// Whether the physical port is an initiator.
    pub(super) initiator: bool,
    /// Whether a PRLI is handed up, and answered only when the driver says so.
    pub(super) prli_control: bool,
}

impl Setup {
    const TARGET: u32 = 1 << 4;
    const INITIATOR_DISABLED: u32 = 1 << 5;
    const NODE_NAME: u32 = 1 << 14;
    const PRLI_CONTROL: u32 = 1 << 14;

    /// Takes an init control block apart. Returns `None` where a ring that is needed has
    /// no entries, or no addresses for them.
    pub(super) fn decode(block: &impl Fields) -> Option<Self> {
        let options = (block.u32(92), block.u32(96));
        let ring = |address: usize, length: usize, index: usize| {
            let length = u32::from(block.u16(length));
            let ring = Ring { address: block.u64(address), length };
            (ring, u32::from(block.u16(index)))
        };
        let wwpn = Wwn(block.name(12));
        // Without a node name of its own, a port's node is named like the port.
        let own_node = options.0 & Self::NODE_NAME != 0;
        let wwnn = if own_node { Wwn(block.name(20)) } else { wwpn };
        let setup = Self {
            names: Names { wwpn, wwnn },
            requests: ring(44, 38, 30),
            responses: ring(52, 36, 28),
            atios: ring(80, 78, 76),
            target: options.0 & Self::TARGET != 0,
            initiator: options.0 & Self::INITIATOR_DISABLED == 0,
            prli_control: options.1 & Self::PRLI_CONTROL != 0,
        };
        let atios = !setup.target || setup.atios.0.is_usable();
        let usable =
            setup.requests.0.is_usable() && setup.responses.0.is_usable() && atios;
        usable.then_some(setup)
    }
}
