//! Programs of this node that have a disk in use: LVM, md, a mount. What initiators write
//! on a LUN looks like a volume or a file system to this node too, so its programs may
//! take the disk. LIO could then not open it.

use std::path::Path;

use crate::action::failure::{Failure, Kind};
use crate::disks::disk::{self, Disk};
use crate::kernel::{Kernel, attribute, attribute_or_empty, paths};

/// Advice for a disk that a program of this node has in use.
const ADVICE: &str = "Have this node leave the groups' disks alone (docs/storage.md): deactivate \
                      the volume, stop the array, or unmount";

/// Checks that nothing else on this node uses one of these disks, or a partition of one.
///
/// # Errors
/// [`Kind::Node`], with the name of each disk and of whatever uses it. Another node may
/// be able to serve the group.
pub(crate) fn none(kernel: &dyn Kernel, disks: &[Disk]) -> Result<(), Failure> {
    let step = "look who has the disks";
    let unseen = |error| Failure::kernel(step, &[error]);
    let mounts = attribute(kernel, Path::new(paths::MOUNTS)).map_err(unseen)?;
    let all = kernel.list(Path::new(paths::BLOCK)).map_err(unseen)?;
    let cause = |disk: &Disk| {
        let parts = all.iter().filter(|name| is_part(name, &disk.name));
        let who: Vec<_> = parts.flat_map(|part| of(kernel, &mounts, part)).collect();
        let named = || format!("{} ({}) is in use here", disk.slot, disk.device);
        (!who.is_empty()).then(|| format!("{}: {}", named(), who.join(", ")))
    };
    let causes: Vec<_> = disks.iter().filter_map(cause).collect();
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::of(Kind::Node, step, causes).advise(ADVICE))
}

/// Returns whether the name of a block device is that of a disk (`sda`, `nvme0n1`) or of
/// one of its partitions (`sda1`, `nvme0n1p1`).
fn is_part(name: &str, disk: &str) -> bool {
    let Some(rest) = name.strip_prefix(disk) else { return false };
    let number = match disk.ends_with(|last: char| last.is_ascii_digit()) {
        true => rest.strip_prefix('p').unwrap_or("-"),
        false => rest,
    };
    rest.is_empty() || number.bytes().all(|digit| digit.is_ascii_digit())
}

/// Returns what uses a block device, in words: devices stacked on it, and mounts. If that
/// cannot be read, the error is returned as such a word.
fn of(kernel: &dyn Kernel, mounts: &str, name: &str) -> Vec<String> {
    let mut who = match disk::holders(kernel, name) {
        Ok(holders) => holders.iter().map(|holder| named(kernel, holder)).collect(),
        Err(error) => vec![error.to_string()],
    };
    let source = Path::new(paths::DEV).join(name);
    let words = mounts.lines().map(|line| line.split_whitespace());
    let at = words.filter_map(|mut words| Some((words.next()?, words.next()?)));
    let at = at.filter(|(from, on)| {
        Path::new(from) == source && !paths::is_below(Path::new(on), paths::KEPT)
    });
    who.extend(at.map(|(_, on)| format!("mounted on {on}")));
    who
}

/// Returns the kernel's name of a device, followed by its device mapper name if it has
/// one: `dm-3 (vg-data)`.
fn named(kernel: &dyn Kernel, holder: &str) -> String {
    match attribute_or_empty(kernel, &paths::block(holder, "dm/name")).as_str() {
        "" => holder.to_owned(),
        name => format!("{holder} ({name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_told_from_another_disk() {
        for (name, disk, is) in [
            ("sda", "sda", true),
            ("sda1", "sda", true),
            ("sdaa", "sda", false),
            ("sdaa1", "sda", false),
            ("nvme0n1p12", "nvme0n1", true),
            ("nvme0n12", "nvme0n1", false),
            ("dm-10", "dm-1", false),
            ("dm-1", "dm-1", true),
        ] {
            assert_eq!(is_part(name, disk), is, "{name} of {disk}");
        }
    }
}
