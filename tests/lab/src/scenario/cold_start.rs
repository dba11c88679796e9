//! A site that has lost its power: both nodes are up long before their disks.

use std::time::Duration;

use super::world::{COME_BACK, COMMAND, runs_on};
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::load::Pace;
use crate::plan::ARRAYS;
use crate::{cluster, lab, progress};

/// A script after which the next boot of a node goes on without its disks.
const LATE: &str = "touch /etc/lab-late; sync";
/// A script that makes the shelf serve its disks, or stop serving them.
const SHELF: &str =
    "for tpg in /sys/kernel/config/target/iscsi/*/tpgt_*; do echo ON > $tpg/enable; done";
/// A script that waits until a start of every group has failed on both nodes.
const FAILED: &str =
    "failed() { attrd_updater -A -Q -n \"fail-count-$1#start_0\" | grep -c INFINITY; }
    for group in GROUPS; do
        until [ \"$(failed $group)\" = 2 ]; do sleep 1; done
    done";
/// How long the cluster may take to try again: the `failure-timeout` that `configure`
/// prints, and a start.
const AGAIN: Duration = Duration::from_secs(300);

/// cold-start: starts fail on both nodes, and nobody is fenced. Once the disks come, both
/// homes serve their groups without anybody's help.
pub fn run(world: &World) -> Result<Seen> {
    let host = world.lab.host()?;
    let names = world.groups.each_ref().map(|group| group.name);
    let shelf = |is_on: &str| host.run(&SHELF.replace("ON", is_on), COMMAND);
    let nodes = ARRAYS.into_iter().map(|name| world.node(name));
    let nodes = nodes.collect::<Result<Vec<_>>>()?;
    world.load.pause()?;
    progress::during("power cut of both nodes and of the shelf", || {
        nodes.iter().try_for_each(|node| node.run(LATE, COMMAND).map(drop))?;
        nodes.iter().for_each(|node| node.power_off());
        shelf("0").map(drop)
    })?;
    let boots = progress::during("nodes up, no disks", || {
        nodes.iter().try_for_each(|node| node.power_on())?;
        for node in &nodes {
            node.wait_up(COME_BACK)?;
            lab::wait_port(node, COME_BACK)?;
        }
        cluster::wait_online(world.any_node()?, ARRAYS.len(), COME_BACK)?;
        world.boots()
    })?;
    progress::during("each start fails, on both nodes", || {
        let failed = FAILED.replace("GROUPS", &names.join(" "));
        world.any_node()?.run(&failed, COMMAND * 3)
    })?;
    progress::during("the disks come: each served by its home", || {
        shelf("1")?;
        for group in &world.groups {
            let runs = runs_on(group, group.home);
            let served =
                format!("until {runs} 2> /dev/null; do sleep 0.5; done; lab-idle");
            world.any_node()?.run(&served, AGAIN)?;
            world.must_own(group, group.home)?;
        }
        Ok(())
    })?;
    if world.boots()? != boots {
        return Err(Error::other("a node was fenced for disks that were not there yet"));
    }
    under_load(world, Pace::Full, || Ok(Vec::new()))
}
