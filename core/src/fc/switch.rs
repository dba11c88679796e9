//! Physical ports that can be turned off and on: those of software FCoE and bnx2fc, whose
//! controller has a switch (drivers/scsi/fcoe/fcoe_sysfs.c). A port that is off is dark:
//! it keeps its names and is out of the fabric. So a group may have a physical port's own
//! names. At home that port itself serves the group, and elsewhere a virtual port does.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::{PhysicalPort, PortState, VirtualPort, VportState};
use crate::kernel::{self, Chain, Kernel, KernelError, Op, paths};
use crate::wwn::from_sysfs;

/// Returns the path of a physical port's switch; `None` if it has none. The switch
/// belongs to the controller in the device's path: .../net/eth1/ctlr_0/host2.
///
/// # Errors
/// When the port is there and cannot be looked up, because it may have a switch.
pub(crate) fn switch(
    kernel: &dyn Kernel,
    host: &str,
) -> Result<Option<PathBuf>, KernelError> {
    let device = match kernel.resolve(&paths::fc_host(host, "device")) {
        Ok(device) => device,
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(error),
    };
    let switch = controller(&device).map(|name| paths::fcoe_controller(name, "enabled"));
    Ok(switch.filter(|switch| kernel.exists(switch)))
}

/// Returns the FCoE controller in a device's path.
pub(crate) fn controller(device: &Path) -> Option<&str> {
    let mut parts = device.iter().filter_map(|part| part.to_str());
    parts.find(|part| part.starts_with("ctlr_"))
}

/// Returns whether a physical port is turned off.
///
/// # Errors
/// When the port's switch cannot be looked up or read.
pub(crate) fn is_dark(kernel: &dyn Kernel, host: &str) -> Result<bool, KernelError> {
    let Some(switch) = switch(kernel, host)? else { return Ok(false) };
    Ok(kernel::attribute(kernel, &switch)? == "0")
}

/// Returns the operation that turns a physical port on (`1`) or off (`0`).
///
/// # Errors
/// When the port's switch cannot be looked up.
pub(crate) fn turn(kernel: &dyn Kernel, host: &str, on: &str) -> Result<Op, KernelError> {
    let path = switch(kernel, host)?.unwrap_or_default();
    Ok(Op::Write { path, text: on.to_owned() })
}

/// Returns the operations that log a physical port out and then turn it off. Without the
/// logout the fabric would not notice (`fcoe_ctlr_link_down`): it would keep the name,
/// and initiators would send to it, for two and a half keep-alive periods. These are 20
/// seconds, longer than commands live.
///
/// # Errors
/// When the port's address cannot be read, or its switch cannot be looked up.
pub(crate) fn off(kernel: &dyn Kernel, port: &VirtualPort) -> Result<Chain, KernelError> {
    let fcid = kernel::attribute(kernel, &paths::fc_host(&port.parent, "port_id"))?;
    let device = Path::new(paths::BSG).join(format!("fc_{}", port.parent));
    let log_out =
        super::address(&fcid).map(|fcid| Op::LogOut { device, wwpn: port.wwpn, fcid });
    Ok(log_out.into_iter().chain([turn(kernel, &port.parent, "0")?]).collect())
}

/// Returns the physical ports that are on and can be turned off, described as virtual
/// ports: a group may have their names.
///
/// # Errors
/// When a port cannot be read.
pub(crate) fn own_ports(kernel: &dyn Kernel) -> Result<Vec<VirtualPort>, KernelError> {
    let mut ports = Vec::new();
    for host in kernel.list(Path::new(paths::FC_HOSTS))? {
        if !kernel.exists(&paths::fc_host(&host, "vport_create")) {
            continue;
        }
        let Some(switch) = switch(kernel, &host)? else { continue };
        if kernel::attribute(kernel, &switch)? == "0" {
            continue;
        }
        let name = |attribute| {
            let text = kernel::attribute(kernel, &paths::fc_host(&host, attribute))?;
            Ok(from_sysfs(&text))
        };
        if let (Some(wwpn), Some(wwnn)) = (name("port_name")?, name("node_name")?) {
            let state = state(kernel, &host)?;
            ports.push(VirtualPort {
                vport: host.clone(),
                parent: host,
                wwpn,
                wwnn,
                state,
            });
        }
    }
    Ok(ports)
}

/// Returns the state of a physical port as a virtual port's state.
///
/// # Errors
/// When the state cannot be read.
pub(crate) fn state(kernel: &dyn Kernel, host: &str) -> Result<VportState, KernelError> {
    let state = kernel::attribute(kernel, &paths::fc_host(host, "port_state"))?;
    Ok(PortState::from(state).into())
}

/// Returns whether a physical port is off but has a link, so that it could come online.
///
/// # Errors
/// When the link's state cannot be read.
pub fn can_come(kernel: &dyn Kernel, port: &PhysicalPort) -> Result<bool, KernelError> {
    Ok(port.state == PortState::Dark && has_link(kernel, &port.host)?)
}

/// Returns whether a physical port has a link. A port without a network interface counts
/// as having one.
fn has_link(kernel: &dyn Kernel, host: &str) -> Result<bool, KernelError> {
    let Some(link) = super::software_link(kernel, host) else { return Ok(true) };
    match kernel::attribute(kernel, &paths::interface(&link, "carrier")) {
        // An interface that is down does not show its carrier (`carrier_show` in
        // net/core/net-sysfs.c).
        Err(error) if error.is(Errno::EINVAL) => Ok(false),
        carrier => Ok(carrier? != "0"),
    }
}
