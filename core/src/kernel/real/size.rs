//! Sizes of disks that have grown. Linux reads a disk's size once, on each node for
//! itself. A node that took a group over with an old size would refuse what initiators
//! write to the new end.

use std::fs;
use std::path::{Path, PathBuf};

use super::multipathd;
use super::place::{under, write_once};
use crate::kernel::op::{Done, Op};
use crate::kernel::{Cause, KernelError, disk, paths};

/// Makes the kernel read a disk's size again, if the disk reports a larger one.
///
/// # Errors
/// When the kernel keeps the old size.
pub(crate) fn rescan(root: &Path, disk: &Path, op: &Op) -> Result<Done, KernelError> {
    let name = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let said = disk::of(disk).capacity(&under(root, disk));
    let (Ok(was), Some(is)) = (known(root, &name), said) else {
        return Ok(Done::Unchanged);
    };
    if is <= was {
        return Ok(Done::Unchanged);
    }
    for path in devices(root, &name) {
        write_once(&path, "1").map_err(|cause| op.failed(cause))?;
    }
    let is_taken = || known(root, &name).is_ok_and(|now| now >= is);
    if is_taken() {
        return Ok(Done::Changed);
    }
    let mut why = "the kernel does not take it".to_owned();
    // A multipath device has a table of its own, with its size in it.
    if name.starts_with("dm-") {
        match multipathd::resize(&name) {
            Ok(()) if is_taken() => return Ok(Done::Changed),
            Ok(()) => {}
            Err(refused) => why = refused,
        }
    }
    let words = format!("it has {is} bytes and the kernel goes on with {was}: {why}");
    Err(op.failed(Cause::Device(words)))
}

/// Returns the size in bytes that the kernel has for a disk. sysfs counts in units of 512
/// bytes, whatever the size of the disk's sectors.
fn known(root: &Path, name: &str) -> std::io::Result<u64> {
    let text = fs::read_to_string(under(root, &paths::block(name, "size")))?;
    Ok(text.trim().parse::<u64>().unwrap_or(0).saturating_mul(512))
}

/// Returns the attributes that make the kernel read a disk again: the disk's own, or
/// those of each path of a multipath device.
fn devices(root: &Path, name: &str) -> Vec<PathBuf> {
    let slaves = under(root, &paths::block(name, "slaves"));
    let slaves = fs::read_dir(slaves).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        slaves.map(|slave| slave.file_name().to_string_lossy().into_owned()).collect();
    if names.is_empty() {
        names.push(name.to_owned());
    }
    let rescan = |name: &String| under(root, &paths::block(name, "device/rescan"));
    names.iter().map(rescan).collect()
}
