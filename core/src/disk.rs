//! Finding a group's disks on this node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::budget::Budget;
use crate::digest::fnv128;
use crate::failure::{Failure, Kind};
use crate::group::{DeviceName, DiskSpec, title};
use crate::kernel::{Chain, Done, Kernel, Op, paths};
use crate::wwn::Wwn;

/// How long disks may take to say how large they are: nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A disk of the group, found here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The disk's LUN number.
    pub lun: u16,
    /// How the configuration names the disk.
    pub device: DeviceName,
    /// The device node, such as `/dev/sdb`. After a reboot it may be another one.
    pub node: PathBuf,
    /// The kernel's name for the disk: `sdb`.
    pub name: String,
    /// The world-wide identifier that the disk reports, if it does (a DRBD device does
    /// not).
    pub wwid: Option<String>,
}

impl Disk {
    /// Returns whether a device node is this disk, under this name or another.
    pub fn is_at(&self, kernel: &dyn Kernel, node: &Path) -> bool {
        let wwid = || wwid_of(kernel, node.file_name()?.to_str()?);
        self.node == node || self.wwid.is_some() && wwid() == self.wwid
    }

    /// Returns the unit serial number by which initiators know this disk as a LUN of this
    /// group. It is the same from every node, and is not the disk's own. It has 32 hex
    /// digits, and the kernel puts the first 25 into the NAA identifier.
    pub fn unit_serial(&self, wwnn: Wwn) -> String {
        let device = self.device.to_string();
        let disk = self.wwid.as_deref().unwrap_or(&device);
        format!("{:032x}", fnv128(&[&wwnn.hex(), disk]))
    }
}

/// Returns whether a device that was opened has left this node. Its name is nobody else's as
/// long as it is open, but the kernel shows it no longer, and answers all requests to it with
/// an error.
pub fn has_left(kernel: &dyn Kernel, node: &Path) -> bool {
    let name = node.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| !kernel.exists(&Path::new(paths::BLOCK).join(name)))
}

/// The step that finds a group's disks.
pub const FIND: &str = "find the disks";

