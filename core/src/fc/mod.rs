//! Fibre Channel ports as this node's kernel sees them: physical, virtual and remote.

mod driver;
mod switch;

use std::path::Path;

use serde::Serialize;

use crate::action::failure::{Failure, Kind};
use crate::config::group::PortSpec;
use crate::kernel::{self, Chain, Kernel, KernelError, Op, paths};
use crate::lio::Driver;
use crate::wwn::{Wwn, from_sysfs};
pub use driver::host_driver;
pub use switch::{DARK, can_come, is_dark};

/// A physical port: an fc_host that can carry virtual ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
pub struct PhysicalPort {
    /// The kernel's name: `host2`.
    pub host: String,
    /// The port name of the physical port.
    pub wwpn: Wwn,
    /// `Online` when it is logged in to a fabric, `Dark` when it is turned off.
    pub state: String,
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
        [DARK, "Linkdown", "Offline"].contains(&self.state.as_str())
    }
}

/// A virtual port; or a physical one, where a group has its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualPort {
    /// The kernel's name: `vport-2:0-1`. For a physical port, the name of its host.
    pub vport: String,
    /// The physical port that carries this one: `host2`.
    pub parent: String,
    /// The port name.
    pub wwpn: Wwn,
    /// The node name.
    pub wwnn: Wwn,
    /// `Active` when it is logged in; see `fc_vport_state_names` in
    /// drivers/scsi/scsi_transport_fc.c for the others.
    pub state: String,
}

impl VirtualPort {
    /// Returns whether this is a physical port.
    pub fn is_own(&self) -> bool {
        self.vport == self.parent
    }

    /// Returns whether the port is logged in to the fabric.
    pub fn is_linked(&self) -> bool {
        self.state == "Active"
    }

    /// Returns whether the port is logged in, or may be in a moment.
    pub fn may_be_logged_in(&self) -> bool {
        self.is_linked() || self.state == "Initializing"
    }

    /// Returns whether the port was told to stay out of the fabric.
    pub fn is_disabled(&self) -> bool {
        self.state == "Disabled"
    }
}

/// The step in which a physical port is chosen.
pub const CHOOSE: &str = "choose a physical port";

/// States that a virtual port does not leave by itself, where its physical port is online
/// and some time has passed: in a moment of the link each of them shows.
const HOPELESS: [(&str, &str); 5] = [
    ("No Fabric Support", "Turn NPIV on at the switch port"),
    ("No Fabric Resources", "The switch port's limit of NPIV logins is reached"),
    ("Fabric Rejected WWN", "The fabric takes the name for a duplicate, or bars it"),
    ("Fabric Logout", "The fabric logged the port out"),
    ("VPort Failed", "See the kernel's log"),
];

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
        let state = get("port_state")?;
        // In a loop a port can be in a fabric and still not carry virtual ports. Back to
        // back with another node it may show a fabric's name (`fc_port_type_names`,
        // drivers/scsi/scsi_transport_fc.c).
        let port_type = get("port_type")?;
        let other = ["LPort", "NLPort", "Point-To-Point"];
        let switched = !other.iter().any(|other| port_type.starts_with(other));
        ports.push(PhysicalPort {
            wwpn,
            state: if is_dark(kernel, &host)? { DARK.into() } else { state },
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
    Ok(state == "Online")
}

/// Returns every virtual port of this node, and every physical one that is on and could
/// be off.
///
/// # Errors
/// When one is there and cannot be read: whose it is would not be known.
pub fn virtual_ports(kernel: &dyn Kernel) -> Result<Vec<VirtualPort>, KernelError> {
    let mut ports = Vec::new();
    for vport in kernel.list(Path::new(paths::FC_VPORTS))? {
        let get = |name| kernel::attribute(kernel, &paths::fc_vport(&vport, name));
        let names = (from_sysfs(&get("port_name")?), from_sysfs(&get("node_name")?));
        let state = get("vport_state")?;
        let host = vport.strip_prefix("vport-").and_then(|rest| rest.split(':').next());
        if let ((Some(wwpn), Some(wwnn)), Some(host)) = (names, host) {
            let parent = format!("host{host}");
            ports.push(VirtualPort { vport, parent, wwpn, wwnn, state });
        }
    }
    ports.extend(switch::own_ports(kernel)?);
    Ok(ports)
}

/// Returns the node name of a physical port.
///
/// # Errors
/// When it cannot be read.
pub fn wwnn(kernel: &dyn Kernel, host: &str) -> Result<Option<Wwn>, KernelError> {
    let name = kernel::attribute(kernel, &paths::fc_host(host, "node_name"))?;
    Ok(from_sysfs(&name))
}

/// Reads the current state of a virtual port from the kernel.
///
/// # Errors
/// When it cannot be read.
pub fn state(kernel: &dyn Kernel, port: &VirtualPort) -> Result<String, KernelError> {
    if port.is_own() {
        return switch::state(kernel, &port.parent);
    }
    kernel::attribute(kernel, &paths::fc_vport(&port.vport, "vport_state"))
}

/// A virtual port as the rest of the kernel has it: a host of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHost {
    /// The kernel's name: `host3`.
    pub host: String,
    /// `Online` when it is logged in.
    pub state: String,
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
            let (state, fcid) = (get("port_state")?, get("port_id")?);
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

/// The driver of software FCoE, as [`PhysicalPort::driver`] has it.
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

/// A port elsewhere on the fabric, as one of our ports knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePort {
    /// The kernel's name: `rport-3:0-1`.
    pub name: String,
    /// The port name of the remote port.
    pub wwpn: Wwn,
    /// `Online` while the two are logged in with one another.
    pub state: String,
}

