//! Keep out: a port that a release has logged out and kept stays out of the fabric.
//!
//! A reset of a QLogic HBA's chip lets every virtual port of it log in again, those that
//! were told to stay out as well (`qla2x00_abort_isp`, `qla2x00_vp_abort_isp`). Their
//! targets are empty, but the name may be another node's by then.

use crate::action::budget::Budget;
use crate::action::step::Step;
use crate::fc;
use crate::kernel::{Kernel, KernelError, paths};
use crate::lio::{self, DRIVERS};
use crate::run_files::registry;
use crate::situation::found::{Found, Situation};
use crate::wwn::Wwn;

/// Logs out the ports that should not be in the fabric, and returns their names. A port
/// that is in the database is a verb's business.
///
/// # Errors
/// What could not be read, or logged out.
pub fn keep_out(
    kernel: &dyn Kernel,
    budget: Budget,
) -> Result<Vec<Wwn>, Vec<KernelError>> {
    let fabrics = DRIVERS.iter().filter(|driver| driver.binds());
    let names = fabrics.map(|driver| kernel.list(&paths::lio_fabric(driver.fabric())));
    let names: Vec<_> = names.collect::<Result<_, _>>().map_err(|error| vec![error])?;
    let targets: Vec<Wwn> =
        names.into_iter().flatten().filter_map(|name| name.parse().ok()).collect();
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let look = || {
        let export = lio::glance(kernel, &[], &targets)?;
        Ok(Found { vports: fc::virtual_ports(kernel)?, export, keepers: Vec::new() })
    };
    let found = look().map_err(|error| vec![error])?;
    // After the look: a takeover that has begun since is in the database.
    let known = registry::entries(kernel);
    let stray = |port: &&fc::VirtualPort| {
        found.situation(port.wwpn) == Situation::Stray
            && known.iter().all(|entry| entry.wwpn != port.wwpn)
    };
    let stray: Vec<_> = found.vports.iter().filter(stray).collect();
    let out = stray.iter().map(|port| vec![fc::log_out(port)]).collect();
    Step::new("keep the virtual port out", out).apply(kernel, budget)?;
    Ok(stray.into_iter().map(|port| port.wwpn).collect())
}
