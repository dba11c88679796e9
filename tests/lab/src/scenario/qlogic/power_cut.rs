//! qlogic-power-cut: the node whose HBA serves a group loses its power. What its partner's
//! HBA sent and received in the takeover is read by Wireshark.

use super::super::{Seen, World, two_fabrics, under_load_on};
use super::{begin, end, wait_port};
use crate::error::Result;
use crate::groups::Group;
use crate::load::Pace;
use crate::{capture, groups, progress};

/// What a capture of a takeover tells, in tshark's words.
const TOLD: [&str; 7] = [
    "FDISC",
    "PLOGI",
    "PRLI",
    "SCSI: Read(10)",
    "SCSI: Write(10)",
    "XFER_RDY",
    "SCSI: Response",
];

/// Plays qlogic-power-cut.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, std::slice::from_ref(&group))?;
    let seen = under_load_on(world, &luns, Pace::Full, || strike(world, &group))?;
    let step = progress::step("tshark reads the partner's frames".to_owned());
    let boots = world.node(group.partner)?.boots();
    let frames = capture::of_hba(world.lab.folders(), group.partner, boots);
    let read = capture::must_tell(&frames, &TOLD)?;
    step.done(&format!("{read} frames"));
    end(world, std::slice::from_ref(&group))?;
    Ok(seen)
}

/// Cuts the power of a group's home. Returns the groups that moved.
pub fn strike(world: &World, group: &Group) -> Result<Vec<Group>> {
    let mark = world.mark()?;
    world.cut_power(group.home)?;
    progress::during("its partner's HBA has the port", || {
        world.wait_served(mark, group, group.partner)?;
        world.load.wait_flow()
    })?;
    let step = progress::step(format!("{}: boots and joins again", group.home));
    world.wait_whole()?;
    wait_port(world.node(group.home)?)?;
    step.done("");
    progress::during("given back", || {
        two_fabrics::all_home(world, group)?;
        world.load.wait_flow()
    })?;
    Ok(vec![group.clone()])
}
