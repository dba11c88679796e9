//! agent-killed: the agent dies by SIGKILL in the middle of a start, and of a stop. The
//! cluster gets over both without a person: it tries the start on another node, and
//! fences the node whose stop was killed.

use std::time::Duration;

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::channel::{Event, Running};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::wire::End;
use crate::{progress, speed};

/// Plays agent-killed.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, Pace::Full, || {
        in_a_start(world, group)?;
        in_a_stop(world, group)
    })
}

/// Kills a start on the partner. Returns the groups that moved: Pacemaker serves this one
/// at home again.
pub fn in_a_start(world: &World, group: &Group) -> Result<Vec<Group>> {
    let step = progress::step("start killed: the group is served again");
    let mark = world.mark()?;
    // The entry is written before the first step; the port comes with the last.
    let entry = format!("/run/understudy/ports/{}.json", group.wwpn().replace(':', ""));
    let trap = kill_when(world.node(group.partner)?, &format!("[ -e {entry} ]"), "start");
    world.order_move(group, group.partner)?;
    sprung(&trap)?;
    // The group does not start on the partner, so it starts at home again. The rule of
    // the move must not forbid that.
    world.forget_move(group)?;
    world.wait_served(mark, group, group.home)?;
    world.load.wait_flow()?;
    step.done("");
    world.wait_whole()?;
    Ok(vec![group.clone()])
}

/// Kills a stop at home. The node is fenced, and the partner takes over. Returns the
/// groups that moved.
pub fn in_a_stop(world: &World, group: &Group) -> Result<Vec<Group>> {
    let step = progress::step("stop killed: fenced, the partner takes over");
    let mark = world.mark()?;
    let home = world.node(group.home)?;
    let boots = home.boots();
    // The agent is killed once the LUNs are in transition.
    let state = "/sys/kernel/config/target/core/*/lun_0/alua/default_tg_pt_gp/\
                 alua_access_state";
    let turned = format!("read -r s < $(echo {state}) && [ $s = 15 ]");
    let trap = kill_when(home, &turned, "stop");
    world.order_move(group, group.partner)?;
    sprung(&trap)?;
    world.wait_fenced(group.home, boots)?;
    world.wait_served(mark, group, group.partner)?;
    world.load.wait_flow()?;
    step.done("");
    world.back_home(group)?;
    Ok(vec![group.clone()])
}

/// Kills the agent's `action` and its worker, as Pacemaker would, as soon as `condition`
/// holds on a node.
///
/// The shell waits and kills by itself. To load another program takes longer than the
/// agent runs. It looks at the youngest processes only.
fn kill_when(node: &Guest, condition: &str, action: &str) -> Running {
    let script = format!(
        "until {condition}; do :; done
         read -r a b c d pid < /proc/loadavg; end=$((pid - 100)); killed=1
         while [ $pid -gt $end ]; do
             line=; [ ! -e /proc/$pid/cmdline ] || read -r line < /proc/$pid/cmdline
             case $line in */understudy/vport{action}) kill -9 $pid && killed=0;; esac
             pid=$((pid - 1))
         done 2> /dev/null
         exit $killed"
    );
    node.spawn(&script, Some(speed::stretch(COMMAND)))
}

fn sprung(trap: &Running) -> Result<()> {
    loop {
        match trap.next(speed::stretch(COMMAND) + Duration::from_secs(15)) {
            Some(Event::Ended(End::Exit(0))) => return Ok(()),
            Some(Event::Ended(end)) => {
                return Err(Error::other(format!("no agent was killed: {end:?}")));
            }
            Some(_) => {}
            None => return Err(Error::other("no agent was killed in time")),
        }
    }
}
