//! Finding a group's disks on this node, by path or by WWID.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::disk::{Disk, holders};
use crate::action::failure::{Failure, Kind, Missing};
use crate::config::group::{DeviceName, DiskSpec};
use crate::disks::wwid::canonical;
use crate::kernel::nexus;
use crate::kernel::{self, Kernel, KernelError, paths};

/// The title of the step that finds a group's disks.
pub(crate) const FIND: &str = "find the disks";

/// Returns every disk of a group, as found on this node. A disk that is on this node
/// under several paths, without a multipath device, is found if one of the paths is
/// `in_use` by the group. multipathd can then no longer make a device of them.
///
/// # Errors
/// [`Kind::Node`], with the name of each disk that is missing or ambiguous. Another node
/// may see them.
pub fn find_all(
    kernel: &dyn Kernel,
    specs: &[DiskSpec],
    in_use: &[PathBuf],
) -> Result<Vec<Disk>, Failure> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for (spec, disk) in specs.iter().zip(look_for(kernel, specs, in_use)) {
        match disk {
            Ok(disk) => found.push(disk),
            Err(why) => {
                missing.push(format!("{}: {}: {why}", spec.slot, spec.device));
            }
        }
    }
    let mut seen = BTreeMap::new();
    for disk in &found {
        if let Some(before) = seen.insert(&disk.node, disk.slot) {
            let (this, name) = (disk.slot, &disk.name);
            missing.push(format!("{before} and {this} are the same disk, {name}"));
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    Err(Failure::of(Kind::Node, FIND, missing).misses(Missing::Disk).advise(
        "Check that this node is connected to its storage, and the disks parameter",
    ))
}

/// Returns the disks of a group that this node has.
pub fn find_any(kernel: &dyn Kernel, specs: &[DiskSpec]) -> Vec<Disk> {
    look_for(kernel, specs, &[]).into_iter().flatten().collect()
}

/// Returns the device node of a disk that was once found at `before`, and reported `wwid`.
/// `None` if another disk has that node now, and the disk is nowhere on this node.
pub(crate) fn node_of(
    kernel: &dyn Kernel,
    spec: &DiskSpec,
    wwid: Option<&str>,
    before: &Path,
) -> Option<PathBuf> {
    let wwid = wwid.map(canonical);
    let reported = || wwid_of(kernel, before.file_name()?.to_str()?);
    let is_there = match &spec.device {
        DeviceName::Path(path) => kernel.resolve(path).is_ok_and(|node| node == before),
        DeviceName::Wwid(_) => wwid.is_some() && reported() == wwid,
    };
    if is_there {
        return Some(before.to_owned());
    }
    // The link may lead to a single path by now. If a multipath device has that path, it is
    // the disk.
    if let Some(disk) = find_any(kernel, std::slice::from_ref(spec)).pop() {
        return Some(disk.node);
    }
    let is_another = wwid.is_some() && reported().is_some_and(|now| Some(now) != wwid);
    (!is_another).then(|| before.to_owned())
}

/// Returns the disks that are used by one path although this node sees several, because
/// there is no multipath device. Each comes with its number of paths.
pub(crate) fn one_of_several<'a>(
    kernel: &dyn Kernel,
    disks: &'a [Disk],
) -> Vec<(&'a Disk, usize)> {
    let known = all_wwids(kernel);
    let single = disks.iter().filter(|disk| !disk.is_multipath);
    let count = |disk: &Disk| {
        let all = visible(kernel, known.get(disk.wwid.as_ref()?)?);
        all.ok().map(|all| all.len())
    };
    let counted = single.filter_map(|disk| Some((disk, count(disk)?)));
    counted.filter(|(_, count)| *count > 1).collect()
}

/// Looks for each disk and returns what was found, or why not. The WWIDs of this node's
/// block devices are read once for all of them.
fn look_for(
    kernel: &dyn Kernel,
    specs: &[DiskSpec],
    in_use: &[PathBuf],
) -> Vec<Result<Disk, String>> {
    let mut by_wwid = None;
    let look = |spec: &DiskSpec| {
        let (name, identity) = match &spec.device {
            DeviceName::Path(path) => at_path(kernel, path),
            DeviceName::Wwid(wwid) => {
                let known = by_wwid.get_or_insert_with(|| all_wwids(kernel));
                with_wwid(kernel, known, wwid, in_use)
            }
        }?;
        let node = Path::new(paths::DEV).join(&name);
        let device = spec.device.clone();
        let is_multipath = is_map(identity.as_ref());
        let wwid = identity.map(|its| its.wwid);
        Ok(Disk { slot: spec.slot, device, node, name, wwid, is_multipath })
    };
    specs.iter().map(look).collect()
}

/// Returns whether a disk still is where it was found.
pub(super) fn is_there(kernel: &dyn Kernel, disk: &Disk) -> bool {
    let leads_to = |path: &Path| match disk.is_multipath {
        true => at_path(kernel, path).is_ok_and(|(name, _)| name == disk.name),
        false => kernel.resolve(path).is_ok_and(|node| node == disk.node),
    };
    let by_name = match &disk.device {
        DeviceName::Wwid(_) => true,
        DeviceName::Path(path) => leads_to(path),
    };
    by_name && wwid_of(kernel, &disk.name) == disk.wwid
}

type Found = Result<(String, Option<Identity>), String>;

/// How often a link is followed that leads to no block device in the end.
const LOOKS: usize = 3;

