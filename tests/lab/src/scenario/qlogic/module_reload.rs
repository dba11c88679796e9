//! qlogic-module-reload: the driver of a node's HBA is unloaded and loaded again while the
//! partner serves, as for an update of the driver or another mode of it. Then the group
//! comes home. This is done in both modes that a target can have.

use super::super::{Seen, World, under_load_on};
use super::{BASE, PROBE, begin, end, wait_port};
use crate::error::Result;
use crate::groups::Group;
use crate::load::Pace;
use crate::{groups, progress};

/// The driver's modes, in the order in which they are tried. The last one is that of the
/// package.
const MODES: [&str; 2] = ["disabled", "dual"];

/// A shell script for a storage node that serves nothing on its HBA. It has the driver
/// unloaded and loaded again, as docs/qla2xxx.md says.
const RELOAD: &str = "set -e
    systemctl stop understudy-qla2xxx.service
    base=$(base)
    cd /sys/kernel/config/target/qla2xxx
    for port in /sys/class/fc_vports/vport-${base##*host}:*; do
        [ -e $port ] || continue
        read -r wwpn < $port/port_name
        read -r wwnn < $port/node_name
        echo ${wwpn#0x}:${wwnn#0x} > $base/vport_delete
    done
    for tpg in */tpgt_*; do
        rmdir $tpg ${tpg%/*}
    done
    cd ..
    rmdir qla2xxx
    modprobe -r tcm_qla2xxx
    modprobe -r qla2xxx
    modprobe qla2xxx qlini_mode=MODE
    systemctl start understudy-qla2xxx.service";

/// Plays qlogic-module-reload.
pub fn run(world: &World) -> Result<Seen> {
    let group = groups::on_qlogic();
    let luns = begin(world, std::slice::from_ref(&group))?;
    let seen = under_load_on(world, &luns, Pace::Full, || {
        MODES.iter().try_for_each(|mode| reload(world, &group, mode))?;
        Ok(vec![group.clone()])
    })?;
    end(world, std::slice::from_ref(&group))?;
    Ok(seen)
}

/// Reloads the driver of a group's home with this mode, while the partner serves.
fn reload(world: &World, group: &Group, mode: &str) -> Result<()> {
    world.go_to(group, group.partner)?;
    world.load.wait_flow()?;
    progress::during(format!("{}: driver reloaded, {mode}", group.home), || {
        let home = world.node(group.home)?;
        home.run(&format!("{BASE}\n{}", RELOAD.replace("MODE", mode)), PROBE)?;
        wait_port(home)
    })?;
    progress::during("the group comes home", || {
        world.go_to(group, group.home)?;
        world.load.wait_flow()?;
        world.load.in_bursts(|| world.forget_move(group))
    })
}
