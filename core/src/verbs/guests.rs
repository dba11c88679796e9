//! Guests: other groups' virtual ports on a physical port whose own names a group has.
//! That port is turned off when its group leaves, and the guests would go off with it.

use crate::fc::{self, VirtualPort};
use crate::kernel::{Kernel, KernelError};
use crate::run_files::registry;
use crate::situation::scope::Scope;
use crate::wwn::Wwn;

/// Returns the virtual ports on physical ports that are on and have one of `names`;
/// `None` if no such physical port is on.
///
/// # Errors
/// When a port cannot be read, because it may be one of them.
pub(super) fn guests(
    kernel: &dyn Kernel,
    names: &[Wwn],
) -> Result<Option<Vec<VirtualPort>>, KernelError> {
    let mut ports = fc::virtual_ports(kernel)?;
    let own = ports.iter().filter(|port| port.is_own() && names.contains(&port.wwpn));
    let own: Vec<String> = own.map(|port| port.parent.clone()).collect();
    ports.retain(|port| !port.is_own() && own.contains(&port.parent));
    Ok((!own.is_empty()).then_some(ports))
}

/// Returns the groups that have to leave this node before a group can. A port without a
/// database entry is listed by its name. `None` if no physical port serves the group by
/// its own names.
///
/// # Errors
/// When a port cannot be read, because it may be one of these.
pub fn guests_of(
    kernel: &dyn Kernel,
    scope: &Scope,
) -> Result<Option<Vec<String>>, KernelError> {
    let Some(ports) = guests(kernel, &scope.wwpns)? else { return Ok(None) };
    let entries = registry::entries(kernel);
    let name = |port: VirtualPort| {
        let entry = entries.iter().find(|entry| entry.wwpn == port.wwpn);
        entry.map_or_else(|| port.wwpn.to_string(), |entry| entry.group.clone())
    };
    let mut names: Vec<String> = ports.into_iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(Some(names))
}
