//! Physical ports: an fc_host of the kernel that can carry virtual ones.

use std::path::Path;

use serde::Serialize;

use super::driver::host_driver;
use super::states::PortState;
use super::switch::is_dark;
use crate::kernel::{self, Kernel, KernelError, paths};
use crate::wwn::{Wwn, from_sysfs};

/// A physical port: an fc_host that can carry virtual ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
pub struct PhysicalPort {
    /// The kernel's name: `host2`.
    pub host: String,
    /// The port name of the physical port.
    pub wwpn: Wwn,
    /// The port's state: `Online` when it is logged in to a fabric, `Dark` when it is
    /// turned off.
    pub state: PortState,
    /// The fabric's name, when logged in to one that carries virtual ports.
    pub fabric: Option<Wwn>,
    /// Virtual ports that it carries.
    pub vports_in_use: u32,
    /// Virtual ports that it may carry still.
    pub vports_free: u32,
    /// The driver's name: `fcoe`, `qla2xxx`.
    pub driver: String,
}

impl PhysicalPort {
    /// Returns whether the port is in a state that passes by itself: dark, without its
    /// link, or on the way to its login (`fc_get_host_port_state`).
    pub fn may_come(&self) -> bool {
        matches!(self.state, PortState::Dark | PortState::Linkdown | PortState::Offline)
    }
}

/// Returns every physical port of this node.
///
/// # Errors
/// When one is there and cannot be read: what it carries or could would not be known.
pub fn physical_ports(kernel: &dyn Kernel) -> Result<Vec<PhysicalPort>, KernelError> {
    let mut ports = Vec::new();
    for host in kernel.list(Path::new(paths::FC_HOSTS))? {
        // Virtual ports have no such attribute.
        if !kernel.exists(&paths::fc_host(&host, "vport_create")) {
            continue;
        }
        let get = |name| kernel::attribute(kernel, &paths::fc_host(&host, name));
        let count = |name| get(name).map(|text| text.parse::<u32>().unwrap_or(0));
        let Some(wwpn) = from_sysfs(&get("port_name")?) else { continue };
        let vports_in_use = count("npiv_vports_inuse")?;
        let state = PortState::from(get("port_state")?);
        // In a loop a port can be in a fabric and still not carry virtual ports. Back to
        // back with another node it may show a fabric's name (`fc_port_type_names`,
        // drivers/scsi/scsi_transport_fc.c).
        let port_type = get("port_type")?;
        let other = ["LPort", "NLPort", "Point-To-Point"];
        let switched = !other.iter().any(|other| port_type.starts_with(other));
        ports.push(PhysicalPort {
            wwpn,
            state: if is_dark(kernel, &host)? { PortState::Dark } else { state },
            fabric: from_sysfs(&get("fabric_name")?).filter(|_| switched),
            vports_in_use,
            vports_free: count("max_npiv_vports")?.saturating_sub(vports_in_use),
            driver: host_driver(kernel, &host)?,
            host,
        });
    }
    Ok(ports)
}

/// Returns whether a physical port is logged in to its fabric.
///
/// # Errors
/// When its state cannot be read.
pub fn is_online(kernel: &dyn Kernel, host: &str) -> Result<bool, KernelError> {
    let state = kernel::attribute(kernel, &paths::fc_host(host, "port_state"))?;
    Ok(PortState::from(state) == PortState::Online)
}

/// Returns the node name of a physical port.
///
/// # Errors
/// When it cannot be read.
pub fn wwnn(kernel: &dyn Kernel, host: &str) -> Result<Option<Wwn>, KernelError> {
    let name = kernel::attribute(kernel, &paths::fc_host(host, "node_name"))?;
    Ok(from_sysfs(&name))
}

/// Returns how fast a physical port is, in the kernel's words: `10 Gbit`.
pub fn speed(kernel: &dyn Kernel, host: &str) -> String {
    kernel::attribute_or_empty(kernel, &paths::fc_host(host, "speed"))
}
