//! The second path from the storage nodes to some disks of the shelf: a second address of
//! the shelf on the node's storage network, and multipathd on the node. Its configuration
//! is the one of docs/storage.md.

use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::plan;
use crate::shelf::Disk;

/// How long a path may take to be lost, or to be used again.
const TIME: Duration = Duration::from_secs(120);

/// The configuration that docs/storage.md advises. Only the disks with two paths are
/// multipathd's.
const CONF: &str = "\
defaults {
    reservation_key file
    find_multipaths off
    user_friendly_names no
    polling_interval 3
    skip_kpartx yes
}
blacklist {
    wwid \".*\"
}
blacklist_exceptions {
WWIDS}
overrides {
    path_checker tur
    no_path_retry 6
    fast_io_fail_tmo 5
}
";

/// A script that drops everything between a node and the second address, as a broken
/// cable does.
const CUT: &str = "set -e; nft 'add table inet lab
    add chain inet lab in { type filter hook input priority 0; }
    add chain inet lab out { type filter hook output priority 0; }
    add rule inet lab in ip saddr ADDRESS drop
    add rule inet lab out ip daddr ADDRESS drop'";
/// How long all paths are gone. This is less than `no_path_retry` in [`CONF`] allows.
const BLIP: Duration = Duration::from_secs(10);
/// A script that takes all paths of some disks offline for a while.
const SWITCH: &str = "paths=
    for map in MAPS; do
        map=$(readlink -f /dev/mapper/$map)
        paths=\"$paths $(echo /sys/block/${map##*/}/slaves/*/device/state)\"
    done
    for path in $paths; do echo offline > $path; done
    sleep SECONDS
    for path in $paths; do echo running > $path; done";
/// A script that waits until this many paths of the group's disks are in a state.
const STATE: &str = "while n=0; for map in MAPS; do
            map=$(readlink -f /dev/mapper/$map)
            for s in /sys/block/${map##*/}/slaves/*; do
                read -r state < $s/device/state
                [ $state != STATE ] || n=$((n + 1))
            done
        done; [ $n != COUNT ]; do sleep 0.3; done";
/// A script that waits until device mapper uses this many paths of the group's disks.
const USED: &str = "while set -- $(for map in MAPS; do dmsetup status $map; done |
            grep -o '[0-9]*:[0-9]* A'),
        [ $(($# / 2)) -ne COUNT ]; do sleep 0.3; done";

/// Returns the configuration of multipathd on a storage node.
#[must_use]
pub fn conf(disks: &[Disk]) -> String {
    let disks = disks.iter().filter(|disk| disk.two_paths);
    let wwids: String = disks.map(|disk| format!("    wwid {}\n", disk.map())).collect();
    CONF.replace("WWIDS", &wwids)
}

/// Cuts a node's second path and waits until it is no longer used.
///
/// # Errors
/// The node still uses the path.
pub fn cut(node: &Guest, group: &Group) -> Result<()> {
    let cut = CUT.replace("ADDRESS", &plan::second_shelf_address(node.name()));
    node.run(&cut, TIME)?;
    let disks = maps(group).len();
    wait(node, group, STATE, "transport-offline", disks)?;
    wait(node, group, USED, "", disks)
}

/// Mends a node's second path, and waits until it is used.
///
/// # Errors
/// The path is not used in time.
pub fn mend(node: &Guest, group: &Group) -> Result<()> {
    node.run("nft delete table inet lab", TIME)?;
    let paths = 2 * maps(group).len();
    wait(node, group, STATE, "running", paths)?;
    wait(node, group, USED, "", paths)
}

/// Waits until a node uses this many paths of each disk of a group.
///
/// # Errors
/// The node uses another number of paths at the end of that time.
pub fn wait_used(node: &Guest, group: &Group, each: usize) -> Result<()> {
    wait(node, group, USED, "", each * maps(group).len())
}

/// Takes all paths of a group's disks away from a node, calls `meanwhile`, and waits
/// until the node uses all paths again. The paths come back after ten seconds.
///
/// # Errors
/// The error of `meanwhile`, or the node does not use all paths again in time.
pub fn blip(
    node: &Guest,
    group: &Group,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let maps = maps(group);
    let script = SWITCH
        .replace("MAPS", &maps.join(" "))
        .replace("SECONDS", &BLIP.as_secs().to_string());
    thread::scope(|scope| {
        let switch = scope.spawn(|| node.run(&script, TIME));
        // Device mapper does not notice it on a disk that nobody uses, such as the state disk.
        let gone = wait(node, group, STATE, "offline", 2 * maps.len());
        let done = gone.and_then(|()| meanwhile());
        match switch.join() {
            Ok(switched) => switched.and(done),
            Err(_) => Err(Error::other("a thread panicked")),
        }
    })?;
    wait_used(node, group, 2)
}

fn wait(
    node: &Guest,
    group: &Group,
    script: &str,
    state: &str,
    count: usize,
) -> Result<()> {
    let script = script.replace("MAPS", &maps(group).join(" "));
    let script = script.replace("STATE", state).replace("COUNT", &count.to_string());
    node.run(&script, TIME).map(drop)
}

/// Returns the names of a group's multipath devices, the state disk's included.
fn maps(group: &Group) -> Vec<String> {
    let disks = group.disks().into_iter().chain(group.state_disk());
    disks.map(|disk| disk.map()).collect()
}
