//! qla2xxx, the target driver for ports of QLogic's HBAs, through tcm_qla2xxx. It was
//! written from the kernel's source (6.1.192 and 6.12.117). It runs on the real driver
//! with an emulated HBA, and has not yet run on hardware.
//!
//! tcm_qla2xxx has two fabrics, and `qla2xxx` is the one in use. A mkdir in the other
//! one, `qla2xxx_npiv`, takes a lock that its task already holds (`qla_tgt_mutex` in
//! `qlt_lport_register` and `qlt_add_target`). So `vport_create` makes the virtual port,
//! and the target is made after it.
//!
//! A target stays until a boot, for three reasons. Making it binds it to the port that
//! has its name at that moment, and to no other (`tcm_qla2xxx_lport_register_cb`).
//! Removing it takes the target functions from every port of the HBA's function
//! (`tgt_ops` in `qlt_lport_deregister`). The next command to any of these ports, also to
//! the physical one, then crashes the kernel (`qlt_handle_cmd_for_atio`). And writing 0
//! to `enable` leaves a request for a reset in the virtual port's flags, which nothing
//! ever carries out (`qlt_disable_vha`; `qla2x00_do_dpc_vp` does not look at it). The port
//! stays logged in meanwhile, and serves initiators that log in again.
//!
//! So a release writes `vport_disable`, which logs the port out and waits for its
//! sessions to end (`qla24xx_disable_vp`). It removes LUNs and initiators, and leaves the
//! port and its empty target. The next takeover fills the target and lets the port log in
//! again.

use std::time::Duration;

use super::{Driver, Hang, Stays, TargetSteps};
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::config::group::PortSpec;
use crate::digest::fnv128;
use crate::fc::{self, PhysicalPort, VirtualPort, VportState};
use crate::kernel::{self, Chain, Kernel, KernelError, Op, paths, workers};
use crate::lio::build::{luns, targets, write};
use crate::lio::observe::{Tree, tpg};
use crate::lio::situation::Situation;
use crate::lio::wanted::Wanted;
use crate::wwn::Wwn;

/// The driver qla2xxx, for [`super::DRIVERS`].
pub(crate) static QLA2XXX: Qla2xxx = Qla2xxx;

/// The logout of a port. Sessions have ten seconds to end
/// (`qla2x00_wait_for_sess_deletion`). Then the driver waits without end for what is left
/// of them.
const LOGOUT: Hang = Hang {
    after: Duration::from_secs(15),
    advice: "The driver waits for a command that it has lost (a kernel fault): only \
             fencing gets this node back",
};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Qla2xxx;

