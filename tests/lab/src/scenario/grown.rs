//! disk-grown: a disk of a served group grows. The node that serves it notices, the
//! initiator finds the new size by a rescan, and the partner serves the new size too.

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::load::Pace;
use crate::{progress, shelf};

/// Plays disk-grown.
pub fn run(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let host = world.lab.host()?;
    let disk = group.disks().pop().ok_or_else(|| Error::other("it has no disk"))?;
    let last = u16::try_from(group.disks().len() - 1).unwrap_or(u16::MAX);
    let lun = groups::luns_of(host, group, group.disks().len(), COMMAND)?
        .into_iter()
        .find(|lun| lun.number == last)
        .ok_or_else(|| Error::other("the initiator does not see its last LUN"))?;
    let end = shelf::MEBIBYTES;
    under_load(world, Pace::Bursts, || {
        progress::during("the disk grows, and the node that serves it notices", || {
            shelf::grow(host, &disk)?;
            notice(world, group, &disk)
        })?;
        progress::during("the initiator rescans, and writes to the new end", || {
            let script = format!(
                "echo 1 > /sys/block/{0}/device/rescan
                 [ $(cat /sys/block/{0}/size) -eq {1} ]",
                lun.device,
                shelf::GROWN * 2048
            );
            host.run(&script, COMMAND)?;
            world.load.probe(std::slice::from_ref(&lun), end)
        })?;
        for node in [group.partner, group.home] {
            let step = progress::step(format!("{node} serves the new end"));
            world.move_to(group, node)?;
            world.load.probe(std::slice::from_ref(&lun), end)?;
            world.load.wait_flow()?;
            step.done("");
        }
        Ok(vec![group.clone()])
    })
}

/// Runs the monitor that Pacemaker runs once a minute, at once.
fn notice(world: &World, group: &Group, disk: &shelf::Disk) -> Result<()> {
    let script = format!(
        "set -e; d=$(basename $(readlink -f {0}))
         env OCF_CHECK_LEVEL=10 {1} /usr/lib/ocf/resource.d/understudy/vport monitor
         [ $(cat /sys/class/block/$d/size) -eq {2} ]
         crm_attribute -t crm_config -n understudy-luns-{3} -Q -q | grep :{2}",
        disk.device().display(),
        group.environment(group.name, &[]),
        shelf::GROWN * 2048,
        group.name
    );
    world.node(group.home)?.run(&script, COMMAND).map(drop)
}