/// Finds every disk of a group, or says of each that is missing what was looked for.
///
/// # Errors
/// [`Kind::Node`]: another node may see them.
pub fn find_all(kernel: &dyn Kernel, specs: &[DiskSpec]) -> Result<Vec<Disk>, Failure> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for (spec, disk) in specs.iter().zip(look_for(kernel, specs)) {
        match disk {
            Ok(disk) => found.push(disk),
            Err(why) => {
                missing.push(format!("{}: {}: {why}", title(spec.lun), spec.device));
            }
        }
    }
    let mut seen = BTreeMap::new();
    for disk in &found {
        if let Some(before) = seen.insert(&disk.node, disk.lun) {
            let (before, this) = (title(before), title(disk.lun));
            missing.push(format!("{before} and {this} are the same disk, {}", disk.name));
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    Err(Failure {
        kind: Kind::Node,
        step: FIND,
        causes: missing,
        path: None,
        advice: "Check that this node is connected to its storage, and the disks \
                 parameter"
            .into(),
    })
}

/// Returns the disks of a group that are on this node.
pub fn find_any(kernel: &dyn Kernel, specs: &[DiskSpec]) -> Vec<Disk> {
    look_for(kernel, specs).into_iter().flatten().collect()
}

/// Makes the kernel notice which disks have grown, and logs each. A new size that the
/// kernel does not take is only logged: nobody needs it until initiators use the new end.
pub fn rescan(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) {
    let chains: Vec<Chain> =
        disks.iter().map(|disk| vec![Op::Rescan(disk.node.clone())]).collect();
    let end = budget.end.min(kernel.now() + PATIENCE);
    for (disk, result) in disks.iter().zip(kernel.run(&chains, end)) {
        let disk = title(disk.lun);
        match result.into_last() {
            Ok(Done::Changed) => {
                log::info!("{disk} has grown; initiators see it when they rescan");
            }
            Ok(_) => {}
            Err(error) => log::warn!("{disk}: {error}"),
        }
    }
}

/// Looks for each disk; the node's WWIDs are read once for all of them.
fn look_for(kernel: &dyn Kernel, specs: &[DiskSpec]) -> Vec<Result<Disk, String>> {
    let mut by_wwid = None;
    let look = |spec: &DiskSpec| {
        let (name, wwid) = match &spec.device {
            DeviceName::Path(path) => at_path(kernel, path),
            DeviceName::Wwid(wwid) => {
                let known = by_wwid.get_or_insert_with(|| all_wwids(kernel));
                with_wwid(known, wwid)
            }
        }?;
        let node = Path::new(paths::DEV).join(&name);
        let device = spec.device.clone();
        Ok(Disk { lun: spec.lun, device, node, name, wwid })
    };
    specs.iter().map(look).collect()
}

type Found = Result<(String, Option<String>), String>;

fn at_path(kernel: &dyn Kernel, path: &Path) -> Found {
    let node = kernel.resolve(path).map_err(|e| e.cause.to_string())?;
    let name = node.file_name().map(|n| n.to_string_lossy().into_owned());
    let name = name.filter(|name| {
        node.starts_with(paths::DEV) && kernel.exists(&paths::block(name, "inflight"))
    });
    let name = name.ok_or("it is not a block device")?;
    let wwid = wwid_of(kernel, &name);
    Ok((name, wwid))
}

/// Returns a world-wide name in the spelling that SCSI, multipath and udev can agree on:
/// the designator type as a digit, then the name.
fn canonical(wwid: &str) -> String {
    let wwid = wwid.trim();
    let wwid = wwid.strip_prefix("mpath-").unwrap_or(wwid);
    match wwid.strip_prefix("naa.") {
        Some(hex) => format!("3{hex}"),
        None => wwid.to_owned(),
    }
}

/// Returns whether two names are spellings of one disk's, as far as the names alone tell.
pub fn is_same_name(one: &DeviceName, other: &DeviceName) -> bool {
    let wwid = |name: &DeviceName| match name {
        DeviceName::Wwid(wwid) => Some(canonical(wwid).to_lowercase()),
        DeviceName::Path(path) => {
            // As udev makes them (60-persistent-storage.rules, multipath's dm rules).
            let name = path.strip_prefix(paths::DISK_BY_ID).ok()?.to_str()?;
            let hex = name.strip_prefix("wwn-0x").map(|hex| format!("3{hex}"));
            let plain = ["scsi-", "dm-uuid-mpath-"].iter();
            let wwid = plain.filter_map(|prefix| name.strip_prefix(prefix)).next();
            hex.or_else(|| wwid.map(str::to_owned)).map(|wwid| wwid.to_lowercase())
        }
    };
    one == other || wwid(one).is_some_and(|its| Some(its) == wwid(other))
}

fn wwid_of(kernel: &dyn Kernel, name: &str) -> Option<String> {
    // SCSI and NVMe devices, then what device mapper was told by multipathd.
    ["device/wwid", "wwid", "dm/uuid"].into_iter().find_map(|attribute| {
        let text = kernel.read(&paths::block(name, attribute)).ok()?;
        Some(canonical(&text)).filter(|wwid| !wwid.is_empty())
    })
}

/// The names of the block devices under each WWID.
type ByWwid = BTreeMap<String, Vec<String>>;

fn all_wwids(kernel: &dyn Kernel) -> ByWwid {
    let mut known = ByWwid::new();
    for name in kernel.list(Path::new(paths::BLOCK)).unwrap_or_default() {
        if let Some(wwid) = wwid_of(kernel, &name) {
            known.entry(wwid).or_default().push(name);
        }
    }
    known
}

fn with_wwid(known: &ByWwid, wwid: &str) -> Found {
    let wanted = canonical(wwid);
    let names = known.get(&wanted).map_or([].as_slice(), Vec::as_slice);
    // A multipath device stands above its paths; they may not be used beside it.
    let multipath = names.iter().find(|name| name.starts_with("dm-"));
    match (multipath, names) {
        (Some(name), _) | (None, [name]) => Ok((name.clone(), Some(wanted))),
        (None, []) => Err("no disk with this WWID".into()),
        (None, paths) => Err(format!(
            "{} paths and no multipath device; start multipathd",
            paths.len()
        )),
    }
}
