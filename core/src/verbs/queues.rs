//! What a target needs of the queues of its disks, whatever this node's tuning says.

use crate::action::budget::Budget;
use crate::disks::disk::Disk;
use crate::kernel::{Chain, Kernel, Op, paths};

/// A setting of a disk's queue.
struct Setting {
    /// The attribute, as sysfs has it.
    attribute: &'static str,
    /// Returns whether a value is one that a target cannot have.
    is_wrong: fn(&str) -> bool,
    /// The value that is written then.
    right: &'static str,
    /// What has changed by it, in words.
    changed: &'static str,
    /// What may happen where it cannot be written.
    danger: &'static str,
}

const SETTINGS: [Setting; 2] = [
    // tuned and udev rules for flash turn it off. A command that is not counted looks like
    // none.
    Setting {
        attribute: "queue/iostats",
        is_wrong: |value| value == "0",
        right: "1",
        changed: "requests to a disk are counted from now on (iostats)",
        danger: "a stop may not see all commands",
    },
    // tcm_fc carries out all commands of a port in one thread: one that is held back holds
    // up every LUN. A Linux initiator takes a command that it has heard nothing of for lost
    // after some three seconds, and sends it again. The data of the first one never comes,
    // and a stop finds it in flight for good. A capture of the lab's fabric showed this
    // while a path died; the thread stood still at a flush.
    //
    // Writeback throttling (block/blk-wbt.c) takes LIO's writes and flushes for a page
    // cache's and makes them wait while reads are slow. That it was what held the thread is
    // inferred from its source; no stack was seen.
    Setting {
        attribute: "queue/wbt_lat_usec",
        is_wrong: |value| value != "0",
        right: "0",
        changed: "writes to a disk are no longer held back for reads (wbt_lat_usec)",
        danger: "commands may wait for a path that has died",
    },
];

/// Sets what a target needs of each disk's queue, where it is otherwise.
pub(super) fn set(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) {
    for setting in &SETTINGS {
        let attribute = |disk: &Disk| paths::block(&disk.name, setting.attribute);
        // A kernel without such a thing does not say.
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
