//! The host that the kernel has for a port, and the network interface that the port's
//! frames pass through.

use std::path::Path;

use super::driver::host_driver;
use super::states::PortState;
use crate::kernel::{self, Kernel, KernelError, Op, paths};
use crate::wwn::{Wwn, from_sysfs};

/// The kernel's host for a port. Virtual and physical ports each have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortHost {
    /// The kernel's name for the host: `host3`.
    pub host: String,
    /// The port's state: `Online` when it is logged in.
    pub state: PortState,
    /// The port's address on the fabric: `0x010203`.
    pub fcid: String,
}

/// Returns the host of the virtual or physical port that has this port name; `None` if
/// this node has no such port.
///
/// # Errors
/// When any host cannot be read, because it may be the one that was asked for.
pub(crate) fn host_of(
    kernel: &dyn Kernel,
    wwpn: Wwn,
) -> Result<Option<PortHost>, KernelError> {
    for host in kernel.list(Path::new(paths::FC_HOSTS))? {
        let get = |name| kernel::attribute(kernel, &paths::fc_host(&host, name));
        if from_sysfs(&get("port_name")?) == Some(wwpn) {
            let (state, fcid) = (get("port_state")?.into(), get("port_id")?);
            return Ok(Some(PortHost { host, state, fcid }));
        }
    }
    Ok(None)
}

/// Returns the network interface that the frames of a host come through; `None` unless
/// the host is one of software FCoE. The device's path has the interface in it:
/// .../net/eth1/ctlr_0/host2/...
pub(crate) fn software_link(kernel: &dyn Kernel, host: &str) -> Option<String> {
    let device = kernel.resolve(&paths::fc_host(host, "device")).ok()?;
    let mut parts = device.iter().map(|part| part.to_string_lossy().into_owned());
    parts.find(|part| part == "net")?;
    parts.next().filter(|link| is_word(link))
}

/// Parses a port's address in the kernel's spelling: `0x010203`.
pub fn address(fcid: &str) -> Option<u32> {
    u32::from_str_radix(fcid.strip_prefix("0x")?, 16).ok()
}

/// Returns the operation that drops new commands to a port of software FCoE for a few
/// seconds; `None` for other ports.
///
/// # Errors
/// When the port's address cannot be read.
pub(crate) fn bar(kernel: &dyn Kernel, wwpn: Wwn) -> Result<Option<Op>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(None) };
    let bar = software_link(kernel, &port.host).zip(address(&port.fcid));
    Ok(bar.map(|(link, fcid)| Op::Bar { link, wwpn, fcid }))
}

/// Returns the network interface and the address of a port whose frames all pass through
/// the network stack. `None` for other ports, also for those of an HBA that does FCoE
/// itself.
///
/// # Errors
/// When the port's driver or address cannot be read.
pub(crate) fn on_network(
    kernel: &dyn Kernel,
    wwpn: Wwn,
) -> Result<Option<(String, u32)>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(None) };
    if host_driver(kernel, &port.host)? != SOFTWARE {
        return Ok(None);
    }
    Ok(software_link(kernel, &port.host).zip(address(&port.fcid)))
}

/// The name of software FCoE's driver, as in [`super::PhysicalPort::driver`].
pub(crate) const SOFTWARE: &str = "fcoe";

/// Returns the interface by which software FCoE sends, for the interface by which it
/// receives. They differ for a VLAN: frames are sent by the interface below it
/// (`fcoe_xmit`).
pub(crate) fn leaves_by(kernel: &dyn Kernel, link: &str) -> String {
    let about = paths::interface(link, "uevent");
    let said = kernel::attribute_or_empty(kernel, &about);
    if !said.lines().any(|line| line == "DEVTYPE=vlan") {
        return link.to_owned();
    }
    let names = about.parent().and_then(|dir| kernel.list(dir).ok()).unwrap_or_default();
    let mut below = names.iter().filter_map(|name| name.strip_prefix("lower_"));
    below.find(|name| is_word(name)).unwrap_or(link).to_owned()
}

/// Returns whether the name of an interface can be put into a script as one word
/// (`kernel/real/nft.rs`). The kernel itself allows quotes in such names.
fn is_word(link: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    !link.is_empty() && link.chars().all(plain)
}

/// The number that a driver shows for what it does not count, or cannot ask its HBA for
/// (`fc_host_statistic`, `qla2x00_get_fc_host_stats`).
const NOT_COUNTED: u64 = u64::MAX;

/// Returns how many frames a virtual port has received and sent; `None` if it does not
/// count them. While that number changes, commands are being accepted, answered or turned
/// away.
///
/// # Errors
/// When a counter is there and cannot be read.
pub(crate) fn frames(kernel: &dyn Kernel, wwpn: Wwn) -> Result<Option<u64>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(None) };
    let count = |name| {
        let text = kernel::attribute(kernel, &paths::fc_host(&port.host, name))?;
        let count = text.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16));
        Ok(count.and_then(Result::ok).filter(|count| *count != NOT_COUNTED))
    };
    let (received, sent) =
        (count("statistics/rx_frames")?, count("statistics/tx_frames")?);
    Ok(received.zip(sent).map(|(received, sent)| received.wrapping_add(sent)))
}
