//! Physical ports: the kernel's fc_hosts that can carry virtual ports.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::driver::host_driver;
use super::states::PortState;
use super::switch::is_dark;
use crate::kernel::{self, Kernel, KernelError, paths};
use crate::wwn::{Wwn, from_sysfs};

/// A physical port: an fc_host that can carry virtual ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct PhysicalPort {
    /// The kernel's name for the port: `host2`.
    pub host: String,
    /// The port name of the physical port.
    pub wwpn: Wwn,
    /// The port's state: `Online` when it is logged in to a fabric, `Dark` when it is
    /// turned off.
    pub state: PortState,
    /// The fabric's name; `None` unless the port is logged in to a fabric with virtual
    /// ports.
    pub fabric: Option<Wwn>,
    /// How many virtual ports it carries now.
    pub vports_in_use: u32,
    /// How many more virtual ports it may carry.
    pub vports_free: u32,
    /// The driver's name: `fcoe`, `qla2xxx`.
    pub driver: String,
}

impl PhysicalPort {
    /// Returns whether the port may come online by itself: it is dark, without its link,
    /// or about to log in (`fc_get_host_port_state`).
    pub(crate) fn may_come(&self) -> bool {
        matches!(self.state, PortState::Dark | PortState::Linkdown | PortState::Offline)
    }
}

/// Returns every physical port of this node.
///
/// # Errors
/// When a port cannot be read, because it would not be known what it carries.
pub fn physical_ports(kernel: &dyn Kernel) -> Result<Vec<PhysicalPort>, KernelError> {
    let mut ports = Vec::new();
    for host in kernel.list(Path::new(paths::FC_HOSTS))? {
        // Only physical ports have this attribute.
        if !kernel.exists(&paths::fc_host(&host, "vport_create")) {
            continue;
        }
        let get = |name| kernel::attribute(kernel, &paths::fc_host(&host, name));
        let count = |name| get(name).map(|text| text.parse::<u32>().unwrap_or(0));
        let Some(wwpn) = from_sysfs(&get("port_name")?) else { continue };
        let vports_in_use = count("npiv_vports_inuse")?;
        let state = PortState::from(get("port_state")?);
        // A port in a loop can be in a fabric and still not carry virtual ports. A port
        // connected directly to another node may show a fabric's name
        // (`fc_port_type_names`, drivers/scsi/scsi_transport_fc.c).
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

/// Returns whether a physical port is logged in to a fabric.
///
/// # Errors
/// When the port's state cannot be read.
pub(crate) fn is_online(kernel: &dyn Kernel, host: &str) -> Result<bool, KernelError> {
    let state = kernel::attribute(kernel, &paths::fc_host(host, "port_state"))?;
    Ok(PortState::from(state) == PortState::Online)
}

/// Returns the node name (WWNN) of a physical port.
///
/// # Errors
/// When the name cannot be read.
pub(crate) fn wwnn(kernel: &dyn Kernel, host: &str) -> Result<Option<Wwn>, KernelError> {
    let name = kernel::attribute(kernel, &paths::fc_host(host, "node_name"))?;
    Ok(from_sysfs(&name))
}

/// Returns the speed of a physical port in the kernel's words, such as `10 Gbit`. The
/// result is empty if it cannot be read.
pub(crate) fn speed(kernel: &dyn Kernel, host: &str) -> String {
    kernel::attribute_or_empty(kernel, &paths::fc_host(host, "speed"))
}
