//! Keep out: parked ports stay out of the fabric.
//!
//! When a QLogic HBA's chip is reset, all its virtual ports log in again, even those that
//! were told to stay out (`qla2x00_abort_isp`, `qla2x00_vp_abort_isp`). Their targets are
//! empty, but another node may be using the port name by then.

use crate::action::budget::Budget;
use crate::action::step::Step;
use crate::fc;
use crate::kernel::{Kernel, KernelError};
use crate::lio::{self, Situation};
use crate::run_files::registry;
use crate::situation::found::Found;
use crate::wwn::Wwn;

/// Logs out ports that should be parked, and returns their names. Ports with an entry in
/// the database are left to the verb that made the entry.
///
/// # Errors
/// Everything that could not be read or logged out.
pub fn keep_out(
    kernel: &dyn Kernel,
    budget: Budget,
) -> Result<Vec<Wwn>, Vec<KernelError>> {
    let look = || {
        let export = lio::lasting(kernel)?;
        let vports = match export.trees.is_empty() {
            true => Vec::new(),
            false => fc::virtual_ports(kernel)?,
        };
        Ok(Found { vports, export, keepers: Vec::new() })
    };
    let found = look().map_err(|error| vec![error])?;
    // The database is read after the ports, so that a takeover which began meanwhile is
    // in it.
    let known = registry::entries(kernel);
    let stray = |port: &&fc::VirtualPort| {
        found.situation(port.wwpn) == Situation::Stray
            && known.iter().all(|entry| entry.wwpn != port.wwpn)
    };
    let stray: Vec<_> = found.vports.iter().filter(stray).collect();
    let out = stray.iter().map(|port| found.driver(port.wwpn).vanish(kernel, port));
    let out = out.collect::<Result<_, _>>().map_err(|error| vec![error])?;
    Step::new("keep the virtual port out", out).apply(kernel, budget)?;
    Ok(stray.into_iter().map(|port| port.wwpn).collect())
}
