//! The virtual port database: what this node serves, or has begun to.
//!
//! An entry for each port, written before the first step of a takeover and removed after
//! the last of a release, so that a stop knows what was begun even if its configuration
//! has changed since. It is a hint; the kernel is the truth. It lives under /run: a
//! reboot ends what it tells of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::fabric::{self, PhysicalPort};
use crate::failure::{Failure, Kind};
use crate::group::{DiskSpec, Group, Ownership, PortSpec};
use crate::kernel::{Kernel, KernelError, paths};
use crate::wwn::Wwn;

/// Where a group runs, seen from the node that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// At home.
    Native,
    /// On its partner.
    Guest,
}

/// One virtual port that this node serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The group's name: that of the Pacemaker resource.
    pub group: String,
    /// Its node name.
    pub wwnn: Wwn,
    /// Its port name.
    pub wwpn: Wwn,
    /// The port name of the physical port that carries it.
    pub physical_port: Wwn,
    /// That port in the kernel's words: `host2`.
    pub host: String,
    /// See [`Role`].
    pub role: Role,
    /// When the takeover began, in seconds since 1970.
    pub since: u64,
    /// Whether the group's disks carry reservations of ours.
    pub ownership: Ownership,
    /// The network interface that it runs over, on software FCoE: there its commands
    /// are barred before it logs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The disks as they were found: LUN number and device node.
    pub disks: Vec<EntryDisk>,
}

/// A disk in an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDisk {
    /// The LUN number and the configured name.
    #[serde(flatten)]
    pub spec: DiskSpec,
    /// The device node at that time.
    pub node: PathBuf,
}

impl Entry {
    /// What is to be recorded of a port before its group is taken over.
    pub fn new(
        kernel: &dyn Kernel,
        node: &str,
        group: &Group,
        disks: &[Disk],
        port: &PortSpec,
        physical: &PhysicalPort,
    ) -> Self {
        let disk = |d: &Disk| EntryDisk {
            spec: DiskSpec { lun: d.lun, device: d.device.clone() },
            node: d.node.clone(),
        };
        Self {
            group: group.name.clone(),
            wwnn: group.wwnn,
            wwpn: port.wwpn,
            physical_port: physical.wwpn,
            host: physical.host.clone(),
            role: if group.is_native(node) { Role::Native } else { Role::Guest },
            since: kernel.wall(),
            ownership: group.ownership,
            link: fabric::software_link(kernel, &physical.host),
            disks: disks.iter().map(disk).collect(),
        }
    }
}

/// Every entry. A damaged one is set aside, with a warning, and the kernel is believed.
pub fn entries(kernel: &dyn Kernel) -> Vec<Entry> {
    let dir = Path::new(paths::REGISTRY);
    let names = kernel.list(dir).unwrap_or_else(|error| {
        log::warn!("virtual port database: {error}; the kernel is believed instead");
        Vec::new()
    });
    let names = names.into_iter().filter(|name| name.ends_with(".json"));
    names.filter_map(|name| read(kernel, &dir.join(name))).collect()
}

fn read(kernel: &dyn Kernel, path: &Path) -> Option<Entry> {
    // Another agent may be done with it between the listing and now.
    let text = kernel.read(path).ok()?;
    let why = match serde_json::from_str::<Entry>(&text) {
        Ok(entry) if paths::registry_entry(entry.wwpn) == path => return Some(entry),
        Ok(entry) => format!("it is about {}", entry.wwpn),
        Err(error) => error.to_string(),
    };
    let aside = path.with_extension("damaged");
    log::warn!("virtual port database: {} is damaged ({why})", path.display());
    match kernel.store(&aside, &text).and_then(|()| kernel.discard(path)) {
        Ok(()) => log::warn!("it was set aside as {}", aside.display()),
        Err(error) => log::warn!("it could not be set aside: {error}"),
    }
    None
}

/// The entries of a group.
pub fn of_group(kernel: &dyn Kernel, name: &str) -> Vec<Entry> {
    entries(kernel).into_iter().filter(|entry| entry.group == name).collect()
}

/// Records a port.
///
/// # Errors
/// When another group has recorded the name, or the file cannot be written.
pub fn record(kernel: &dyn Kernel, entry: &Entry) -> Result<(), Failure> {
    let step = "record the virtual port";
    let path = paths::registry_entry(entry.wwpn);
    if let Some(other) = read(kernel, &path).filter(|other| other.group != entry.group) {
        let cause = format!("{} belongs to {} here", entry.wwpn, other.group);
        return Err(Failure::new(Kind::Configuration, step, cause)
            .advise("Give each resource ports of its own"));
    }
    let text = serde_json::to_string_pretty(entry)
        .map_err(|error| Failure::new(Kind::Failed, step, error))?;
    kernel.store(&path, &(text + "\n")).map_err(|error| Failure::kernel(step, &[error]))
}

/// Forgets a port.
///
/// # Errors
/// When the entry is there and cannot be removed.
pub fn forget(kernel: &dyn Kernel, wwpn: Wwn) -> Result<(), KernelError> {
    kernel.discard(&paths::registry_entry(wwpn))
}
