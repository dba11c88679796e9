//! reload: a disk and an initiator come and go while the group is served and under load.
//! The port stays where it is, and the initiator gets the new LUN by a rescan.

use super::stranger::Stranger;
use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::progress;

/// The number of the LUN that comes.
const LUN: u16 = 9;
/// The initiator that comes.
const GUEST: &str = "20:00:75:64:00:00:00:0d";

/// The scenario.
pub fn run(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let spare = Stranger::new().disk;
    let before = world.serving(group)?;
    let [disks, initiators] =
        ["disks", "initiators"].map(|name| group.parameter(name).unwrap_or_default());
    let host = world.lab.host()?;
    under_load(world, |load| {
        let step = progress::step("a disk and an initiator come");
        set(world, group, "disks", &format!("{disks} {LUN}={spare}"))?;
        set(world, group, "initiators", &format!("{initiators} {GUEST}"))?;
        host.run(&new_lun(group, "dd if=/dev/$d of=/dev/null bs=64k count=1"), COMMAND)?;
        step.done("");
        let step = progress::step("and go again");
        host.run(&new_lun(group, "echo 1 > /sys/block/$d/device/delete"), COMMAND)?;
        set(world, group, "disks", &disks)?;
        set(world, group, "initiators", &initiators)?;
        nothing_of_it(world.node(group.home)?, group, &spare)?;
        step.done("");
        load.wait_flow(host)?;
        if world.serving(group)? != before {
            return Err(Error::other(format!("{} did not keep its port", group.name)));
        }
        Ok(vec![group.clone()])
    })
}

fn set(world: &World, group: &Group, parameter: &str, value: &str) -> Result<()> {
    let command = format!(
        "crm_resource -r {} -p {parameter} -v '{value}' && crm_resource --wait",
        group.name
    );
    world.node(group.partner)?.run(&command, COMMAND).map(drop)
}

/// Has the initiator look for LUNs of the group's port, and does something to the new
/// one, `$d`.
fn new_lun(group: &Group, act: &str) -> String {
    let name = group.wwpn().replace(':', "");
    format!(
        "set -e
         for t in /sys/class/fc_transport/target*; do
             read -r name < $t/port_name && [ $name = 0x{name} ] || continue
             t=${{t##*/target}}
             echo \"${{t#*:}} {LUN}\" | tr : ' ' > /sys/class/scsi_host/host${{t%%:*}}/scan
             udevadm settle
             d=$(basename /sys/class/scsi_device/$t:{LUN}/device/block/*)
             {act}
             exit
         done
         exit 1"
    )
}

/// Neither a LUN nor a key is left, nor the initiator.
fn nothing_of_it(node: &Guest, group: &Group, disk: &str) -> Result<()> {
    let target = format!("/sys/kernel/config/target/fc/{}/tpgt_1", group.wwpn());
    let script = format!(
        "{{ ls -d {target}/lun/lun_{LUN} {target}/acls/*/lun_{LUN} {target}/acls/{GUEST}
         sg_persist --in --no-inquiry --read-keys {disk} | grep '^ *0x'
         }} 2> /dev/null || :"
    );
    let left = node.run(&script, COMMAND)?;
    if left.trim().is_empty() {
        return Ok(());
    }
    Err(Error::other(format!("{}: left behind: {left}", node.name())))
}
