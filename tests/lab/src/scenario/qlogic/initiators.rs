//! qlogic-initiators: two initiators on one group at once, one on software FCoE and one on
//! an HBA of its own. Both write while the group moves.

use super::super::moves::there_and_back;
use super::super::world::COMMAND;
use super::super::{Seen, World, under_load_on};
use super::{PROBE, begin, end, host, set_zones, wait_port};
use crate::error::{Error, Result};
use crate::fabric::wwn;
use crate::groups::{Group, Lun};
use crate::load::Pace;
use crate::{groups, progress};

/// A shell script that unloads the initiator's driver. udev reads a disk when its writer
/// closes it, and the driver is in use meanwhile.
const UNLOAD: &str = "udevadm settle
    until [ $(cat /sys/module/qla2xxx/refcnt) = 0 ]; do sleep 0.1; done
    modprobe -r qla2xxx";

/// Plays qlogic-initiators.
pub fn run(world: &World) -> Result<Seen> {
    let groups = [groups::on_qlogic()];
    let [group] = &groups;
    let by_software = begin(world, &groups)?;
    let by_hba = progress::during("the initiator has an HBA, too: LUNs found", || {
        arrive(world, group, &by_software)
    })?;
    // Each has the group's first LUN or its last to itself.
    let first = by_software.iter().min_by_key(|lun| lun.number);
    let last = by_hba.iter().max_by_key(|lun| lun.number);
    let luns: Vec<_> = [first, last].into_iter().flatten().cloned().collect();
    let seen = under_load_on(world, &luns, Pace::Full, || {
        for round in 1..=2 {
            let step = progress::step(format!("move {round}: to the partner and home"));
            there_and_back(world, group)?;
            step.done("");
        }
        Ok(vec![group.clone()])
    })?;
    world.load.pause()?;
    progress::during("the initiator's HBA off", || {
        world.lab.host()?.run(UNLOAD, COMMAND)
    })?;
    end(world, &groups)?;
    Ok(seen)
}

/// Allows the HBA of the initiator's guest, and has the guest use it. Returns the group's
/// LUNs as that HBA has them.
fn arrive(world: &World, group: &Group, others: &[Lun]) -> Result<Vec<Lun>> {
    let hba = host()?.hba.ok_or_else(|| Error::other("the initiator has no HBA"))?;
    set_zones(world, std::slice::from_ref(group), &[wwn(&hba.wwpn())?])?;
    let allowed = group.parameter("initiators").unwrap_or_default();
    world.set_parameter(group, "initiators", &format!("{allowed} {}", hba.wwpn()))?;
    let guest = world.lab.host()?;
    guest.run("modprobe qla2xxx", PROBE)?;
    wait_port(guest)?;
    let mut all = groups::luns_of(guest, group, 2 * others.len(), COMMAND)?;
    all.retain(|lun| !others.contains(lun));
    Ok(all)
}