/// The driver's directory in LIO's configfs.
const FABRIC: &str = "qla2xxx";
/// The module of the port's driver. Its parameter [`MODE`] decides whether ports can be
/// targets.
const PORT_MODULE: &str = "qla2xxx";
const MODE: &str = "qlini_mode";
/// The attribute that makes a portal group serve.
const ENABLE: &str = "enable";
/// The two modes in which ports can be targets: together with initiators, or alone
/// (`qlt_parse_ini_mode`).
const DUAL: &str = "dual";
const DISABLED: &str = "disabled";
/// The attribute that decides whether an initiator without an ACL gets one when it logs
/// in.
const DEMO: &str = "attrib/generate_node_acls";
/// The first kernel known to prepare a virtual port's list of commands from unknown
/// senders (`unknown_atio_list` in `qlt_vport_create`). 6.1 does not prepare it.
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
        FABRIC
    }

    fn serves(&self, host_driver: &str) -> bool {
        host_driver == PORT_MODULE
    }

    fn switch(&self) -> Option<&'static str> {
        Some(ENABLE)
    }

    /// Returns a number made from the port's name, because no two enabled ports of a node
    /// may have one number (`target_tpg_register_rtpi`).
    fn port_id(&self, wwpn: Wwn, _: u16) -> u16 {
        (fnv128(&["rtpi", &wwpn.hex()]) % 65535) as u16 + 1
    }

    /// Returns the attribute that stops LIO from making an ACL at a login. The other
    /// defaults only concern such dynamic ACLs (`tcm_qla2xxx_make_tpg`).
    fn attributes(&self) -> &'static [(&'static str, &'static str)] {
        &[(DEMO, "0")]
    }

    fn build(&self, wanted: &Wanted) -> TargetSteps {
        let mut after = vec![Step::new("make the target ports", targets(wanted))];
        after.extend(luns(wanted));
        TargetSteps { after, ..TargetSteps::default() }
    }

    /// Returns the operations for a port that is new, or was parked. A port that
    /// initiators have met empty is logged out here, and [`Self::serve`] logs it in
    /// again.
    fn appear(
        &self,
        kernel: &dyn Kernel,
        wanted: &Wanted,
        port: &PortSpec,
        physical: &PhysicalPort,
    ) -> Result<Chain, KernelError> {
        Ok(match (wanted.situation(port), wanted.vport(port)) {
            (Situation::Parked, _) => Chain::new(),
            (Situation::Stray, Some(vport)) => vec![fc::log_out(vport)],
            _ => vec![fc::create(kernel, physical, port.wwpn, wanted.group.wwnn)?],
        })
    }

    /// Returns the operation by which a port becomes a target only, in a driver whose mode
    /// is [`DUAL`]. In that mode the port would log in to its initiators as well, while
    /// they log in to it. The driver then ends the session that has just begun, and waits
    /// in the one worker that could end it (`flush_work` in `qla24xx_do_nack_work`). For 23
    /// seconds nobody can log in to the port.
    ///
    /// Once a target serves, the same write would ask for a reset of the port, which
    /// nothing ever carries out (`qla_set_ini_mode`).
    fn restrict(
        &self,
        kernel: &dyn Kernel,
        wanted: &Wanted,
        port: &PortSpec,
    ) -> Result<Chain, KernelError> {
        if wanted.tree(port).and_then(|tree| tree.enabled) == Some(true) {
            return Ok(Chain::new());
        }
        let Some(port) = fc::host_of(kernel, port.wwpn)? else { return Ok(Chain::new()) };
        let path = paths::scsi_host(&port.host, MODE);
        Ok(vec![Op::WriteIfAny { path, text: DISABLED.into() }])
    }

    fn serve(&self, wanted: &Wanted, port: &PortSpec) -> Chain {
        let enabled = wanted.tree(port).and_then(|tree| tree.enabled);
        let vport = wanted.vport(port);
        match vport.filter(|_| wanted.situation(port).is_reusable()) {
            _ if enabled != Some(true) => {
                vec![write(&wanted.tpg(port), ENABLE, "1".into())]
            }
            Some(vport) => vec![fc::log_in(vport)],
            None => Chain::new(),
        }
    }

    fn needed<'a>(&self, lost: &'a [PortSpec]) -> &'a [PortSpec] {
        lost
    }

    /// Returns the advice for a state that does not pass. `VPort Failed` passes: the
    /// driver shows it while a link comes and goes (`qla2x00_async_event`).
    fn hopeless(&self, state: &VportState) -> Option<&'static str> {
        state.hopeless().filter(|_| *state != VportState::Failed)
    }

    /// Returns five seconds for a port that is not logged in. The driver does not ask again
    /// after a login that the fabric has refused, which stays `Initializing`
    /// (`qla24xx_report_id_acquisition`), nor after one without a link. That one is
    /// `Linkdown` (`qla24xx_enable_vp`), and `VPort Failed` once the link is back. A fabric
    /// answers within two seconds (E_D_TOV).
    fn gives_up_after(&self, state: &VportState) -> Option<Duration> {
        use VportState::{Failed, Initializing, Linkdown};
        matches!(state, Initializing | Linkdown | Failed).then(|| Duration::from_secs(5))
    }

    /// Returns how many commands LIO has received for the port's LUNs. The frames of a
    /// port say nothing here: the driver counts those of the whole HBA.
    fn arrivals(
        &self,
        kernel: &dyn Kernel,
        _: Wwn,
        tree: Option<&Tree>,
    ) -> Result<Option<u64>, KernelError> {
        tree.map_or(Ok(None), |tree| tree.commands(kernel))
    }

    /// Returns half a second. No initiator can be asked for an echo, and it may still have
    /// to send the data of a WRITE. A Linux initiator that was told to try again does so
    /// after a second, so a longer moment would never come.
    fn quiet(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn vanish(&self, _: &dyn Kernel, port: &VirtualPort) -> Result<Chain, KernelError> {
        Ok(vec![fc::log_out(port)])
    }

    fn may_hang(&self, _: &VirtualPort) -> Option<Hang> {
        Some(LOGOUT)
    }

    /// Looks for a worker that waits for a command of LIO's while it ends a session
    /// (`tcm_qla2xxx_free_session`). All logins and logouts of the HBA wait behind it. A
    /// command that the driver had not answered when its chip was reset, or when its
    /// session ended, is never freed (`qlt_xmit_response`).
    fn hangs(&self, kernel: &dyn Kernel) -> Option<String> {
        match workers::waiting(kernel, "qla2xxx_wq", "target_wait_for_") {
            Ok(workers) => workers.first().map(|pid| {
                format!("qla2xxx waits for a command that it has lost (kworker {pid})")
            }),
            Err(error) => {
                log::warn!("{error}");
                None
            }
        }
    }

    fn stays(&self) -> Stays {
        Stays::UntilBoot
    }

    fn ready(&self, kernel: &dyn Kernel, physical: Wwn) -> Option<Result<(), Failure>> {
        Some(is_ready(kernel, physical))
    }

    fn doubts(&self, kernel: &dyn Kernel, physical: Wwn) -> Vec<(String, &'static str)> {
        let mut doubts = vec![(
            "qla2xxx runs on the real driver with an emulated HBA, not yet on hardware"
                .to_owned(),
            "Go through docs/qla2xxx.md before relying on it, and tell what you saw",
        )];
        if let Some(release) = kernel::is_before(kernel, PREPARED) {
            doubts.push((
                format!("kernel {release}: an aborted command may crash the node"),
                "6.1 lacks a fix of qla2xxx for virtual ports; 6.12 has it",
            ));
        }
        match fc::targets_of(kernel, physical) {
            Ok(targets) => doubts.extend(targets.iter().map(|target| {
                (
                    format!("the physical port {physical} scans the target {target}"),
                    "Zone it with nobody, not even with groups' ports: while its driver \
                     scans a port that does not know it, no initiator can log in to this \
                     HBA (docs/qla2xxx.md)",
                )
            })),
            Err(error) => doubts.push((error.to_string(), "See why it cannot be read")),
        }
        let base = tpg(&paths::lio_port(FABRIC, physical));
        match kernel::attribute(kernel, &base.join(DEMO)) {
            Ok(demo) => doubts.extend((demo == "1").then(|| {
                (
                    format!("the physical port {physical} lets any initiator log in"),
                    "Write 0 to its attrib/generate_node_acls: nobody has business there",
                )
            })),
            Err(error) => doubts.push((error.to_string(), "See why it cannot be read")),
        }
        doubts
    }
}

/// Checks the mode of the port's driver, and that the physical port's target is enabled.
/// Enabling it resets the chip, and so every virtual port (`qlt_enable_vha`). So that is
/// done at boot, and never here.
fn is_ready(kernel: &dyn Kernel, physical: Wwn) -> Result<(), Failure> {
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
    let base = tpg(&paths::lio_port(FABRIC, physical)).join(ENABLE);
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
