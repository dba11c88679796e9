//! The disks on the shelf.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::plan::Folders;

/// Size of each disk, in mebibytes.
pub const MEBIBYTES: u64 = 64;
/// Size of a disk that has grown, in mebibytes.
pub const GROWN: u64 = 96;

/// A disk on the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The disk's name on the shelf, and the name of its device-mapper device there.
    pub name: String,
    /// The disk's LUN on the storage networks.
    pub lun: u16,
    /// Whether the disk supports persistent reservations.
    pub reservations: bool,
    /// Whether storage nodes have two paths to the disk, and multipathd.
    pub two_paths: bool,
}

/// Returns the disks of a lab. Each of the two groups has four. One is spare, one has no
/// reservations, and four come and go. Four are for state: of the two groups, of a group
/// that the cluster does not know, and of one on QLogic HBAs.
///
/// Storage nodes have two paths to the disks of the second group, and one to the others.
#[must_use]
pub fn disks() -> Vec<Disk> {
    let names = [
        "a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4", "spare", "nopr", "more1",
        "more2", "more3", "more4", "state-a", "state-b", "state", "state-8",
    ];
    (0..)
        .zip(names)
        .map(|(lun, name)| Disk {
            name: name.into(),
            lun,
            reservations: name != "nopr",
            two_paths: name.starts_with('b') || name == "state-b",
        })
        .collect()
}

/// Returns the disks of a lab, and this many more, which belong to no group yet.
#[must_use]
pub fn disks_and(more: u16) -> Vec<Disk> {
    let mut all = disks();
    let first = u16::try_from(all.len()).unwrap_or(u16::MAX);
    all.extend((first..first + more).map(|lun| Disk {
        name: format!("more{lun}"),
        lun,
        reservations: true,
        two_paths: false,
    }));
    all
}

/// Returns the disks that come and go.
#[must_use]
pub fn spares() -> Vec<Disk> {
    disks().into_iter().filter(|disk| disk.name.starts_with("more")).collect()
}

/// Returns the disks of a group, `a` or `b`.
#[must_use]
pub fn group(letter: char) -> Vec<Disk> {
    let of_group = |disk: &Disk| disk.name.len() == 2 && disk.name.starts_with(letter);
    disks().into_iter().filter(of_group).collect()
}

impl Disk {
    /// Returns the unit serial: 25 hexadecimal digits, which LIO appends to its 6001405.
    #[must_use]
    pub fn serial(&self) -> String {
        format!("75de500000000000000000{:03x}", self.lun + 1)
    }

    /// Returns the name that multipathd gives to the disk's map.
    #[must_use]
    pub fn map(&self) -> String {
        format!("36001405{}", self.serial())
    }

    /// Returns the disk's device on a storage node: udev's link to its only path, or the
    /// multipath device.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        match self.two_paths {
            true => format!("/dev/mapper/{}", self.map()).into(),
            false => format!("/dev/disk/by-id/wwn-0x6001405{}", self.serial()).into(),
        }
    }

    /// Returns the disk's name for the parameters of a group. For disks with several
    /// paths it is of the form that docs/storage.md advises.
    #[must_use]
    pub fn named(&self) -> String {
        match self.two_paths {
            true => format!("naa.6001405{}", self.serial()),
            false => self.device().display().to_string(),
        }
    }
}

/// Returns the table that the guests read: name, LUN, unit serial, reservations, paths.
#[must_use]
pub fn table(disks: &[Disk]) -> String {
    let mut table = String::new();
    for disk in disks {
        let (name, lun, serial) = (&disk.name, disk.lun, disk.serial());
        let (pr, paths) = (u8::from(disk.reservations), 1 + u8::from(disk.two_paths));
        let _ = writeln!(table, "{name} {lun} {serial} {pr} {paths}");
    }
    table
}

/// Makes the empty file that holds all disks, with room for one of them to grow.
///
/// # Errors
/// The file cannot be written.
pub fn make(disks: &[Disk], folders: &Folders) -> Result<()> {
    let path = folders.state.join("shelf.raw");
    let size = (disks.len() as u64 + 1) * MEBIBYTES * 1024 * 1024;
    File::create(&path)
        .and_then(|file| file.set_len(size))
        .map_err(Error::io("create", path))
}

/// Grows a disk to [`GROWN`], into the room at the end of the file.
///
/// # Errors
/// The shelf cannot do it.
pub fn grow(shelf: &Guest, disk: &Disk) -> Result<()> {
    let (old, more) = (MEBIBYTES * 2048, (GROWN - MEBIBYTES) * 2048);
    let room = format!("$(($(cat /sys/block/vdb/size) - {more}))");
    let table = format!("{}\n{old} {more} linear /dev/vdb {room}", as_made(disk));
    reload(shelf, disk, &table)
}

