//! Physical ports that can be turned off and on: those of software FCoE and bnx2fc, whose
//! controller has a switch (drivers/scsi/fcoe/fcoe_sysfs.c). One that is off keeps its names,
//! and is out of the fabric: dark. So a group may have a physical port's own names; at home
//! it is served by that port itself, and elsewhere by a virtual one.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::{PhysicalPort, PortState, VirtualPort, VportState};
use crate::kernel::{self, Chain, Kernel, KernelError, Op, paths};
use crate::wwn::from_sysfs;

/// Returns the switch of a physical port, where it has one: .../net/eth1/ctlr_0/host2.
///
/// # Errors
/// When the port is there and cannot be looked up: it may have one.
pub fn switch(kernel: &dyn Kernel, host: &str) -> Result<Option<PathBuf>, KernelError> {
    let device = match kernel.resolve(&paths::fc_host(host, "device")) {
        Ok(device) => device,
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(error),
    };
    let switch = controller(&device).map(|name| paths::fcoe_controller(name, "enabled"));
    Ok(switch.filter(|switch| kernel.exists(switch)))
}

/// Returns the FCoE controller that a device hangs from.
pub fn controller(device: &Path) -> Option<&str> {
    let mut parts = device.iter().filter_map(|part| part.to_str());
    parts.find(|part| part.starts_with("ctlr_"))
}

/// Returns whether a physical port is off.
///
/// # Errors
/// When its switch cannot be looked up or read.
pub fn is_dark(kernel: &dyn Kernel, host: &str) -> Result<bool, KernelError> {
    let Some(switch) = switch(kernel, host)? else { return Ok(false) };
    Ok(kernel::attribute(kernel, &switch)? == "0")
}

/// Turns a physical port on (1) or off (0).
///
/// # Errors
/// When its switch cannot be looked up.
pub fn turn(kernel: &dyn Kernel, host: &str, on: &str) -> Result<Op, KernelError> {
    let path = switch(kernel, host)?.unwrap_or_default();
    Ok(Op::Write { path, text: on.to_owned() })
}

/// Turns a physical port off, once it has logged out. Turned off alone it says nothing to the
/// fabric (`fcoe_ctlr_link_down`), which goes on to hold the name, and initiators to send to
/// it, for two and a half keep-alive periods: 20 seconds, and longer than commands live.
///
/// # Errors
/// When its address cannot be read, or its switch cannot be looked up.
pub fn off(kernel: &dyn Kernel, port: &VirtualPort) -> Result<Chain, KernelError> {
    let fcid = kernel::attribute(kernel, &paths::fc_host(&port.parent, "port_id"))?;
    let device = Path::new(paths::BSG).join(format!("fc_{}", port.parent));
    let log_out =
        super::address(&fcid).map(|fcid| Op::LogOut { device, wwpn: port.wwpn, fcid });
    Ok(log_out.into_iter().chain([turn(kernel, &port.parent, "0")?]).collect())
}

/// Returns the physical ports that are on and could be off, in the shape of virtual ones:
/// a group may have their names.
///
/// # Errors
/// When one is there and cannot be read.
pub fn own_ports(kernel: &dyn Kernel) -> Result<Vec<VirtualPort>, KernelError> {
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

/// Returns the state of a physical port in the words of a virtual one.
///
/// # Errors
/// When it cannot be read.
pub fn state(kernel: &dyn Kernel, host: &str) -> Result<VportState, KernelError> {
    let state = kernel::attribute(kernel, &paths::fc_host(host, "port_state"))?;
    Ok(PortState::from(state).into())
}

/// Returns whether a physical port is off and has a link: it could come online.
///
/// # Errors
/// When its link cannot be read.
pub fn can_come(kernel: &dyn Kernel, port: &PhysicalPort) -> Result<bool, KernelError> {
    Ok(port.state == PortState::Dark && has_link(kernel, &port.host)?)
}

/// Returns whether a physical port has a link, as far as that is a network interface's.
fn has_link(kernel: &dyn Kernel, host: &str) -> Result<bool, KernelError> {
    let Some(link) = super::software_link(kernel, host) else { return Ok(true) };
    match kernel::attribute(kernel, &paths::interface(&link, "carrier")) {
        // One that is down does not say (`carrier_show` in net/core/net-sysfs.c).
        Err(error) if error.is(Errno::EINVAL) => Ok(false),
        carrier => Ok(carrier? != "0"),
    }
}
