//! A driver that is not there, with a life of its own, which is like that of efct
//! (drivers/scsi/elx/efct/efct_lio.c): a target's directory names the physical port and both
//! names of the new one, and the target's switch makes the port. It shows that a driver is
//! one file.

use std::path::PathBuf;

use super::{Driver, Names, Stays, TargetSteps};
use crate::action::step::Step;
use crate::config::group::PortSpec;
use crate::fc::{PhysicalPort, VirtualPort};
use crate::kernel::{Chain, Kernel, KernelError, paths};
use crate::lio::build::{luns, targets, write};
use crate::lio::observe::tpg;
use crate::lio::wanted::Wanted;
use crate::wwn::Wwn;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct MadeUp;

impl Driver for MadeUp {
    fn name(&self) -> &'static str {
        "made_up"
    }

    fn module(&self) -> &'static str {
        "made_up"
    }

    fn loaded(&self) -> &'static str {
        "Load it"
    }

    fn fabric(&self) -> &'static str {
        "made_up_npiv"
    }

    fn serves(&self, host_driver: &str) -> bool {
        host_driver == "made_up"
    }

    fn port_dir(&self, Names { wwpn, wwnn, physical }: &Names) -> PathBuf {
        let physical = physical.map(|name| name.to_string()).unwrap_or_default();
        paths::lio_fabric(self.fabric()).join(format!("{physical}@{wwpn}:{wwnn}"))
    }

    fn find(
        &self,
        kernel: &dyn Kernel,
        wwpn: Wwn,
    ) -> Result<Option<PathBuf>, KernelError> {
        let (dir, its) = (paths::lio_fabric(self.fabric()), format!("@{wwpn}:"));
        let names = kernel.list(&dir)?.into_iter();
        Ok(names.filter(|name| name.contains(&its)).map(|name| dir.join(name)).next())
    }

    fn switch(&self) -> Option<&'static str> {
        Some("enable")
    }

    fn port_id(&self, _: Wwn, number: u16) -> u16 {
        number
    }

    fn build(&self, wanted: &Wanted) -> TargetSteps {
        let mut before = vec![Step::new("make the target ports", targets(wanted))];
        before.extend(luns(wanted));
        TargetSteps { before, ..TargetSteps::default() }
    }

    fn appear(
        &self,
        _: &dyn Kernel,
        wanted: &Wanted,
        port: &PortSpec,
        _: &PhysicalPort,
    ) -> Result<Chain, KernelError> {
        Ok(vec![write(&wanted.tpg(port), "enable", "1".into())])
    }

    fn needed<'a>(&self, lost: &'a [PortSpec]) -> &'a [PortSpec] {
        lost
    }

    fn vanish(
        &self,
        kernel: &dyn Kernel,
        port: &VirtualPort,
    ) -> Result<Chain, KernelError> {
        let dir = self.find(kernel, port.wwpn)?;
        Ok(dir.map(|dir| write(&tpg(&dir), "enable", "0".into())).into_iter().collect())
    }

    fn stays(&self) -> Stays {
        Stays::UntilRelease
    }
}