/// Returns the ports that the port of a host has met.
///
/// # Errors
/// When one is there and cannot be read.
pub fn remote_ports(
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
        let (state, wwpn) = (get("port_state")?, from_sysfs(&get("port_name")?));
        ports.extend(wwpn.map(|wwpn| RemotePort { name, wwpn, state }));
    }
    Ok(ports)
}

/// Returns how fast a physical port is, in the kernel's words: `10 Gbit`.
pub fn speed(kernel: &dyn Kernel, host: &str) -> String {
    kernel::attribute_or_empty(kernel, &paths::fc_host(host, "speed"))
}

/// Returns the operations that ask for an echo: one for each of `initiators` that a
/// virtual port is logged in with.
///
/// # Errors
/// When one is there and cannot be read.
pub fn echoes(
    kernel: &dyn Kernel,
    wwpn: Wwn,
    initiators: &[Wwn],
) -> Result<Vec<Op>, KernelError> {
    let Some(port) = host_of(kernel, wwpn)? else { return Ok(Vec::new()) };
    let met = remote_ports(kernel, &port.host)?.into_iter();
    let here = met.filter(|p| p.state == "Online" && initiators.contains(&p.wwpn));
    Ok(here.map(|port| Op::Echo(Path::new(paths::BSG).join(port.name))).collect())
}

/// Returns the remote port under which this node sees a WWPN logged in, if it does. A
/// remote port that is gone lingers as `Blocked` or `Not Present`.
///
/// # Errors
/// When one is there and cannot be read.
pub fn logged_in_elsewhere(
    kernel: &dyn Kernel,
    wwpn: Wwn,
) -> Result<Option<String>, KernelError> {
    let remote = Path::new(paths::FC_REMOTE_PORTS);
    for port in kernel.list(remote)? {
        let get = |name| kernel::attribute(kernel, &remote.join(&port).join(name));
        let named = from_sysfs(&get("port_name")?) == Some(wwpn);
        if named && get("port_state")? == "Online" {
            return Ok(Some(port));
        }
    }
    Ok(None)
}

