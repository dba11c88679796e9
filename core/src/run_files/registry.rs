//! The virtual port database: what this node serves, or has begun to serve.
//!
//! Each port has an entry. It is written before the first step of a takeover and removed
//! after the last step of a release. So a stop knows what was begun, even if the
//! configuration has changed since. The database is a hint; the kernel has the truth. It
//! is below /run, because a reboot ends everything that it describes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::action::failure::{Failure, Kind};
use crate::action::phases::Phases;
use crate::config::group::{DeviceName, DiskSpec, Group, Ownership, PortSpec, Slot};
use crate::disks::disk::{self, Disk};
use crate::fc::{self, PhysicalPort};
use crate::kernel::{Kernel, KernelError, paths};
use crate::wwn::Wwn;

/// Whether a group is served on the node that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The group is served on its home.
    Native,
    /// The group is served on another node than its home.
    Guest,
}

/// A virtual port that this node serves, or has begun to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The group's name: that of its Pacemaker resource.
    pub group: String,
    /// The group's node name (WWNN).
    pub wwnn: Wwn,
    /// The port name (WWPN).
    pub wwpn: Wwn,
    /// The port name of the physical port that carries the virtual one.
    pub physical_port: Wwn,
    /// The kernel's name for the physical port: `host2`.
    pub host: String,
    /// Whether the group is at home on this node.
    pub role: Role,
    /// When the takeover began, in seconds since 1970.
    pub since: u64,
    /// What guarantees that one node owns the group's disks.
    pub ownership: Ownership,
    /// The network interface of the port, on software FCoE. Before the port logs out, its
    /// commands are barred there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The disks of the LUNs, as they were found at the takeover.
    pub disks: Vec<EntryDisk>,
    /// The state disk, if the group has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<EntryDisk>,
    /// How long each phase of the takeover took, once it is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<Took>,
}

/// A phase of a takeover that is over, and its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Took {
    /// The name of the phase.
    pub phase: String,
    /// The length of the phase in milliseconds.
    pub ms: u64,
}

/// A disk in an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDisk {
    /// The disk's slot and its configured name.
    #[serde(flatten)]
    pub spec: DiskSpec,
    /// The device node of the disk at the takeover.
    #[serde(deserialize_with = "device_node")]
    pub node: PathBuf,
    /// The identifier that the disk reported then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwid: Option<String>,
}

impl EntryDisk {
    /// Returns the device node that the disk has now, found by its configured name.
    /// `None` if that finds nothing and another disk has the old node.
    pub fn node_now(&self, kernel: &dyn Kernel) -> Option<PathBuf> {
        let wwid = match &self.spec.device {
            DeviceName::Wwid(wwid) => Some(wwid.as_str()),
            DeviceName::Path(_) => self.wwid.as_deref(),
        };
        disk::node_of(kernel, &self.spec, wwid, &self.node)
    }
}

/// Parses a device node in the form in which [`Disk`] has it. Any other path is refused,
/// because it would be opened as a disk.
fn device_node<'de, D: Deserializer<'de>>(input: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(input)?;
    let node = PathBuf::from(&text);
    match node.file_name() {
        Some(name) if Path::new(paths::DEV).join(name).as_os_str() == text.as_str() => {
            Ok(node)
        }
        _ => Err(D::Error::custom(format!("'{text}' is not a device node"))),
    }
}

impl Entry {
    /// Returns the entry of a port whose group is about to be taken over.
    pub(crate) fn new(
        kernel: &dyn Kernel,
        node: &str,
        group: &Group,
        disks: &[Disk],
        port: &PortSpec,
        physical: &PhysicalPort,
    ) -> Self {
        let disk = |d: &Disk| EntryDisk {
            spec: DiskSpec { slot: d.slot, device: d.device.clone() },
            node: d.node.clone(),
            wwid: d.wwid.clone(),
        };
        let (state, disks): (Vec<_>, Vec<_>) =
            disks.iter().map(disk).partition(|disk| disk.spec.slot == Slot::Reservations);
        Self {
            group: group.name.clone(),
            wwnn: group.wwnn,
            wwpn: port.wwpn,
            physical_port: physical.wwpn,
            host: physical.host.clone(),
            role: if group.is_native(node) { Role::Native } else { Role::Guest },
            since: kernel.wall(),
            ownership: group.ownership,
            link: fc::software_link(kernel, &physical.host),
            disks,
            state: state.into_iter().next(),
            took: Vec::new(),
        }
    }

    /// Returns this entry with the phases of the takeover, which is over.
    #[must_use]
    pub(crate) fn after(mut self, phases: &Phases) -> Self {
        let took = |(phase, time): (&str, Duration)| Took {
            phase: phase.to_owned(),
            ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        };
        self.took = phases.each().map(took).collect();
        self
    }
}

