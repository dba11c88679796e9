//! LIO's Fibre Channel drivers. They differ in what a target looks like, and in its life: how
//! a port and its target come, serve and go together. Everything that differs is in one file
//! for each driver, so the verbs are the same for all of them.

#[cfg(test)]
pub(crate) mod made_up;
mod qla2xxx;
mod tcm_fc;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::config::group::{AUTO, PortSpec};
use crate::fc::{PhysicalPort, VirtualPort, VportState};
use crate::kernel::{Chain, Kernel, KernelError, paths};
use crate::wwn::Wwn;

use super::wanted::Wanted;

pub(crate) use qla2xxx::QLA2XXX;
pub(crate) use tcm_fc::TCM_FC;

/// What differs between LIO's Fibre Channel drivers.
pub(crate) trait Driver: fmt::Debug + Sync {
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

    // What a target is like.

    /// Returns the directory in which the target of a port is to be made.
    fn port_dir(&self, names: &Names) -> PathBuf {
        paths::lio_port(self.fabric(), names.wwpn)
    }
    /// Returns the directory of the target of a port, if it has one.
    ///
    /// # Errors
    /// When that cannot be read.
    fn find(
        &self,
        kernel: &dyn Kernel,
        wwpn: Wwn,
    ) -> Result<Option<PathBuf>, KernelError> {
        let path = paths::lio_port(self.fabric(), wwpn);
        Ok(kernel.exists(&path).then_some(path))
    }
    /// Returns the attribute of a portal group that lets it serve; `None` where it serves as
    /// soon as it is there.
    fn switch(&self) -> Option<&'static str> {
        None
    }
    /// Returns the relative target port identifier of a group's port: of this name, in
    /// this place among the group's.
    fn port_id(&self, wwpn: Wwn, number: u16) -> u16;
    /// Returns the attributes of a portal group that must not stay as they come.
    fn attributes(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    // How a port and its target come, serve and go.

    /// Returns the operations and steps that build a group's target, by what they need.
    fn build(&self, wanted: &Wanted) -> TargetSteps;
    /// Returns the operations that make a port appear in the fabric, on this physical port.
    ///
    /// # Errors
    /// When the switch of a physical port cannot be looked up.
    fn appear(
        &self,
        kernel: &dyn Kernel,
        wanted: &Wanted,
        port: &PortSpec,
        physical: &PhysicalPort,
    ) -> Result<Chain, KernelError>;
    /// Returns the operations that make a port serve once its target is built.
    fn serve(&self, _wanted: &Wanted, _port: &PortSpec) -> Chain {
        Chain::new()
    }
    /// Returns the ports that a group cannot be served without, of those that cannot appear
    /// here: their targets cannot be made before them.
    fn needed<'a>(&self, _lost: &'a [PortSpec]) -> &'a [PortSpec] {
        &[]
    }
    /// Returns what an operator can do about a port that is in this state, where it does not
    /// pass by itself.
    fn hopeless(&self, state: &VportState) -> Option<&'static str> {
        state.hopeless()
    }
    /// Returns the operations that take a port out of the fabric.
    ///
    /// # Errors
    /// When the address or the switch of a physical port cannot be read.
    fn vanish(
        &self,
        kernel: &dyn Kernel,
        port: &VirtualPort,
    ) -> Result<Chain, KernelError>;
    /// Returns how a logout of a port may hang, if it may.
    fn may_hang(&self, _port: &VirtualPort) -> Option<Hang> {
        None
    }
    /// Returns how long a target stays, once it is made.
    fn stays(&self) -> Stays;

    // What an operator has to see to.

    /// Checks that a physical port can carry targets; `None` where nothing has to be set up.
    ///
    /// # Errors
    /// [`Kind::Node`], with what has to be set up.
    fn ready(&self, _kernel: &dyn Kernel, _physical: Wwn) -> Option<Result<(), Failure>> {
        None
    }
    /// Returns what an operator should know before relying on the driver, each with what
    /// to do.
    fn doubts(
        &self,
        _kernel: &dyn Kernel,
        _physical: Wwn,
    ) -> Vec<(String, &'static str)> {
        Vec::new()
    }
}

impl PartialEq for dyn Driver {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Driver {}

/// The names of a port, and of the physical port that is to carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    /// The port name.
    pub wwpn: Wwn,
    /// The node name.
    pub wwnn: Wwn,
    /// The port name of the physical port; `None` where no port is to appear.
    pub physical: Option<Wwn>,
}

/// The steps that build a target, by what has to be there before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TargetSteps {
    /// Operations that need neither disks nor port.
    pub first: Vec<Chain>,
    /// Steps that need the disks, and no port.
    pub before: Vec<Step>,
    /// Steps that need the disks and the port.
    pub after: Vec<Step>,
}

/// How long a target stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stays {
    /// Until a release removes it.
    UntilRelease,
    /// Until a boot: it belongs to its port, and a release parks the two.
    UntilBoot,
}

/// A logout that may never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hang {
    /// How long a logout takes at most, if it ends.
    pub after: Duration,
    /// What an operator should know of one that does not end.
    pub advice: &'static str,
}

/// Every driver that there is.
pub(crate) const DRIVERS: [&dyn Driver; 2] = [&TCM_FC, &QLA2XXX];

/// Returns the drivers that a group may be served by: the one of this name, or all of them
/// where the name is [`AUTO`].
pub(crate) fn candidates(name: &str) -> Vec<&'static dyn Driver> {
    let may = |driver: &&dyn Driver| name == AUTO || name == driver.name();
    DRIVERS.into_iter().filter(may).collect()
}

/// Checks that LIO is here, and one of these drivers.
///
/// # Errors
/// [`Kind::Node`], with what has to be loaded.
pub(crate) fn is_here(
    kernel: &dyn Kernel,
    drivers: &[&dyn Driver],
) -> Result<(), Failure> {
    let lacks = |cause| Failure::new(Kind::Node, "look at this node", cause);
    let loaded = |driver: &&dyn Driver| kernel.exists(&paths::module(driver.module()));
    if let (false, Some(driver)) = (drivers.iter().any(loaded), drivers.first()) {
        let cause = format!("the module {} is not loaded", driver.module());
        return Err(lacks(cause).advise(driver.loaded()));
    }
    if !kernel.exists(Path::new(paths::TARGET)) {
        return Err(lacks(format!("{} is not there", paths::TARGET))
            .advise("Load target_core_mod and mount configfs: sys-kernel-config.mount"));
    }
    Ok(())
}

/// Returns why none of these drivers serves the ports of a SCSI host driver, in words;
/// `None` where one does.
pub(crate) fn unserved(drivers: &[&dyn Driver], host_driver: &str) -> Option<String> {
    if drivers.iter().any(|driver| driver.serves(host_driver)) {
        return None;
    }
    let names: Vec<_> = drivers.iter().map(|driver| driver.name()).collect();
    Some(format!("is driven by {host_driver}, not for {}", names.join(" or ")))
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
