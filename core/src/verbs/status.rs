//! Status: what this node serves, by its database and its kernel. Nothing is changed, and
//! the cluster is not asked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::action::failure::Failure;
use crate::config::group::{DeviceName, Ownership};
use crate::disks::ownership::{self, Keys};
use crate::fc::{self, PhysicalPort, PortState, Seen, VportState};
use crate::kernel::reservation::{Key, Reservation};
use crate::kernel::{self, Kernel, KernelError, paths};
use crate::lio::{self, ALUA_ACTIVE_OPTIMIZED};
use crate::run_files::registry::{self, Entry, Role, Took};
use crate::situation::found::Found;
use crate::situation::scope::Scope;
use crate::wwn::Wwn;

use super::health::departed;
use super::{survey, unseen};

/// The status of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Status {
    /// The node's name in the cluster.
    pub node: String,
    /// The node's physical ports.
    pub physical_ports: Vec<Physical>,
    /// The takeover groups that the node serves, or has begun to serve.
    pub groups: Vec<Served>,
}

/// The status of a physical port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Physical {
    /// The port, as a takeover sees it.
    #[serde(flatten)]
    pub port: PhysicalPort,
    /// The port's speed in the kernel's words: `10 Gbit`.
    pub speed: String,
}

/// The status of a takeover group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Served {
    /// The group's name: that of its Pacemaker resource.
    pub group: String,
    /// Whether the group is at home on this node.
    pub role: Role,
    /// When the takeover began, in seconds since 1970.
    pub since: u64,
    /// The group's node name (WWNN).
    pub wwnn: Wwn,
    /// The group's ports.
    pub ports: Vec<Port>,
    /// The group's LUNs.
    pub luns: Vec<Lun>,
    /// The phases of the takeover, each with its length.
    pub took: Vec<Took>,
    /// What is wrong with the group, in sentences; empty if it is healthy.
    pub faults: Vec<String>,
}

/// The status of a virtual port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Port {
    /// The port name (WWPN).
    pub wwpn: Wwn,
    /// The port's state: `Active` when it is logged in, `absent` if the kernel has no
    /// such port.
    pub state: Seen<VportState>,
    /// The physical port that carries the virtual one: `host2`.
    pub host: String,
    /// The port's address on the fabric: `0x010203`.
    pub fcid: Option<String>,
    /// The initiators that may log in to the port.
    pub sessions: Vec<Session>,
}

/// The status of an initiator at a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Session {
    /// The initiator's port name.
    pub initiator: Wwn,
    /// The initiator's state: `Online` while it is logged in, `absent` if the port has
    /// never met it.
    pub state: Seen<PortState>,
}

/// The status of a LUN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Lun {
    /// The LUN's number.
    pub lun: u16,
    /// The disk, by its name in the configuration.
    pub device: DeviceName,
    /// The disk's device node on this node: `/dev/sdb`.
    pub node: PathBuf,
    /// The disk's size in bytes; `None` if the disk has gone.
    pub bytes: Option<u64>,
    /// How the LUN answers commands.
    pub service: Service,
    /// Who owns the LUN's disk.
    pub owner: Owner,
    /// The key that holds the disk's reservation (`0x7573...`), if there is one.
    pub key: Option<String>,
}

/// How a LUN answers commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Service {
    /// The LUN carries out commands.
    Serving,
    /// The LUN answers every command with "try again".
    Quiesced,
    /// LIO does not export the LUN.
    Absent,
}

/// The owner of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Owner {
    /// This node is the owner, and no other key is registered.
    ThisNode,
    /// Somebody else has registered a key.
    Another,
    /// The disk is not reserved.
    Nobody,
    /// The group uses no reservations (`ownership=none`).
    NotReserved,
    /// The disk does not answer.
    Unknown,
}

impl Service {
    /// Returns the words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Quiesced => "quiesced",
            Self::Absent => "absent",
        }
    }
}

impl Owner {
    /// Returns the words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::ThisNode => "this node",
            Self::Another => "another",
            Self::Nobody => "nobody",
            Self::NotReserved => "not reserved",
            Self::Unknown => "unknown",
        }
    }

    /// Returns whether this owner is right for a disk that is served here.
    pub fn is_well(self) -> bool {
        matches!(self, Self::ThisNode | Self::NotReserved)
    }
}

impl Status {
    /// Returns whether every physical port is online or dark, and no group has a fault.
    pub fn is_healthy(&self) -> bool {
        let well = |physical: &Physical| {
            matches!(physical.port.state, PortState::Online | PortState::Dark)
        };
        self.physical_ports.iter().all(well)
            && self.groups.iter().all(|group| group.faults.is_empty())
    }
}

/// Returns the status of this node.
///
/// # Errors
/// When something exists and cannot be read.
pub fn status(action: &Action) -> Result<Status, Failure> {
    let Action { kernel, node, .. } = *action;
    let physical_ports = fc::physical_ports(kernel)
        .map_err(unseen)?
        .into_iter()
        .map(|port| Physical { speed: fc::speed(kernel, &port.host), port });
    let mut names: Vec<_> =
        registry::entries(kernel).into_iter().map(|entry| entry.group).collect();
    names.sort_unstable();
    names.dedup();
    let keys = Keys::of(kernel, node).map_err(unseen)?;
    let groups = names.iter().map(|name| served(action, &keys, name));
    Ok(Status {
        node: node.to_owned(),
        physical_ports: physical_ports.collect(),
        groups: groups.filter_map(Result::transpose).collect::<Result<_, _>>()?,
    })
}