/// Returns every entry on this node. A damaged entry is renamed, with a warning, and left
/// out.
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
    let text = match kernel.load(path) {
        Ok(text) => text,
        // Another agent may have removed the entry since the directory was listed.
        Err(error) if error.is(Errno::ENOENT) => return None,
        Err(error) => {
            log::warn!("virtual port database: {error}; the kernel is believed instead");
            return None;
        }
    };
    let why = match serde_json::from_str::<Entry>(&text) {
        Ok(entry) if paths::registry_entry(entry.wwpn) == path => return Some(entry),
        Ok(entry) => format!("it is about {}", entry.wwpn),
        Err(error) => error.to_string(),
    };
    let (aside, name) = (path.with_extension("damaged"), path.display());
    log::warn!(
        "virtual port database: {name} is damaged ({why}); the kernel is believed instead"
    );
    match kernel.store(&aside, &text).and_then(|()| kernel.discard(path)) {
        Ok(()) => log::warn!("it was set aside as {}", aside.display()),
        Err(error) => log::warn!("it could not be set aside: {error}"),
    }
    None
}

/// Returns the entries of one group.
pub fn of_group(kernel: &dyn Kernel, name: &str) -> Vec<Entry> {
    entries(kernel).into_iter().filter(|entry| entry.group == name).collect()
}

/// Writes the entry of a port.
///
/// # Errors
/// When another group has an entry for the port name, or the file cannot be written.
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

/// Removes the entry of a group's port. Another group's entry for the port name stays.
///
/// # Errors
/// When the entry exists and cannot be removed.
pub fn forget(kernel: &dyn Kernel, group: &str, wwpn: Wwn) -> Result<(), KernelError> {
    let path = paths::registry_entry(wwpn);
    match read(kernel, &path).is_some_and(|entry| entry.group != group) {
        true => Ok(()),
        false => kernel.discard(&path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::kernel::RealKernel;

    const NAME: &str = "200100002500000a";

    fn entry(name: &str) -> String {
        format!(
            r#"{{"group": "g", "wwnn": "2000000025b5000a", "wwpn": "{name}",
                "physical_port": "2000525400000001", "host": "host2", "role": "native",
                "since": 1, "ownership": "scsi3-pr",
                "disks": [{{"lun": 0, "device": "/dev/disk/by-id/a", "node": "/dev/sda"}}]}}"#
        )
    }

    /// Returns what is read of a database with this one file, and which files are there
    /// afterwards.
    fn read_back(bytes: &[u8]) -> (Vec<Entry>, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        let path = Path::new(paths::REGISTRY).join(format!("{NAME}.json"));
        kernel.store(&path, "").unwrap();
        fs::write(root.path().join(&path.to_str().unwrap()[1..]), bytes).unwrap();
        let entries = entries(&kernel);
        (entries, kernel.list(Path::new(paths::REGISTRY)).unwrap())
    }

    #[test]
    fn a_sound_entry_is_read_and_kept() {
        let (entries, left) = read_back(entry(NAME).as_bytes());
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].disks[0].node, Path::new("/dev/sda"));
        assert_eq!(left, [format!("{NAME}.json")]);
    }

    /// Checks that an earlier or later version can read the database, as happens during
    /// an update.
    #[test]
    fn an_entry_is_written_as_it_was_read() {
        let text = r#"{
  "group": "g",
  "wwnn": "20:00:00:00:25:b5:00:0a",
  "wwpn": "20:01:00:00:25:00:00:0a",
  "physical_port": "20:00:52:54:00:00:00:01",
  "host": "host2",
  "role": "native",
  "since": 1,
  "ownership": "scsi3-pr",
  "disks": [
    {
      "lun": 16383,
      "device": "/dev/disk/by-id/a",
      "node": "/dev/sda"
    }
  ],
  "state": {
    "lun": 65535,
    "device": "/dev/disk/by-id/b",
    "node": "/dev/sdb"
  }
}"#;
        let entry: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&entry).unwrap(), text);
        assert_eq!(entry.disks[0].spec.slot, Slot::Lun(16383));
        assert_eq!(entry.state.unwrap().spec.slot, Slot::Reservations);
    }

    #[test]
    fn a_damaged_entry_is_set_aside() {
        let sound = entry(NAME);
        let with = |from: &str, to: &str| {
            assert!(sound.contains(from));
            sound.replace(from, to).into_bytes()
        };
        for damaged in [
            Vec::new(),
            b"\xff\xfe\0".to_vec(),
            sound[..sound.len() / 2].into(),
            "[".repeat(100_000).into_bytes(),
            entry("200100002500000b").into_bytes(),
            with("2000000025b5000a", "0"),
            with("/dev/sda", "/etc/passwd"),
            with("/dev/sda", "/dev/../etc/passwd"),
            with("/dev/sda", "/dev/"),
            with("/dev/disk/by-id/a", "/dev/../etc/passwd"),
        ] {
            let text = String::from_utf8_lossy(&damaged).into_owned();
            let (entries, left) = read_back(&damaged);
            assert!(entries.is_empty(), "{text}");
            assert_eq!(left, [format!("{NAME}.damaged")], "{text}");
        }
    }
}