/// Returns the disk to which a path leads. A device may leave while it is looked at, and then
/// seems to have no holders. If it was a path of a multipath device, udev has the link lead
/// to another path.
fn at_path(kernel: &dyn Kernel, path: &Path) -> Found {
    let is_there =
        |(name, _): &(String, _)| kernel.exists(&paths::block(name, "inflight"));
    for _ in 0..LOOKS {
        let found = follow(kernel, path)?;
        if is_there(&found) {
            return Ok(found);
        }
    }
    Err("it is not a block device".into())
}

/// Returns the disk to which a path leads at this moment.
fn follow(kernel: &dyn Kernel, path: &Path) -> Found {
    let node = kernel.resolve(path).map_err(|e| e.cause.to_string())?;
    let name = node.file_name().map(|n| n.to_string_lossy().into_owned());
    let name = name.filter(|_| node.starts_with(paths::DEV));
    let name = name.ok_or("it is not a block device")?;
    // The link may lead to a single path. If a multipath device has that path, it is the
    // disk.
    let holders = holders(kernel, &name).map_err(|error| error.to_string())?;
    let identity = |name: String| Some((identity_of(kernel, &name), name));
    let map =
        holders.into_iter().filter_map(identity).find(|(its, _)| is_map(its.as_ref()));
    let (identity, name) = map.unwrap_or_else(|| (identity_of(kernel, &name), name));
    Ok((name, identity))
}

/// Returns whether two configured names are spellings of one disk's name, as far as the
/// names themselves show that.
pub(crate) fn is_same_name(one: &DeviceName, other: &DeviceName) -> bool {
    let wwid = |name| Some(wwid_in(name)?.to_lowercase());
    one == other || wwid(one).is_some_and(|its| Some(its) == wwid(other))
}

/// Returns the WWID that a configured name has in it, in its canonical form; `None` if it
/// has none.
pub(crate) fn wwid_in(name: &DeviceName) -> Option<String> {
    match name {
        DeviceName::Wwid(wwid) => Some(canonical(wwid)),
        // The links in by-id have the WWID in their names (60-persistent-storage.rules of
        // udev, and the rules that multipath brings for dm).
        DeviceName::Path(path) => {
            let name = path.strip_prefix(paths::DISK_BY_ID).ok()?;
            Some(canonical(name.to_str()?))
        }
    }
}

/// The identity that a block device reports.
struct Identity {
    wwid: String,
    is_multipath: bool,
}

fn is_map(identity: Option<&Identity>) -> bool {
    identity.is_some_and(|its| its.is_multipath)
}

fn identity_of(kernel: &dyn Kernel, name: &str) -> Option<Identity> {
    // The first two are of SCSI and NVMe devices; multipathd sets the third for its
    // devices.
    ["device/wwid", "wwid", "dm/uuid"].into_iter().find_map(|attribute| {
        let text = kernel.read(&paths::block(name, attribute)).ok()?;
        let is_multipath = attribute == "dm/uuid" && text.starts_with(nexus::MULTIPATH);
        let wwid = Some(canonical(&text)).filter(|wwid| !wwid.is_empty())?;
        Some(Identity { wwid, is_multipath })
    })
}

pub(super) fn wwid_of(kernel: &dyn Kernel, name: &str) -> Option<String> {
    identity_of(kernel, name).map(|identity| identity.wwid)
}

/// The block devices that have a WWID, by WWID. Each is its kernel name, and whether it
/// is a multipath device.
type ByWwid = BTreeMap<String, Vec<(String, bool)>>;

fn all_wwids(kernel: &dyn Kernel) -> ByWwid {
    let mut known = ByWwid::new();
    for name in kernel.list(Path::new(paths::BLOCK)).unwrap_or_default() {
        if let Some(Identity { wwid, is_multipath }) = identity_of(kernel, &name) {
            known.entry(wwid).or_default().push((name, is_multipath));
        }
    }
    known
}

fn with_wwid(
    kernel: &dyn Kernel,
    known: &ByWwid,
    wwid: &str,
    in_use: &[PathBuf],
) -> Found {
    let wwid = canonical(wwid);
    let all = known.get(&wwid).map_or([].as_slice(), Vec::as_slice);
    let devices = visible(kernel, all).map_err(|error| error.to_string())?;
    // A multipath device is the disk; its paths must not be used beside it.
    let best = devices.iter().find(|(_, is_multipath)| *is_multipath);
    let is_in_use = |(name, _): &&(String, bool)| {
        in_use.iter().any(|node| *node == Path::new(paths::DEV).join(name))
    };
    let best = best.or_else(|| devices.iter().find(is_in_use));
    match (best, devices.as_slice()) {
        (Some((name, is_multipath)), _) | (None, [(name, is_multipath)]) => {
            let is_multipath = *is_multipath;
            Ok((name.clone(), Some(Identity { wwid, is_multipath })))
        }
        (None, []) => Err("no disk with this WWID".into()),
        (None, paths) => Err(format!(
            "{} paths and no multipath device; start multipathd",
            paths.len()
        )),
    }
}

/// Returns those of the devices under one WWID that have a device node. A single path of
/// an NVMe disk that the kernel itself combines has no node, and still shows the disk's
/// WWID.
fn visible(
    kernel: &dyn Kernel,
    devices: &[(String, bool)],
) -> Result<Vec<(String, bool)>, KernelError> {
    let mut visible = Vec::new();
    for device in devices {
        let hidden = paths::block(&device.0, "hidden");
        if devices.len() == 1 || kernel::attribute(kernel, &hidden)? != "1" {
            visible.push(device.clone());
        }
    }
    Ok(visible)
}
