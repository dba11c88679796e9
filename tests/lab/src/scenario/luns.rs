//! luns-added-and-removed: four LUNs are added under a live port. Two of them are
//! removed, and then the others. The port stays where it is, and the initiator finds new
//! LUNs by a rescan.

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::{self, Group, Lun};
use crate::guest::Guest;
use crate::load::Pace;
use crate::{progress, shelf};

/// Plays luns-added-and-removed.
pub fn run(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let (host, node) = (world.lab.host()?, world.node(group.home)?);
    let before = world.serving(group)?;
    let own = group.disks().len();
    // The numbers of the new LUNs follow those of the group.
    let disks = |more: usize| {
        let all = group.disks().into_iter().chain(shelf::spares());
        groups::specs(all.take(own + more)).join(" ")
    };
    let more = shelf::spares().len();
    under_load(world, Pace::Bursts, || {
        let step = progress::step(format!("{more} LUNs come"));
        world.set_parameter(group, "disks", &disks(more))?;
        host.run(groups::SCAN, COMMAND)?;
        let mut new = groups::luns_of(host, group, own + more, COMMAND)?;
        new.retain(|lun| usize::from(lun.number) >= own);
        world.load.probe(&new, 0)?;
        step.done("");
        for stay in [more / 2, 0] {
            let step = progress::step(format!("{} of them go", new.len() - stay));
            let go = new.split_off(stay);
            host.run(&forget(&go), COMMAND)?;
            world.set_parameter(group, "disks", &disks(stay))?;
            world.load.probe(&new, 0)?;
            nothing_of(node, group, &go)?;
            step.done("");
        }
        world.load.wait_flow()?;
        if world.serving(group)? != before {
            return Err(Error::other(format!("{} did not keep its port", group.name)));
        }
        Ok(vec![group.clone()])
    })
}

/// Returns a script by which the initiator gives LUNs up, before they are removed.
pub(super) fn forget(luns: &[Lun]) -> String {
    let one = |lun: &Lun| format!("echo 1 > /sys/block/{}/device/delete\n", lun.device);
    luns.iter().map(one).collect()
}

/// Checks that nothing of these LUNs remains, and no key on their disks.
fn nothing_of(node: &Guest, group: &Group, luns: &[Lun]) -> Result<()> {
    let target = format!("/sys/kernel/config/target/fc/{}/tpgt_1", group.wwpn());
    let own = group.disks().len();
    let mut script = String::from("{\n");
    for Lun { number, .. } in luns {
        script +=
            &format!("ls -d {target}/lun/lun_{number} {target}/acls/*/lun_{number}\n");
        if let Some(disk) = shelf::spares().get(usize::from(*number).saturating_sub(own))
        {
            let disk = disk.device();
            script += &format!(
                "sg_persist --in --no-inquiry --read-keys {} | grep '^ *0x'\n",
                disk.display()
            );
        }
    }
    node.must_be_silent(&(script + "} 2> /dev/null || :"), COMMAND)
}
