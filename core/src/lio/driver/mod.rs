//! LIO's Fibre Channel drivers. They differ in what a target looks like, and in the order
//! in which a port and its target are made, serve and are removed. Each driver has its
//! own file for this, so the verbs are the same for all drivers.

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
use crate::fc::{self, PhysicalPort, VirtualPort, VportState};
use crate::kernel::{Chain, Kernel, KernelError, paths};
use crate::wwn::Wwn;

use super::observe::Tree;
use super::wanted::Wanted;

pub(crate) use qla2xxx::QLA2XXX;
pub(crate) use tcm_fc::TCM_FC;

/// How long a port is quiet before it logs out, unless its driver wants more.
pub(crate) const QUIET: Duration = Duration::from_millis(250);

/// A Fibre Channel driver of LIO: everything in which these drivers differ.
pub(crate) trait Driver: fmt::Debug + Sync {
    /// Returns the driver's name, as a value of the parameter `driver`.
    fn name(&self) -> &'static str;
    /// Returns the kernel module that must be loaded.
    fn module(&self) -> &'static str;
    /// Returns advice on when the module has to be loaded.
    fn loaded(&self) -> &'static str;
    /// Returns the name of the driver's directory in LIO's configfs.
    fn fabric(&self) -> &'static str;
    /// Returns whether the driver can serve the ports of this SCSI host driver.
    fn serves(&self, host_driver: &str) -> bool;

    // What a target is like.

    /// Returns the directory at which a port's target is to be made.
    fn port_dir(&self, names: &Names) -> PathBuf {
        paths::lio_port(self.fabric(), names.wwpn)
    }
    /// Returns the directory of a port's target; `None` if the port has none.
    ///
    /// # Errors
    /// When it cannot be read whether there is one.
    fn find(
        &self,
        kernel: &dyn Kernel,
        wwpn: Wwn,
    ) -> Result<Option<PathBuf>, KernelError> {
        let path = paths::lio_port(self.fabric(), wwpn);
        Ok(kernel.exists(&path).then_some(path))
    }
    /// Returns the attribute that makes a portal group serve; `None` if portal groups
    /// serve as soon as they exist.
    fn switch(&self) -> Option<&'static str> {
        None
    }
    /// Returns the relative target port identifier of a group's port with this name.
    /// `number` is the port's place among the group's ports.
    fn port_id(&self, wwpn: Wwn, number: u16) -> u16;
    /// Returns the attributes of a portal group whose defaults must be changed, with
    /// their values.
    fn attributes(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    // How a port and its target come, serve and go.

    /// Returns the operations and steps that build a group's target, sorted by what must
    /// exist before them.
    fn build(&self, wanted: &Wanted) -> TargetSteps;
    /// Returns the operations that make a port appear in the fabric, on the given
    /// physical port.
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
    /// Returns the operations that keep a port, which is in the fabric, from being more
    /// than a target. They come before its target is built.
    ///
    /// # Errors
    /// When the port cannot be looked up.
    fn restrict(
        &self,
        _kernel: &dyn Kernel,
        _wanted: &Wanted,
        _port: &PortSpec,
    ) -> Result<Chain, KernelError> {
        Ok(Chain::new())
    }
    /// Returns the operations that make a port serve once its target is built.
    fn serve(&self, _wanted: &Wanted, _port: &PortSpec) -> Chain {
        Chain::new()
    }
    /// Returns those of the `lost` ports without which the group cannot be served. That
    /// is so if a target cannot be made before its port.
    fn needed<'a>(&self, _lost: &'a [PortSpec]) -> &'a [PortSpec] {
        &[]
    }
    /// Returns what an operator can do about a state that a port does not leave by
    /// itself; `None` for states that may pass.
    fn hopeless(&self, state: &VportState) -> Option<&'static str> {
        state.hopeless()
    }
    /// Returns after how long a port in this state has to be told to log in again, because
    /// the driver has given up; `None` if the driver tries again by itself.
    fn gives_up_after(&self, _state: &VportState) -> Option<Duration> {
        None
    }
    /// Returns a number that changes with each command that comes to a port; `None` if
    /// nothing counts them. `tree` is the port's target. A drain waits until the number
    /// stands still.
    ///
    /// # Errors
    /// When a counter is there and cannot be read.
    fn arrivals(
        &self,
        kernel: &dyn Kernel,
        wwpn: Wwn,
        _tree: Option<&Tree>,
    ) -> Result<Option<u64>, KernelError> {
        fc::frames(kernel, wwpn)
    }
    /// Returns how long a port must be quiet before it logs out, with nothing in flight and
    /// no command coming. A command that has arrived and not reached a disk is in no
    /// counter of the kernel. Even a command that is just being turned away hangs a logout.
    fn quiet(&self) -> Duration {
        QUIET
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
    /// Returns how the logout of a port may hang; `None` if it cannot.
    fn may_hang(&self, _port: &VirtualPort) -> Option<Hang> {
        None
    }
    /// Returns in words how the driver hangs at this moment, so that its ports serve
    /// nobody and cannot log out; `None` if it does not. The words stay as they are while
    /// the same hang lasts. A driver may also wait for a moment, so only a hang that lasts
    /// is one.
    fn hangs(&self, _kernel: &dyn Kernel) -> Option<String> {
        None
    }
    /// Returns how long a target stays after it was made.
    fn stays(&self) -> Stays;

    // What an operator has to see to.

    /// Checks that a physical port can carry targets; `None` if nothing has to be set up
    /// for that.
    ///
    /// # Errors
    /// [`Kind::Node`], with advice on what has to be set up.
    fn ready(&self, _kernel: &dyn Kernel, _physical: Wwn) -> Option<Result<(), Failure>> {
        None
    }
    /// Returns doubts about the driver that an operator should know of beforehand, each
    /// with advice.
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
    /// The port name of the physical port; `None` if the port does not have to appear.
    pub physical: Option<Wwn>,
}

/// The steps that build a target, by what has to be there before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TargetSteps {
    /// Operations that need neither the disks nor the port.
    pub first: Vec<Chain>,
    /// Steps that need the disks, but not the port.
    pub before: Vec<Step>,
    /// Steps that need the disks and the port.
    pub after: Vec<Step>,
}

/// How long a target stays after it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stays {
    /// Until a release removes it.
    UntilRelease,
    /// Until a boot. The target is bound to its port, and a release parks both.
    UntilBoot,
}

/// A logout that may never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hang {
    /// How long a logout takes at most, if it ends.
    pub after: Duration,
    /// Advice for a logout that has not ended by then.
    pub advice: &'static str,
}

/// All drivers, in the order in which they are tried.
pub(crate) const DRIVERS: [&dyn Driver; 2] = [&TCM_FC, &QLA2XXX];

/// Returns the drivers that may serve a group: the one with this name, or all of them if
/// the name is [`AUTO`].
pub(crate) fn candidates(name: &str) -> Vec<&'static dyn Driver> {
    let may = |driver: &&dyn Driver| name == AUTO || name == driver.name();
    DRIVERS.into_iter().filter(may).collect()
}

/// Checks that LIO and at least one of these drivers are loaded.
///
/// # Errors
/// [`Kind::Node`], with advice on what has to be loaded.
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

/// Returns in words why none of these drivers serves the ports of a SCSI host driver;
/// `None` if one does.
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
