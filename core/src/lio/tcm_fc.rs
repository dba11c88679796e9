//! tcm_fc: the target of libfc ports (fcoe, bnx2fc, qedf). Facts in
//! drivers/target/tcm_fc/tfc_conf.c: a WWN directory needs no port to exist yet, so the
//! whole tree is built first and the port appears with everything in place; there is no
//! demo mode, so each initiator needs an ACL before it logs in.

use super::Driver;
use crate::action::failure::Failure;
use crate::kernel::Kernel;
use crate::wwn::Wwn;

/// The one value of [`TcmFc`].
pub static TCM_FC: TcmFc = TcmFc;

/// See the module's text.
#[derive(Debug)]
pub struct TcmFc;

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

    fn binds(&self) -> bool {
        false
    }

    /// Returns the port's place among the group's, as older kernels give it by
    /// themselves. tcm_fc enables nothing, so nothing keeps two groups on a node from
    /// having the same.
    fn port_id(&self, _: Wwn, number: u16) -> u16 {
        number
    }

    fn attributes(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn ready(&self, _: &dyn Kernel, _: Wwn) -> Result<(), Failure> {
        Ok(())
    }

    fn doubts(&self, _: &dyn Kernel, _: Wwn) -> Vec<(String, &'static str)> {
        Vec::new()
    }
}
