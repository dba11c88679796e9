//! LIO, the kernel's SCSI target: what it exports, and how an export is built and
//! removed.

mod build;
mod driver;
mod missing;
pub mod numbers;
mod observe;
mod obsolete;
mod remove;
mod situation;
mod wanted;

use std::path::PathBuf;

use crate::digest::fnv128;
use crate::kernel::paths;
use crate::wwn::Wwn;

pub(crate) use build::{LINK, backstore_of, build, frame};
pub use build::{backstore_path, set_alua};
pub(crate) use driver::QUIET;
pub(crate) use driver::{
    DRIVERS, Driver, TCM_FC, TargetSteps, candidates, is_here, unserved,
};
#[cfg(test)]
pub(crate) use driver::{QLA2XXX, made_up};
pub(crate) use missing::missing;
#[cfg(test)]
pub(crate) use observe::Lun;
pub(crate) use observe::{
    Acl, Backstore, Export, Tree, all_backstores, alua, glance, lasting, observe, survey,
};
pub(crate) use obsolete::Obsolete;
pub(crate) use remove::{
    close, quiesce, remove_hbas, remove_ports, remove_strays, resume,
};
pub(crate) use situation::Situation;
pub(crate) use wanted::Wanted;

/// The ALUA state active/optimized, by LIO's number for it
/// (include/target/target_core_base.h).
pub(crate) const ALUA_ACTIVE_OPTIMIZED: &str = "0";
/// The ALUA state transitioning: every new command is answered with "try again" (NOT
/// READY, 04/0A).
pub(crate) const ALUA_TRANSITIONING: &str = "15";

/// The attribute of a backstore that has the ALUA state of its LUNs, on all ports.
const ALUA_STATE: &str = "alua/default_tg_pt_gp/alua_access_state";

/// Returns the directory of a group's backstores. Each group has its own. An agent that
/// removes its group's last backstore removes the directory too, and another group may be
/// making its first one.
pub fn hba(wwnn: Wwn) -> PathBuf {
    // The kernel parses the number as 32 bits.
    let number = fnv128(&["hba", &wwnn.hex()]) as u32 & 0x7fff_ffff;
    paths::lio_core().join(format!("iblock_{number}"))
}
