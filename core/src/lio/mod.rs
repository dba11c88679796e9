//! LIO, the kernel's SCSI target: what is exported, and how it comes and goes.

mod build;
mod observe;
mod obsolete;
mod remove;
mod tcm_fc;

use std::path::PathBuf;

use crate::digest::fnv128;
use crate::kernel::paths;
use crate::wwn::Wwn;

pub use build::{backstore_path, build, frame, luns, mapped_luns, set_alua};
pub use observe::{Acl, Backstore, Export, Lun, Tree, alua, glance, observe, survey};
pub use obsolete::Obsolete;
pub use remove::{close, quiesce, remove_hbas, remove_ports, resume};
pub use tcm_fc::{TCM_FC, TcmFc};

/// What differs between LIO's Fibre Channel drivers.
pub trait Driver {
    /// The name in the `driver` parameter.
    fn name(&self) -> &'static str;
    /// The module that must be loaded.
    fn module(&self) -> &'static str;
    /// Its directory in LIO's configfs.
    fn fabric(&self) -> &'static str;
    /// Whether it serves the ports of a SCSI host driver.
    fn serves(&self, host_driver: &str) -> bool;
}

/// Every driver that there is.
pub const DRIVERS: [&dyn Driver; 1] = [&TCM_FC];

/// ALUA states as LIO numbers them (include/target/target_core_base.h).
pub const ALUA_ACTIVE_OPTIMIZED: &str = "0";
/// Every new command is answered with "try again": NOT READY, 04/0A.
pub const ALUA_TRANSITIONING: &str = "15";

/// A backstore's attribute with the ALUA state of all that it is exported through.
const ALUA_STATE: &str = "alua/default_tg_pt_gp/alua_access_state";

/// The directory of a group's backstores, one for each group: an agent that removes its
/// last backstore must not take away the ground from under another group's first.
pub fn hba(wwnn: Wwn) -> PathBuf {
    // The kernel reads the number as 32 bits.
    let number = fnv128(&["hba", &wwnn.hex()]) as u32 & 0x7fff_ffff;
    paths::lio_core().join(format!("iblock_{number}"))
}
