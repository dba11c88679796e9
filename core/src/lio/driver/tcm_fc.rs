//! tcm_fc, the target driver for ports of libfc (fcoe, bnx2fc, qedf). A target's
//! directory does not need its port, so the whole target is built first, and the port
//! appears with everything in place. There is no demo mode, so each initiator needs an
//! ACL before it logs in (drivers/target/tcm_fc/tfc_conf.c).

use std::time::Duration;

use super::{Driver, Hang, Stays, TargetSteps};
use crate::config::group::PortSpec;
use crate::fc::{self, PhysicalPort, VirtualPort};
use crate::kernel::{Chain, Kernel, KernelError};
use crate::lio::build::{luns, targets};
use crate::lio::wanted::Wanted;
use crate::wwn::Wwn;

/// The driver tcm_fc, for [`super::DRIVERS`].
pub(crate) static TCM_FC: TcmFc = TcmFc;

/// The logout of a port that has lost its link. With a link, a logout takes a fraction of
/// a second. If the link was lost under load, tcm_fc is stuck and the logout never ends.
/// Initiators wait until the node is fenced, so this must be short.
const LINKLESS: Hang = Hang {
    after: Duration::from_secs(4),
    advice: "It had lost its link, which under load wedges tcm_fc (a kernel fault): only \
             fencing gets this node back",
};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct TcmFc;

impl Driver for TcmFc {
    fn name(&self) -> &'static str {
        "tcm_fc"
    }

    fn module(&self) -> &'static str {
        "tcm_fc"
    }

    fn loaded(&self) -> &'static str {
        "Load it at boot, before the port's driver (/etc/modules-load.d)"
    }

    fn fabric(&self) -> &'static str {
        "fc"
    }

    fn serves(&self, host_driver: &str) -> bool {
        matches!(host_driver, "fcoe" | "bnx2fc" | "qedf" | "fnic")
    }

    /// Returns the port's place among the group's ports, which is what older kernels
    /// assign. Two groups on a node may use one number, because LIO checks numbers only
    /// when a port is enabled, and tcm_fc enables none.
    fn port_id(&self, _: Wwn, number: u16) -> u16 {
        number
    }

    fn build(&self, wanted: &Wanted) -> TargetSteps {
        let (first, before) = (targets(wanted), luns(wanted).into());
        TargetSteps { first, before, after: Vec::new() }
    }

    fn appear(
        &self,
        kernel: &dyn Kernel,
        wanted: &Wanted,
        port: &PortSpec,
        physical: &PhysicalPort,
    ) -> Result<Chain, KernelError> {
        Ok(vec![fc::create(kernel, physical, port.wwpn, wanted.group.wwnn)?])
    }

    fn vanish(
        &self,
        kernel: &dyn Kernel,
        port: &VirtualPort,
    ) -> Result<Chain, KernelError> {
        fc::delete(kernel, port)
    }

    fn may_hang(&self, port: &VirtualPort) -> Option<Hang> {
        (!port.is_linked()).then_some(LINKLESS)
    }

    fn stays(&self) -> Stays {
        Stays::UntilRelease
    }
}
