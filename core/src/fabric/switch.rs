//! Physical ports that can be turned off and on: those of software FCoE and bnx2fc, whose
//! controller has a switch (drivers/scsi/fcoe/fcoe_sysfs.c). One that is off keeps its names,
//! and is out of the fabric: dark. So a group may have a physical port's own names; at home
//! it is served by that port itself, and elsewhere by a virtual one.

use std::path::PathBuf;

use super::{attribute, physical_ports};
use crate::kernel::{Kernel, paths};

/// The state of a port that is off, beside those that the kernel has.
pub const DARK: &str = "Dark";

/// The switch of a physical port, where it has one: .../net/eth1/ctlr_0/host2.
pub fn switch(kernel: &dyn Kernel, host: &str) -> Option<PathBuf> {
    let device = kernel.resolve(&paths::fc_host(host, "device")).ok()?;
    let mut parts = device.iter().filter_map(|part| part.to_str());
    let controller = parts.find(|part| part.starts_with("ctlr_"))?;
    let switch = paths::fcoe_controller(controller, "enabled");
    kernel.exists(&switch).then_some(switch)
}

/// Whether a physical port is off.
pub fn is_dark(kernel: &dyn Kernel, host: &str) -> bool {
    switch(kernel, host).is_some_and(|switch| attribute(kernel, switch) == "0")
}

/// How many physical ports are off and have a link: each could come online.
pub fn dark_ports(kernel: &dyn Kernel) -> u32 {
    let ports = physical_ports(kernel).into_iter().filter(|port| port.state == DARK);
    let linked = ports.filter(|port| {
        let link = super::software_link(kernel, &port.host);
        link.is_none_or(|link| attribute(kernel, paths::carrier(&link)) != "0")
    });
    u32::try_from(linked.count()).unwrap_or(0)
}
