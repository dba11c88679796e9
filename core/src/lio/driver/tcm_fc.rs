//! tcm_fc: the target of libfc ports (fcoe, bnx2fc, qedf). Facts in
//! drivers/target/tcm_fc/tfc_conf.c: a WWN directory needs no port to exist yet, so the
//! whole tree is built first and the port appears with everything in place; there is no
//! demo mode, so each initiator needs an ACL before it logs in.

use std::time::Duration;

use super::{Driver, Hang, Stays, TargetSteps};
use crate::config::group::PortSpec;
use crate::fc::{self, PhysicalPort, VirtualPort};
use crate::kernel::{Chain, Kernel, KernelError};
use crate::lio::build::{luns, targets};
use crate::lio::wanted::Wanted;
use crate::wwn::Wwn;

/// The one value of [`TcmFc`].
pub(crate) static TCM_FC: TcmFc = TcmFc;

/// The logout of a port without its link; with its link it takes a fraction of a second.
/// Where the link was lost under load, tcm_fc is wedged and the logout never ends, and every
/// second until the fence is one of the initiators' patience.
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

    /// Returns the port's place among the group's, as older kernels give it by
    /// themselves. tcm_fc enables nothing, so nothing keeps two groups on a node from
    /// having the same.
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
