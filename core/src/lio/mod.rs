//! LIO, the kernel's SCSI target: what it exports, and how an export is built and
//! removed.

mod build;
pub mod numbers;
mod observe;
mod obsolete;
mod qla2xxx;
mod remove;
mod tcm_fc;

use std::fmt;
use std::path::PathBuf;

use crate::action::failure::Failure;
use crate::config::group::AUTO;
use crate::digest::fnv128;
use crate::kernel::{Kernel, paths};
use crate::wwn::Wwn;

pub use build::{
    LINK, backstore_of, backstore_path, build, enable, frame, luns, mapped_luns,
    set_alua, targets,
};
pub use observe::{Acl, Backstore, Export, Lun, Tree, alua, glance, observe, survey};
pub use obsolete::Obsolete;
pub use qla2xxx::{QLA2XXX, Qla2xxx};
pub use remove::{close, quiesce, remove_hbas, remove_ports, remove_strays, resume};
pub use tcm_fc::{TCM_FC, TcmFc};

/// What differs between LIO's Fibre Channel drivers.
pub trait Driver: fmt::Debug + Sync {
    /// Returns the name in the `driver` parameter.
    fn name(&self) -> &'static str;
    /// Returns the module that must be loaded.
    fn module(&self) -> &'static str;
    /// Returns when the module has to be loaded.
    fn loaded(&self) -> &'static str;
    /// Returns the driver's directory in LIO's configfs.
    fn fabric(&self) -> &'static str;
    /// Returns whether the driver serves the ports of a SCSI host driver.
    fn serves(&self, host_driver: &str) -> bool;
    /// Returns whether a target belongs, once made, to one virtual port for as long as
    /// the kernel runs. Then the port comes first and [`enable`] last; and a release logs
    /// the port out without deleting it, and leaves its empty target for the next
    /// takeover.
    fn binds(&self) -> bool;
    /// Returns the relative target port identifier of a group's port: of this name, in
    /// this place among the group's.
    fn port_id(&self, wwpn: Wwn, number: u16) -> u16;
    /// Returns the attributes of a portal group that must not stay as they come.
    fn attributes(&self) -> &'static [(&'static str, &'static str)];
    /// Checks that a physical port can carry targets.
    ///
    /// # Errors
    /// [`crate::action::failure::Kind::Node`], with what has to be set up.
    fn ready(&self, kernel: &dyn Kernel, physical: Wwn) -> Result<(), Failure>;
    /// Returns what an operator should know before relying on the driver, each with what
    /// to do.
    fn doubts(&self, kernel: &dyn Kernel, physical: Wwn) -> Vec<(String, &'static str)>;
}

impl PartialEq for dyn Driver {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Driver {}

/// Every driver that there is.
pub const DRIVERS: [&dyn Driver; 2] = [&TCM_FC, &QLA2XXX];

/// Returns the drivers that a group may be served by: the one of this name, or all of them
/// where the name is [`AUTO`].
pub fn candidates(name: &str) -> Vec<&'static dyn Driver> {
    let may = |driver: &&dyn Driver| name == AUTO || name == driver.name();
    DRIVERS.into_iter().filter(may).collect()
}

/// The ALUA state active/optimized, by LIO's number for it
/// (include/target/target_core_base.h).
pub const ALUA_ACTIVE_OPTIMIZED: &str = "0";
/// The ALUA state transitioning: every new command is answered with "try again" (NOT
/// READY, 04/0A).
pub const ALUA_TRANSITIONING: &str = "15";

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::params::VPORT;

    #[test]
    fn the_parameter_names_every_driver_and_no_other() {
        let driver = VPORT.iter().find(|param| param.name == "driver").unwrap();
        let names = DRIVERS.iter().map(|driver| driver.name());
        let words: Vec<_> = [AUTO].into_iter().chain(names).collect();
        assert_eq!(driver.kind.words(), words);
        let of =
            |word: &str| candidates(word).iter().map(|d| d.name()).collect::<Vec<_>>();
        assert_eq!(of(AUTO), words[1..]);
        words[1..].iter().for_each(|name| assert_eq!(of(name), [*name]));
    }
}
