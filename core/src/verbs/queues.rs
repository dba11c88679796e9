//! Settings that a target needs in its disks' queues, whatever this node's tuning says.

use crate::action::budget::Budget;
use crate::disks::disk::Disk;
use crate::kernel::{Chain, Kernel, Op, paths};

/// A setting of a disk's queue that a target depends on.
struct Setting {
    /// The path of the attribute, below the block device in sysfs.
    attribute: &'static str,
    /// Returns whether a value is one with which a target must not run.
    is_wrong: fn(&str) -> bool,
    /// The value that is written in place of a wrong one.
    right: &'static str,
    /// The line that is logged after the change.
    changed: &'static str,
    /// The danger if the attribute cannot be written, for a warning.
    danger: &'static str,
}

const SETTINGS: [Setting; 2] = [
    // tuned, and udev rules for flash disks, turn this off. A drain would not see
    // commands that are not counted.
    Setting {
        attribute: "queue/iostats",
        is_wrong: |value| value == "0",
        right: "1",
        changed: "requests to a disk are counted from now on (iostats)",
        danger: "a stop may not see all commands",
    },
    // tcm_fc carries out the commands of a port in one thread for each processor, so a
    // command that is held back holds up every LUN. After some three seconds without an
    // answer a Linux initiator gives a command up and sends it again. The data of the
    // first command never comes, and a stop finds it in flight forever. A capture of the lab's fabric
    // showed this while a path died. The thread was stuck at a flush.
    //
    // Writeback throttling (block/blk-wbt.c) treats LIO's writes and flushes like those
    // of a page cache, and makes them wait while reads are slow. That it held the thread
    // is inferred from its source. No stack was seen.
    Setting {
        attribute: "queue/wbt_lat_usec",
        is_wrong: |value| value != "0",
        right: "0",
        changed: "writes to a disk are no longer held back for reads (wbt_lat_usec)",
        danger: "commands may wait for a path that has died",
    },
];

/// Corrects the settings of each disk's queue. Failures are only logged.
pub(super) fn set(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) {
    for setting in &SETTINGS {
        let attribute = |disk: &Disk| paths::block(&disk.name, setting.attribute);
        // An attribute that cannot be read is one that this kernel does not have.
        let wrong = disks.iter().map(attribute).filter(|path| {
            kernel.read(path).is_ok_and(|text| (setting.is_wrong)(text.trim()))
        });
        let write = |path| vec![Op::WriteIfAny { path, text: setting.right.into() }];
        let chains: Vec<Chain> = wrong.map(write).collect();
        for result in kernel.run(&chains, budget.end) {
            match result.failed {
                Some(error) => log::warn!("{error}; {}", setting.danger),
                None => log::info!("{}", setting.changed),
            }
        }
    }
}