/// Returns the physical port on which a virtual port is to appear. It must be online, in
/// the right fabric, driven by one of `drivers`, and have room; of several, the one with
/// the most room is chosen. A virtual port that exists already, logged out, stays where
/// it is. A physical port that has the port's own name is the only choice: it need not be
/// online, but it must be possible to turn it off.
///
/// # Errors
/// [`Kind::Node`], with what is wrong with each port that there is.
pub fn choose(
    kernel: &dyn Kernel,
    port: &PortSpec,
    drivers: &[&dyn Driver],
    there: Option<&VirtualPort>,
) -> Result<PhysicalPort, Failure> {
    let mut unfit = Vec::new();
    let mut fit = Vec::new();
    let mut physical = physical_ports(kernel).map_err(unreadable)?;
    physical.retain(|physical| there.is_none_or(|vport| vport.parent == physical.host));
    // While a physical port has this name in the fabric, no virtual port can have it.
    if physical.iter().any(|physical| physical.wwpn == port.wwpn) {
        physical.retain(|physical| physical.wwpn == port.wwpn);
    }
    for physical in physical {
        let own = physical.wwpn == port.wwpn;
        let why = match switch::switch(kernel, &physical.host) {
            Ok(Some(_)) if own => None,
            Ok(None) if own => {
                Some("has this very name, and cannot be turned off".to_owned())
            }
            Err(error) if own => Some(format!("has this very name: {error}")),
            _ => why_unfit(&physical, port, drivers, there.is_none()),
        };
        match why {
            Some(why) => unfit.push(format!("{} {why}", physical.host)),
            None => fit.push(physical),
        }
    }
    if unfit.is_empty() {
        unfit.push("this node has no Fibre Channel port".into());
    }
    fit.into_iter().max_by_key(|physical| physical.vports_free).ok_or_else(|| {
        let wanted = match port.fabrics.as_slice() {
            [] => format!("port {}", port.wwpn),
            _ => format!("port {} in fabric {}", port.wwpn, port.fabrics_in_words()),
        };
        let cause = format!("none will do for {wanted}: {}", unfit.join(", "));
        Failure::new(Kind::Node, CHOOSE, cause)
            .advise(
                "Check the cabling, the switch port and the fabric's name in ports; where the \
                 nodes' edge switches have different names: WWPN@NAME|NAME",
            )
    })
}

/// Returns the failure to choose a physical port because one cannot be read.
pub fn unreadable(error: KernelError) -> Failure {
    Failure { kind: Kind::Node, ..Failure::kernel(CHOOSE, &[error]) }
}

/// Returns whether no physical port of this node is online in the fabric that a port
/// names. A port that names no fabric has lost none. Nor is the fabric lost if a physical
/// port has the port's own name: that one comes online with its group.
///
/// # Errors
/// When a physical port cannot be read.
pub fn is_lost(kernel: &dyn Kernel, port: &PortSpec) -> Result<bool, KernelError> {
    if port.fabrics.is_empty() {
        return Ok(false);
    }
    let in_it = |p: &PhysicalPort| {
        let named = p.fabric.is_some_and(|fabric| port.goes_to(fabric));
        p.state == "Online" && named || p.wwpn == port.wwpn
    };
    Ok(!physical_ports(kernel)?.iter().any(in_it))
}

fn why_unfit(
    physical: &PhysicalPort,
    port: &PortSpec,
    drivers: &[&dyn Driver],
    needs_room: bool,
) -> Option<String> {
    if !drivers.iter().any(|driver| driver.serves(&physical.driver)) {
        let name = &physical.driver;
        let drivers: Vec<_> = drivers.iter().map(|driver| driver.name()).collect();
        return Some(format!("is driven by {name}, not for {}", drivers.join(" or ")));
    }
    if physical.state != "Online" {
        return Some(format!("is {}", physical.state));
    }
    let Some(fabric) = physical.fabric else {
        return Some("is in no fabric with virtual ports".to_owned());
    };
    if !port.goes_to(fabric) {
        return Some(format!("is in fabric {fabric}"));
    }
    let full = needs_room && physical.vports_free == 0;
    full.then(|| "carries all the vports that it can".into())
}

/// Returns the operation that makes a port appear on the fabric: it creates the virtual
/// port, or turns on the physical port whose name it is.
///
/// # Errors
/// When the switch of a physical port cannot be looked up.
pub fn create(
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

/// Returns the operation that lets a virtual port log in again that was logged out and
/// kept.
pub fn log_in(port: &VirtualPort) -> Op {
    set_disabled(port, "0")
}

/// Returns the operation that logs a virtual port out and keeps it.
pub fn log_out(port: &VirtualPort) -> Op {
    set_disabled(port, "1")
}

fn set_disabled(port: &VirtualPort, disabled: &str) -> Op {
    let path = paths::fc_vport(&port.vport, "vport_disable");
    Op::Write { path, text: disabled.into() }
}

/// Returns the names as the kernel wants them, the port name first
/// (`store_fc_host_vport_create`).
fn names(wwpn: Wwn, wwnn: Wwn) -> String {
    format!("{}:{}", wwpn.hex(), wwnn.hex())
}

/// Returns what an operator can do about a virtual port in this state, if waiting is no
/// use.
pub fn hopeless(state: &str) -> Option<&'static str> {
    HOPELESS.iter().find(|(name, _)| *name == state).map(|(_, advice)| *advice)
}
