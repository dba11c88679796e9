//! initiator-added: an initiator that was refused is allowed while the group is served.
//! It logs in again and finds every LUN. Then it is refused once more.

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::load::Pace;
use crate::{groups, progress};

/// The initiator's port name, which a virtual port of the host has.
const GUEST: &str = "20:01:75:64:00:00:00:0d";
/// The initiator's node name.
const NODE: &str = "20:00:75:64:00:00:00:0d";

/// Plays initiator-added.
pub fn run(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let before = world.serving(group)?;
    let allowed = group.parameter("initiators").unwrap_or_default();
    let host = world.lab.host()?;
    let luns = group.disks().len();
    under_load(world, Pace::Bursts, || {
        progress::during("an initiator that is not allowed finds nothing", || {
            let found = host.run(&arrive(group, 0), COMMAND)?;
            expect(found.trim().is_empty(), "it found", &found)
        })?;
        progress::during("allowed, it logs in anew and reads every LUN", || {
            world.set_parameter(group, "initiators", &format!("{allowed} {GUEST}"))?;
            // To allow the initiator is not enough: it was refused before, and does not
            // ask again.
            let found = host.run(&leave(), COMMAND)?;
            expect(found.trim().is_empty(), "it found", &found)?;
            let found = host.run(&arrive(group, luns), COMMAND)?;
            expect(found.split_whitespace().count() == luns, "it found", &found)?;
            let sessions = format!("understudy status --json | grep -c '\"{GUEST}\"'");
            world.node(group.home)?.run(&sessions, COMMAND).map(drop)
        })?;
        progress::during("refused again, nothing of it is left", || {
            host.run(&leave(), COMMAND)?;
            world.set_parameter(group, "initiators", &allowed)?;
            let left = format!(
                "ls -d /sys/kernel/config/target/fc/*/tpgt_1/acls/{GUEST} 2> /dev/null || :"
            );
            world.node(group.home)?.must_be_silent(&left, COMMAND)
        })?;
        world.load.wait_flow()?;
        // The host sees the LUNs by its own port only, as before.
        groups::luns_of(host, group, luns, COMMAND)?;
        expect(world.serving(group)? == before, "the port did not stay", group.name)?;
        Ok(vec![group.clone()])
    })
}

fn expect(is: bool, what: &str, found: &str) -> Result<()> {
    if is { Ok(()) } else { Err(Error::other(format!("{what}: {found}"))) }
}

/// Returns a script for the host, with the initiator's names filled in. In it, `$p` is
/// the host's physical port and, once it is there, `$h` the initiator's.
fn on_host(script: &str) -> String {
    let digits = |name: &str| name.replace(':', "");
    let begin = "set -e
        for h in /sys/class/fc_host/host*; do
            [ ! -e $h/vport_create ] || p=$h
        done
        own() { h=$(grep -ls 0xGUEST /sys/class/fc_host/host*/port_name); }\n";
    let script = begin.to_owned() + script;
    script.replace("GUEST", &digits(GUEST)).replace("NODE", &digits(NODE))
}

/// Returns a script by which the initiator appears and meets the group's port. The script
/// waits for this many LUNs, reads from each, and prints their names.
fn arrive(group: &Group, luns: usize) -> String {
    let script = "echo GUEST:NODE > $p/vport_create
        until own; do sleep 0.1; done
        h=${h%/port_name}; h=${h##*/host}
        until grep -qs 0xPORT /sys/class/fc_remote_ports/rport-$h:*/port_name; do
            sleep 0.1
        done
        while :; do
            set -- $(ls -d /sys/class/scsi_device/$h:*/device/block/* 2> /dev/null || :)
            [ $# -lt LUNS ] || break
            sleep 0.2
        done
        for d in \"$@\"; do
            dd if=/dev/${d##*/} of=/dev/null bs=64k count=1 iflag=direct 2> /dev/null
            echo ${d##*/}
        done";
    on_host(script)
        .replace("PORT", &group.wwpn().replace(':', ""))
        .replace("LUNS", &luns.to_string())
}

/// Returns a script by which the initiator disappears. First it prints the LUNs that the
/// initiator has.
fn leave() -> String {
    on_host(
        "own; h=${h%/port_name}; h=${h##*/host}
        ls -d /sys/class/scsi_device/$h:*/device/block/* 2> /dev/null || :
        echo GUEST:NODE > $p/vport_delete
        while own; do sleep 0.1; done",
    )
}
