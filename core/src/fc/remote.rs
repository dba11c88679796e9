//! Remote ports: ports elsewhere on the fabric that a port of this node has met.

use std::path::Path;

use super::link::host_of;
use super::states::PortState;
use crate::kernel::{self, Kernel, KernelError, Op, paths};
use crate::wwn::{Wwn, from_sysfs};

/// A port elsewhere on the fabric, as a port of this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemotePort {
    /// The kernel's name for it: `rport-3:0-1`.
    pub name: String,
    /// The port name of the remote port.
    pub wwpn: Wwn,
    /// The remote port's state: `Online` while it and this node's port are logged in with
    /// one another.
    pub state: PortState,
}

/// Returns the remote ports that the port of a host has met.
///
/// # Errors
/// When a remote port cannot be read.
pub(crate) fn remote_ports(
    kernel: &dyn Kernel,
    host: &str,
) -> Result<Vec<RemotePort>, KernelError> {
    let number = host.strip_prefix("host").unwrap_or_default();
    let ours = format!("rport-{number}:");
    let remote = Path::new(paths::FC_REMOTE_PORTS);
    let names = kernel.list(remote)?.into_iter();
    let mut ports = Vec::new();
    for name in names.filter(|name| name.starts_with(&ours)) {
        let get = |attr: &str| kernel::attribute(kernel, &remote.join(&name).join(attr));
        let state = PortState::from(get("port_state")?);
        let wwpn = from_sysfs(&get("port_name")?);
        ports.extend(wwpn.map(|wwpn| RemotePort { name, wwpn, state }));
    }
    Ok(ports)
}

/// Returns the targets that the physical port with this name is logged in with, as an
/// initiator.
///
/// # Errors
/// When a remote port cannot be read.
pub(crate) fn targets_of(
    kernel: &dyn Kernel,
    wwpn: Wwn,
) -> Result<Vec<Wwn>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(Vec::new()) };
    let mut targets = Vec::new();
    for remote in remote_ports(kernel, &port.host)? {
        let path = Path::new(paths::FC_REMOTE_PORTS).join(&remote.name).join("roles");
        let is_target = kernel::attribute(kernel, &path)?.contains("FCP Target");
        let is_there = remote.state == PortState::Online;
        targets.extend((is_target && is_there).then_some(remote.wwpn));
    }
    Ok(targets)
}

/// Returns the operations that ask initiators for an echo: one for each of `initiators`
/// that is logged in with the virtual port `wwpn`.
///
/// # Errors
/// When a remote port cannot be read.
pub(crate) fn echoes(
    kernel: &dyn Kernel,
    wwpn: Wwn,
    initiators: &[Wwn],
) -> Result<Vec<Op>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(Vec::new()) };
    let met = remote_ports(kernel, &port.host)?.into_iter();
    let here =
        met.filter(|p| p.state == PortState::Online && initiators.contains(&p.wwpn));
    Ok(here.map(|port| Op::Echo(Path::new(paths::BSG).join(port.name))).collect())
}

/// Returns the name of the remote port that has this port name and is logged in; `None`
/// if this node sees none. Remote ports that have gone do not count: they linger as
/// `Blocked` or `Not Present`.
///
/// # Errors
/// When a remote port cannot be read.
pub fn logged_in_elsewhere(
    kernel: &dyn Kernel,
    wwpn: Wwn,
) -> Result<Option<String>, KernelError> {
    let remote = Path::new(paths::FC_REMOTE_PORTS);
    for port in kernel.list(remote)? {
        let get = |name| kernel::attribute(kernel, &remote.join(&port).join(name));
        let named = from_sysfs(&get("port_name")?) == Some(wwpn);
        if named && PortState::from(get("port_state")?) == PortState::Online {
            return Ok(Some(port));
        }
    }
    Ok(None)
}
