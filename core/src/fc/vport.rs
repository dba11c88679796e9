//! Virtual ports, and physical ports whose names a group has: how they are created,
//! logged in, logged out and deleted.

use std::path::Path;

use super::physical::PhysicalPort;
use super::states::VportState;
use super::switch;
use crate::kernel::{self, Chain, Kernel, KernelError, Op, paths};
use crate::wwn::{Wwn, from_sysfs};

/// A virtual port, or a physical port whose names a group has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualPort {
    /// The kernel's name for the port: `vport-2:0-1`. For a physical port it is the
    /// host's name.
    pub vport: String,
    /// The host of the physical port that carries this port: `host2`.
    pub parent: String,
    /// The port name (WWPN).
    pub wwpn: Wwn,
    /// The node name (WWNN).
    pub wwnn: Wwn,
    /// The port's state: `Active` when it is logged in.
    pub state: VportState,
}

impl VirtualPort {
    /// Returns whether this is a physical port, which has the group's names as its own.
    pub(crate) fn is_own(&self) -> bool {
        self.vport == self.parent
    }

    /// Returns whether the port is logged in to the fabric.
    pub(crate) fn is_linked(&self) -> bool {
        self.state == VportState::Active
    }

    /// Returns whether the port is logged in, or about to log in.
    pub(crate) fn may_be_logged_in(&self) -> bool {
        self.is_linked() || self.state == VportState::Initializing
    }

    /// Returns whether the port was told to stay out of the fabric.
    pub(crate) fn is_disabled(&self) -> bool {
        self.state == VportState::Disabled
    }
}

/// Returns every virtual port of this node, and every physical port that is on and can be
/// turned off.
///
/// # Errors
/// When a port cannot be read, because it would not be known whose it is.
pub(crate) fn virtual_ports(
    kernel: &dyn Kernel,
) -> Result<Vec<VirtualPort>, KernelError> {
    let mut ports = Vec::new();
    for vport in kernel.list(Path::new(paths::FC_VPORTS))? {
        let get = |name| kernel::attribute(kernel, &paths::fc_vport(&vport, name));
        let names = (from_sysfs(&get("port_name")?), from_sysfs(&get("node_name")?));
        let state = get("vport_state")?.into();
        let host = vport.strip_prefix("vport-").and_then(|rest| rest.split(':').next());
        if let ((Some(wwpn), Some(wwnn)), Some(host)) = (names, host) {
            let parent = format!("host{host}");
            ports.push(VirtualPort { vport, parent, wwpn, wwnn, state });
        }
    }
    ports.extend(switch::own_ports(kernel)?);
    Ok(ports)
}

/// Reads the current state of a port from the kernel.
///
/// # Errors
/// When the state cannot be read.
pub(crate) fn state(
    kernel: &dyn Kernel,
    port: &VirtualPort,
) -> Result<VportState, KernelError> {
    if port.is_own() {
        return switch::state(kernel, &port.parent);
    }
    let state = kernel::attribute(kernel, &paths::fc_vport(&port.vport, "vport_state"))?;
    Ok(state.into())
}

/// Returns the operation that makes a port appear on the fabric. It creates the virtual
/// port, or turns on the physical port that has this name.
///
/// # Errors
/// When the switch of a physical port cannot be looked up.
pub(crate) fn create(
    kernel: &dyn Kernel,
    physical: &PhysicalPort,
    wwpn: Wwn,
    wwnn: Wwn,
) -> Result<Op, KernelError> {
    if physical.wwpn == wwpn {
        return switch::turn(kernel, &physical.host, "1");
    }
    let path = paths::fc_host(&physical.host, "vport_create");
    Ok(Op::Write { path, text: names(wwpn, wwnn) })
}

/// Returns the operations that log a virtual port out and remove it, or log a physical
/// port out and turn it off.
///
/// # Errors
/// When the address or the switch of a physical port cannot be read.
pub fn delete(kernel: &dyn Kernel, port: &VirtualPort) -> Result<Chain, KernelError> {
    if port.is_own() {
        return switch::off(kernel, port);
    }
    let path = paths::fc_host(&port.parent, "vport_delete");
    Ok(vec![Op::Write { path, text: names(port.wwpn, port.wwnn) }])
}

/// Returns the operation that lets a virtual port log in again after [`log_out`].
pub(crate) fn log_in(port: &VirtualPort) -> Op {
    set_disabled(port, "0")
}

/// Returns the operation that logs a virtual port out without deleting it.
pub(crate) fn log_out(port: &VirtualPort) -> Op {
    set_disabled(port, "1")
}

fn set_disabled(port: &VirtualPort, disabled: &str) -> Op {
    let path = paths::fc_vport(&port.vport, "vport_disable");
    Op::Write { path, text: disabled.into() }
}

/// Returns both names in the form that the kernel takes, the port name first
/// (`store_fc_host_vport_create`).
fn names(wwpn: Wwn, wwnn: Wwn) -> String {
    format!("{}:{}", wwpn.hex(), wwnn.hex())
}
