//! qlogic-identity: all that a LUN answers about itself is the same from both HBAs. What
//! it answers of itself, and not of its port, is also the same from a node that serves it
//! by software FCoE.

use super::super::identity::{look, must_be_same, same_everywhere, without_ports};
use super::super::world::COMMAND;
use super::super::{Seen, World, two_fabrics};
use super::{begin, end, serve, set_zones};
use crate::error::Result;
use crate::groups::{self, Group};
use crate::plan::Hba;
use crate::progress;

/// Plays qlogic-identity.
pub fn run(world: &World) -> Result<Seen> {
    let on_hbas = [groups::on_qlogic_with_state()];
    let [group] = &on_hbas;
    begin(world, &on_hbas)?;
    world.load.pause()?;
    same_everywhere(world, group)?;
    groups::forget(world.any_node()?, &[group.name])?;

    let on_any = [groups::on_any()];
    let [group] = &on_any;
    set_zones(world, &on_any, &[])?;
    progress::during("a software port at one node only", || {
        let home = world.node(group.home)?;
        home.run(&format!("lab-fcoe {}", Hba::SIDE.interface()), COMMAND)?;
        two_fabrics::wait_port(home, Hba::SIDE)
    })?;
    serve(world, group)?;
    same_from_software(world, group)?;
    end(world, &on_any)?;
    Ok(Seen::default())
}

/// Moves a group from its home, which serves it by software FCoE, to its partner, which
/// serves it by an HBA, and home again.
fn same_from_software(world: &World, group: &Group) -> Result<()> {
    must_serve_by(world, group, group.home, "fc")?;
    let before =
        progress::during("every answer of every LUN, by FCoE", || look(world, group))?;
    let step = progress::step(format!("the same from {} by an HBA", group.partner));
    world.move_to(group, group.partner)?;
    must_serve_by(world, group, group.partner, "qla2xxx")?;
    let there = look(world, group)?;
    must_be_same(&without_ports(&before), &without_ports(&there), group.partner)?;
    step.done(&format!("{} answers", there.len()));
    let step = progress::step(format!("the same from {} by FCoE", group.home));
    world.move_to(group, group.home)?;
    must_serve_by(world, group, group.home, "fc")?;
    must_be_same(&before, &look(world, group)?, group.home)?;
    step.done("");
    Ok(())
}

/// Checks that a node has the group's LUNs behind a target of one of LIO's fabrics.
fn must_serve_by(world: &World, group: &Group, node: &str, fabric: &str) -> Result<()> {
    let lun =
        format!("/sys/kernel/config/target/{fabric}/{}/tpgt_1/lun/lun_0", group.wwpn());
    world.node(node)?.run(&format!("ls -d {lun}"), COMMAND).map(drop)
}
