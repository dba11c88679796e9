//! dm-multipath at the initiator: a group's LUNs through two fabrics, each LUN as one
//! device.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::groups::{self, Group, Lun};
use crate::guest::Guest;
use crate::plan::{SIDES, Side};

/// How long maps may take to appear, and paths to come or go.
const TIME: Duration = Duration::from_secs(120);

/// The configuration that docs/fabrics.md advises. `no_path_retry` counts checks, one in
/// 5 s, so it gives two minutes. Nothing but the group's LUNs is multipathd's here,
/// because every other disk of the initiator belongs to another scenario.
const CONF: &str = r#"
defaults {
    find_multipaths off
    polling_interval 5
}
blacklist {
    wwid ".*"
}
blacklist_exceptions {
    WWIDS
}
overrides {
    path_checker tur
    no_path_retry 24
    fast_io_fail_tmo 5
    dev_loss_tmo 600
}
"#;

/// A shell function that prints every map that has this many paths.
const MAPS: &str = "maps() {
        for d in /sys/block/dm-*; do
            read -r uuid < $d/dm/uuid || continue
            case $uuid in mpath-*) ;; *) continue ;; esac
            n=0; for s in $d/slaves/*; do [ ! -e $s ] || n=$((n + 1)); done
            [ $n -ne $1 ] || echo ${d##*/}
        done
    }";

/// Finds a group's LUNs in every fabric, and makes multipathd make a map of each. Returns
/// the maps as LUNs.
///
/// # Errors
/// A LUN is not seen, or a map does not get a path in every fabric.
pub fn start(host: &Guest, group: &Group) -> Result<Vec<Lun>> {
    let devices = paths(host, group, &SIDES)?;
    let count = group.disks().len();
    let script = format!(
        "set -e
         for d in {}; do
             read -r wwid < /sys/block/$d/device/wwid; echo \"wwid 3${{wwid#naa.}}\"
         done | sort -u > /run/wwids
         [ $(wc -l < /run/wwids) -eq {count} ]
         sed -e '/WWIDS/{{r /run/wwids' -e 'd}}' > /etc/multipath.conf <<'CONF'{CONF}CONF
         systemctl start multipathd
         {MAPS}
         while set -- $(maps {}); [ $# -ne {count} ]; do sleep 0.2; done
         echo $*",
        devices.join(" "),
        SIDES.len()
    );
    let said = host.run(&script, TIME)?;
    let map = |(device, number): (&str, u16)| {
        let device = device.to_owned();
        Lun { group: group.name, number, device }
    };
    Ok(said.split_whitespace().zip(0..).map(map).collect())
}

/// Waits until the maps together have this many usable paths.
///
/// # Errors
/// The number is not reached in time.
pub fn wait_usable(host: &Guest, count: usize) -> Result<()> {
    let script = format!(
        "while set -- $(dmsetup status --target multipath | grep -o '[0-9]*:[0-9]* A'),
               [ $(($# / 2)) -ne {count} ]; do sleep 0.3; done"
    );
    host.run(&script, TIME).map(drop).map_err(|error| {
        let output = host.try_run("dmsetup status --target multipath", TIME);
        Error::other(format!("{error}\n{}", output.stdout))
    })
}

/// Takes a fabric's paths out of use and waits until nothing is in flight on them.
/// multipathd's next check, within seconds, uses them again.
///
/// A link that is lost with commands in flight may hang the kernel of a storage node. The
/// scenario fc-link-cut is there for that.
///
/// # Errors
/// A path cannot be taken out of use, or something stays in flight.
pub fn set_aside(host: &Guest, group: &Group, side: Side) -> Result<()> {
    let paths = paths(host, group, &[side])?.join(" ");
    let script = format!(
        "set -e
         for d in {paths}; do
             read -r dev < /sys/block/$d/dev
             for m in /sys/block/$d/holders/*; do
                 dmsetup message /dev/${{m##*/}} 0 \"fail_path $dev\"
             done
         done
         for d in {paths}; do
             while read -r r w < /sys/block/$d/inflight; [ $((r + w)) -gt 0 ]; do sleep 0.05; done
         done"
    );
    host.run(&script, TIME).map(drop)
}

/// Removes the maps and their paths from the initiator.
///
/// # Errors
/// Something of this stays.
pub fn end(host: &Guest, group: &Group) -> Result<()> {
    let script = format!(
        "set -e
         systemctl stop multipathd.socket multipathd
         udevadm settle
         {MAPS}
         for n in 0 1 2; do for d in $(maps $n); do dmsetup remove /dev/$d; done; done
         rm /etc/multipath.conf
         for d in {}; do echo 1 > /sys/block/$d/device/delete; done",
        paths(host, group, &SIDES)?.join(" ")
    );
    host.run(&script, TIME).map(drop)
}

/// Returns the devices of a group's LUNs at the initiator, in these fabrics.
fn paths(host: &Guest, group: &Group, sides: &[Side]) -> Result<Vec<String>> {
    let mut devices = Vec::new();
    for side in sides {
        let luns = groups::luns_through(host, group, *side, group.disks().len(), TIME)?;
        devices.extend(luns.into_iter().map(|lun| lun.device));
    }
    Ok(devices)
}