/// Returns the status of a group; `None` if its last database entry has been removed
/// meanwhile.
fn served(action: &Action, keys: &Keys, name: &str) -> Result<Option<Served>, Failure> {
    let kernel = action.kernel;
    // No configuration is at hand, so only what is in the database is looked for.
    let scope = Scope::gather(kernel, name, |_| None);
    let Some(entry) = scope.entries.first() else { return Ok(None) };
    let found = survey(kernel, &scope)?;
    let ports = scope.entries.iter().map(|entry| port(kernel, entry, &found));
    let ports = ports.collect::<Result<Vec<_>, _>>().map_err(unseen)?;
    let luns = luns(action, keys, entry, &found);
    let mut faults = faults(&ports, &luns);
    faults.extend(departed(kernel, &scope));
    Ok(Some(Served {
        group: name.to_owned(),
        role: entry.role,
        since: entry.since,
        wwnn: entry.wwnn,
        ports,
        luns,
        took: entry.took.clone(),
        faults,
    }))
}

fn port(kernel: &dyn Kernel, entry: &Entry, found: &Found) -> Result<Port, KernelError> {
    let vport = found.vport(entry.wwpn);
    let host = fc::host_of(kernel, entry.wwpn)?;
    let met = host.as_ref().map(|host| fc::remote_ports(kernel, &host.host));
    let met = met.transpose()?.unwrap_or_default();
    let acls = found.export.tree(entry.wwpn).map_or([].as_slice(), |tree| &tree.acls);
    let session = |initiator: Wwn| {
        let remote = met.iter().find(|remote| remote.wwpn == initiator);
        Session { initiator, state: remote.map(|remote| remote.state.clone()).into() }
    };
    Ok(Port {
        wwpn: entry.wwpn,
        state: vport.map(|vport| vport.state.clone()).into(),
        host: vport.map_or(&entry.host, |vport| &vport.parent).clone(),
        fcid: host.map(|host| host.fcid),
        sessions: acls.iter().filter_map(lio::Acl::initiator).map(session).collect(),
    })
}

fn luns(action: &Action, keys: &Keys, entry: &Entry, found: &Found) -> Vec<Lun> {
    let Action { kernel, budget, .. } = *action;
    let nodes: Vec<PathBuf> = entry.disks.iter().map(|disk| disk.node.clone()).collect();
    let asked = entry.ownership == Ownership::Scsi3Pr;
    let reservations = match asked {
        true => ownership::read(kernel, &nodes, budget).into_iter().map(Some).collect(),
        false => vec![None; nodes.len()],
    };
    let lun = |(disk, now): (&registry::EntryDisk, Option<_>)| {
        let number = disk.spec.slot.lun()?;
        let (owner, key) = owner(now, keys);
        let name = disk.node.file_name().unwrap_or_default().to_string_lossy();
        let sectors = kernel::attribute(kernel, &paths::block(&name, "size")).ok();
        let path = lio::backstore_path(entry.wwnn, number);
        let service = match found.export.backstore(&path) {
            Some(b) if b.enabled && b.alua == ALUA_ACTIVE_OPTIMIZED => Service::Serving,
            Some(b) if b.enabled => Service::Quiesced,
            _ => Service::Absent,
        };
        Some(Lun {
            lun: number,
            device: disk.spec.device.clone(),
            node: disk.node.clone(),
            // The kernel counts in units of 512 bytes, whatever the size of the disk's
            // blocks.
            bytes: sectors
                .and_then(|n| n.parse::<u64>().ok())
                .and_then(|n| n.checked_mul(512)),
            service,
            owner,
            key: key.map(|key| key.to_string()),
        })
    };
    entry.disks.iter().zip(reservations).filter_map(lun).collect()
}

/// Returns the owner of a disk by its answer, and the key that holds it. `None` stands
/// for a disk that was not asked.
pub(super) fn owner(
    now: Option<Result<Reservation, KernelError>>,
    keys: &Keys,
) -> (Owner, Option<Key>) {
    let now = match now {
        None => return (Owner::NotReserved, None),
        Some(Err(_)) => return (Owner::Unknown, None),
        Some(Ok(now)) => now,
    };
    let key = now.holder.map(|holder| holder.key);
    match now.keys.as_slice() {
        _ if keys.own(&now) => (Owner::ThisNode, key),
        there if there.iter().all(|key| keys.are(*key)) => (Owner::Nobody, key),
        _ => (Owner::Another, key),
    }
}

fn faults(ports: &[Port], luns: &[Lun]) -> Vec<String> {
    let ports = ports.iter().filter(|port| !port.state.is(&VportState::Active));
    let ports = ports.map(|port| format!("port {} is {}", port.wwpn, port.state));
    let luns = luns.iter().flat_map(|Lun { lun, service, owner, .. }| {
        let service = match service {
            Service::Serving => None,
            Service::Quiesced => Some(format!("LUN {lun} turns commands away")),
            Service::Absent => Some(format!("LUN {lun} is not exported")),
        };
        let owner = match owner {
            Owner::ThisNode | Owner::NotReserved => None,
            Owner::Another => Some(format!("LUN {lun}'s disk is another's")),
            Owner::Nobody => Some(format!("LUN {lun}'s disk is not reserved")),
            Owner::Unknown => Some(format!("LUN {lun}'s disk does not answer")),
        };
        service.into_iter().chain(owner)
    });
    ports.chain(luns).collect()
}