/// Returns a disk's device-mapper table, as it is before the disk grows.
fn as_made(disk: &Disk) -> String {
    let size = MEBIBYTES * 2048;
    format!("0 {size} linear /dev/vdb {}", u64::from(disk.lun) * size)
}

/// Gives a disk another device-mapper table.
fn reload(shelf: &Guest, disk: &Disk, table: &str) -> Result<()> {
    let name = &disk.name;
    let script = format!(
        "set -e
         echo \"{table}\" | dmsetup reload {name}
         dmsetup suspend {name}; dmsetup resume {name}"
    );
    shelf.run(&script, Duration::from_secs(60)).map(drop)
}

/// Makes every request to a disk hang, until [`resume`].
///
/// # Errors
/// The shelf cannot do it.
pub fn hang(shelf: &Guest, disk: &Disk) -> Result<()> {
    let script = format!("dmsetup suspend --noflush --nolockfs {}", disk.name);
    shelf.run(&script, Duration::from_secs(20)).map(drop)
}

/// Makes a disk slow to write its cache out, as disks are under load.
///
/// # Errors
/// The shelf cannot do it.
pub fn slow_flushes(shelf: &Guest, disk: &Disk, time: Duration) -> Result<()> {
    let size = MEBIBYTES * 2048;
    // The first two delays are those of reads and writes.
    let part = |millis| format!("/dev/vdb {} {millis}", u64::from(disk.lun) * size);
    let parts = [part(0), part(0), part(time.as_millis())].join(" ");
    shelf.run("modprobe dm-delay", Duration::from_secs(60))?;
    reload(shelf, disk, &format!("0 {size} delay {parts}"))
}

/// Makes a disk write its cache out at once again.
///
/// # Errors
/// The shelf cannot do it.
pub fn quick_flushes(shelf: &Guest, disk: &Disk) -> Result<()> {
    reload(shelf, disk, &as_made(disk))
}

/// Waits until a storage node has a request in flight to a hanging disk. Without one the
/// disk would drain at once.
///
/// # Errors
/// The node has no such request in that time.
pub fn wait_stuck(node: &Guest, disk: &Disk, time: Duration) -> Result<()> {
    // A request is under way, and none has ended since the look before. By then
    // everything that the disk answered before it hung has come through.
    let script = format!(
        "d=$(readlink -f {}); seen=
         while read -r r _ _ _ w _ _ _ busy _ < /sys/block/${{d##*/}}/stat; do
             [ $busy -gt 0 ] && [ \"$r $w\" = \"$seen\" ] && exit
             seen=\"$r $w\"; sleep 0.5
         done; exit 1",
        disk.device().display()
    );
    node.run(&script, time).map(drop)
}

/// Removes a disk from a storage node, as the kernel does when a path is gone for good.
///
/// # Errors
/// The disk is still there.
pub fn take_away(node: &Guest, disk: &Disk) -> Result<()> {
    let link = disk.device();
    let link = link.display();
    let script = format!(
        "d=$(readlink -f {link}); echo 1 > /sys/block/${{d##*/}}/device/delete
         udevadm settle; [ ! -e {link} ]"
    );
    node.run(&script, Duration::from_secs(120)).map(drop)
}

/// Makes a storage node find a disk again that was removed. The disk gets another name if
/// the old one is still in use.
///
/// # Errors
/// The disk does not come back in time.
pub fn find_again(node: &Guest, disk: &Disk) -> Result<()> {
    let script = format!(
        "iscsiadm -m session --rescan > /dev/null
         until [ -e {} ]; do sleep 0.2; done",
        disk.device().display()
    );
    node.run(&script, Duration::from_secs(120)).map(drop)
}

/// Ends [`hang`]: the disk goes on.
///
/// # Errors
/// The shelf cannot do it.
pub fn resume(shelf: &Guest, disk: &Disk) -> Result<()> {
    shelf.run(&format!("dmsetup resume {}", disk.name), Duration::from_secs(20)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn serials_are_distinct_and_as_long_as_lio_takes() {
        let disks = disks_and(300);
        let serials: HashSet<String> = disks.iter().map(Disk::serial).collect();
        assert_eq!(serials.len(), disks.len());
        assert!(serials.iter().all(|serial| serial.len() == 25));
    }

    #[test]
    fn each_group_has_its_four_disks() {
        assert_eq!(group('a').len(), 4);
        assert!(group('b').iter().all(|disk| disk.name.starts_with('b')));
    }
}
