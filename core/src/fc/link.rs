//! The host that a port is to the rest of the kernel, and the network interface that its
//! frames pass through.

use std::path::Path;

use super::driver::host_driver;
use super::states::PortState;
use crate::kernel::{self, Kernel, KernelError, Op, paths};
use crate::wwn::{Wwn, from_sysfs};

/// A virtual port as the rest of the kernel has it: a host of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHost {
    /// The kernel's name: `host3`.
    pub host: String,
    /// The port's state: `Online` when it is logged in.
    pub state: PortState,
    /// The port's address on the fabric: `0x010203`.
    pub fcid: String,
}

/// Returns the host of the virtual or physical port that has this port name.
///
/// # Errors
/// When a host cannot be read: it may be this one.
pub fn host_of(kernel: &dyn Kernel, wwpn: Wwn) -> Result<Option<PortHost>, KernelError> {
    for host in kernel.list(Path::new(paths::FC_HOSTS))? {
        let get = |name| kernel::attribute(kernel, &paths::fc_host(&host, name));
        if from_sysfs(&get("port_name")?) == Some(wwpn) {
            let (state, fcid) = (get("port_state")?.into(), get("port_id")?);
            return Ok(Some(PortHost { host, state, fcid }));
        }
    }
    Ok(None)
}

/// Returns the network interface that a port's frames come through, if its host is one of
/// software FCoE. The interface is in the device's path: .../net/eth1/ctlr_0/host2/...
pub fn software_link(kernel: &dyn Kernel, host: &str) -> Option<String> {
    let device = kernel.resolve(&paths::fc_host(host, "device")).ok()?;
    let mut parts = device.iter().map(|part| part.to_string_lossy().into_owned());
    parts.find(|part| part == "net")?;
    parts.next().filter(|link| is_word(link))
}

/// Parses an address as the kernel writes it: `0x010203`.
pub fn address(fcid: &str) -> Option<u32> {
    u32::from_str_radix(fcid.strip_prefix("0x")?, 16).ok()
}

/// Returns the operation that drops commands to a virtual port of software FCoE for the
/// next moment; `None` for other ports.
///
/// # Errors
/// When its address cannot be read.
pub fn bar(kernel: &dyn Kernel, wwpn: Wwn) -> Result<Option<Op>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(None) };
    let bar = software_link(kernel, &port.host).zip(address(&port.fcid));
    Ok(bar.map(|(link, fcid)| Op::Bar { link, wwpn, fcid }))
}

/// Returns the network interface and the address of a port all of whose frames pass through
/// the network stack; `None` for other ports, those of an HBA that does FCoE itself among
/// them.
///
/// # Errors
/// When what drives it, or its address, cannot be read.
pub fn on_network(
    kernel: &dyn Kernel,
    wwpn: Wwn,
) -> Result<Option<(String, u32)>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(None) };
    if host_driver(kernel, &port.host)? != SOFTWARE {
        return Ok(None);
    }
    Ok(software_link(kernel, &port.host).zip(address(&port.fcid)))
}

/// The driver of software FCoE, as [`super::PhysicalPort::driver`] has it.
pub const SOFTWARE: &str = "fcoe";

/// Returns the interface by which the frames of software FCoE leave that come by this one:
/// that below it where it is a VLAN (`fcoe_xmit`).
pub fn leaves_by(kernel: &dyn Kernel, link: &str) -> String {
    let about = paths::interface(link, "uevent");
    let said = kernel::attribute_or_empty(kernel, &about);
    if !said.lines().any(|line| line == "DEVTYPE=vlan") {
        return link.to_owned();
    }
    let names = about.parent().and_then(|dir| kernel.list(dir).ok()).unwrap_or_default();
    let mut below = names.iter().filter_map(|name| name.strip_prefix("lower_"));
    below.find(|name| is_word(name)).unwrap_or(link).to_owned()
}

/// Returns whether the name of an interface can be a word of a script (`kernel/nft.rs`); the
/// kernel itself bars no quotes.
fn is_word(link: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    !link.is_empty() && link.chars().all(plain)
}

/// Returns how many frames a virtual port has received and sent, if it counts them. While
/// that number changes, commands are being taken in, answered or turned away.
///
/// # Errors
/// When a counter is there and cannot be read.
pub fn frames(kernel: &dyn Kernel, wwpn: Wwn) -> Result<Option<u64>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(None) };
    let count = |name| {
        let text = kernel::attribute(kernel, &paths::fc_host(&port.host, name))?;
        Ok(text.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()))
    };
    let (received, sent) =
        (count("statistics/rx_frames")?, count("statistics/tx_frames")?);
    // A driver that does not count says 2^64 - 1.
    Ok(received.zip(sent).map(|(received, sent)| received.wrapping_add(sent)))
}
