//! qla2xxx: the target of QLogic's ports, through tcm_qla2xxx. Built from the kernel's
//! source (6.1.192 and 6.12.117), and not yet run on hardware.
//!
//! Of the two fabrics of tcm_qla2xxx, `qla2xxx` is the one in use: a mkdir in
//! `qla2xxx_npiv` takes a lock that its task holds already (`qlt_lport_register`,
//! `qlt_add_target`: `qla_tgt_mutex`). So the virtual port is made by `vport_create`, and
//! its target after it.
//!
//! Why a target stays. Making it binds it to the port that has its name at that moment
//! (`tcm_qla2xxx_lport_register_cb`), and no other. Removing it takes the target functions
//! away from every port of the HBA's function (`qlt_lport_deregister`: `tgt_ops`), without
//! which the next command to any of them, the physical port included, is the kernel's end
//! (`qlt_handle_cmd_for_atio`). And `enable` = 0 leaves a reset requested in a virtual
//! port's flags that nothing ever does (`qlt_disable_vha`; `qla2x00_do_dpc_vp` does not
//! look), with which the port is never ready again (`qla2x00_configure_loop`). So a release
//! writes `vport_disable`, which logs the port out and waits for its sessions
//! (`qla24xx_disable_vp`), takes LUNs and initiators away, and leaves port and empty target
//! as they are: the next takeover fills the target and lets the port log in again. A boot
//! ends it.

use std::path::Path;

use super::Driver;
use super::build::ENABLE;
use super::observe::tpg;
use crate::action::failure::{Failure, Kind};
use crate::digest::fnv128;
use crate::kernel::{self, Kernel, paths};
use crate::wwn::Wwn;

/// The one value of [`Qla2xxx`].
pub static QLA2XXX: Qla2xxx = Qla2xxx;

/// See the module's text.
#[derive(Debug)]
pub struct Qla2xxx;

/// The port driver's module, whose parameter says what its ports may be.
const PORT_MODULE: &str = "qla2xxx";
const MODE: &str = "qlini_mode";
/// Initiator and target, and target alone (`qlt_parse_ini_mode`).
const DUAL: &str = "dual";
const DISABLED: &str = "disabled";
/// Whether an initiator without an ACL of its own gets one when it logs in.
const DEMO: &str = "attrib/generate_node_acls";
/// The first kernel, of those that were looked at, that prepares a virtual port's list of
/// commands from unknown senders (`qlt_vport_create`: `unknown_atio_list`); 6.1 does not.
const PREPARED: (u32, u32) = (6, 12);

impl Driver for Qla2xxx {
    fn name(&self) -> &'static str {
        "qla2xxx"
    }

    fn module(&self) -> &'static str {
        "tcm_qla2xxx"
    }

    fn loaded(&self) -> &'static str {
        "Load it at boot (/etc/modules-load.d); docs/qla2xxx.md has the steps"
    }

    fn fabric(&self) -> &'static str {
        "qla2xxx"
    }

    fn serves(&self, host_driver: &str) -> bool {
        host_driver == PORT_MODULE
    }

    fn binds(&self) -> bool {
        true
    }

    /// Returns a number made of the port's name: no two ports on a node that are enabled
    /// may have the same (`target_tpg_register_rtpi`).
    fn port_id(&self, wwpn: Wwn, _: u16) -> u16 {
        (fnv128(&["rtpi", &wwpn.hex()]) % 65535) as u16 + 1
    }

    /// Turns off ACLs that LIO makes at a login. The other defaults concern such dynamic
    /// ACLs alone (`tcm_qla2xxx_make_tpg`).
    fn attributes(&self) -> &'static [(&'static str, &'static str)] {
        &[(DEMO, "0")]
    }

    /// Looks at the mode of the port's driver and at the physical port's target. Enabling
    /// that target resets the chip, and with it every virtual port (`qlt_enable_vha`):
    /// that is for the boot, and never done in here.
    fn ready(&self, kernel: &dyn Kernel, physical: Wwn) -> Result<(), Failure> {
        let lacks = |step, cause: String, advice| {
            Err(Failure::new(Kind::Node, step, cause).advise(advice))
        };
        let path = paths::module_parameter(PORT_MODULE, MODE);
        let step = "look at the port's mode";
        let mode = kernel::attribute(kernel, &path).map_err(|error| Failure {
            kind: Kind::Node,
            ..Failure::kernel(step, &[error])
        })?;
        if mode != DUAL && mode != DISABLED {
            let cause = format!("{PORT_MODULE} was loaded with {MODE}={mode}");
            return lacks(
                step,
                cause,
                "Load it with qlini_mode=dual (/etc/modprobe.d), and renew the initramfs \
                 where that loads it (update-initramfs -u, dracut -f)",
            );
        }
        let base = tpg(&paths::lio_port(self.fabric(), physical)).join(ENABLE);
        let step = "look at the physical port's target";
        let enabled = kernel::attribute(kernel, &base).map_err(|error| Failure {
            kind: Kind::Node,
            ..Failure::kernel(step, &[error])
        })?;
        if enabled != "1" {
            let cause = format!("{} is not 1", base.display());
            return lacks(
                step,
                cause,
                "Enable it at boot, before any group is served, for it resets the HBA: \
                 understudy-qla2xxx.service does (docs/qla2xxx.md)",
            );
        }
        Ok(())
    }

    fn doubts(&self, kernel: &dyn Kernel, physical: Wwn) -> Vec<(String, &'static str)> {
        let mut doubts = vec![(
            "qla2xxx has not yet run on hardware".to_owned(),
            "Go through docs/qla2xxx.md before relying on it, and tell what you saw",
        )];
        if let Some(release) = kernel::is_before(kernel, PREPARED) {
            doubts.push((
                format!("kernel {release}: an aborted command may crash the node"),
                "6.1 lacks a fix of qla2xxx for virtual ports; 6.12 has it",
            ));
        }
        let mut doubt_if =
            |path: &Path, text: &str, doubt| match kernel::attribute(kernel, path) {
                Ok(now) if now == text => doubts.push(doubt),
                Ok(_) => {}
                Err(error) => {
                    doubts.push((error.to_string(), "See why it cannot be read"));
                }
            };
        let base = tpg(&paths::lio_port(self.fabric(), physical));
        doubt_if(
            &base.join(DEMO),
            "1",
            (
                format!("the physical port {physical} lets any initiator log in"),
                "Write 0 to its attrib/generate_node_acls: nobody has business there",
            ),
        );
        doubt_if(
            &paths::module_parameter(PORT_MODULE, MODE),
            DISABLED,
            (
                "with qlini_mode=disabled it is not seen who else has a name".to_owned(),
                "Load qla2xxx with qlini_mode=dual: then the fabric is looked at first",
            ),
        );
        doubts
    }
}
