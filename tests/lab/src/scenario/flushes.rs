//! flush-heavy-move: disks that take a second and a half to write their caches out, and
//! an initiator that asks for it all the time. No counter of a disk shows such a command.
//! A port that logs out with one in flight would hang the kernel.

use std::time::Duration;

use super::world::COMMAND;
use super::{Seen, World, moves, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::load::Pace;
use crate::{progress, shelf};

/// How long a disk takes to write its cache out.
const FLUSH: Duration = Duration::from_millis(1500);

/// Plays flush-heavy-move.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let boots = world.boots()?;
    under_load(world, Pace::Full, || {
        slowly(world, group, || {
            for round in 1..=3 {
                let step =
                    progress::step(format!("move {round}: to the partner and home"));
                moves::there_and_back(world, group)?;
                step.done("");
            }
            Ok(())
        })?;
        if world.boots()? != boots {
            return Err(Error::other("a node was fenced for a flush"));
        }
        Ok(vec![group.clone()])
    })
}

/// Moves a group there and back while its disks are slow to write their caches out.
pub fn strike(world: &World, group: &Group) -> Result<Vec<Group>> {
    slowly(world, group, || moves::there_and_back(world, group).map(drop))?;
    Ok(vec![group.clone()])
}

/// Runs `work` while a group's disks are slow to write their caches out.
fn slowly(world: &World, group: &Group, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let host = world.lab.host()?;
    for disk in group.disks() {
        shelf::slow_flushes(host, &disk, FLUSH)?;
    }
    let done = has_caches(world, group).and_then(|()| work());
    for disk in group.disks() {
        shelf::quick_flushes(host, &disk)?;
    }
    done
}

/// Checks that the serving node's disks report a cache. Without one an initiator sends no
/// flush.
fn has_caches(world: &World, group: &Group) -> Result<()> {
    let links = group.disks().into_iter().map(|disk| disk.device().display().to_string());
    let script = format!(
        "for link in {}; do
             cache=$(cat /sys/block/$(basename $(readlink -f $link))/queue/write_cache)
             [ \"$cache\" = 'write back' ] || {{ echo $link: $cache; exit 1; }}
         done",
        links.collect::<Vec<_>>().join(" ")
    );
    let (node, _) = world.serving(group)?;
    world.node(&node)?.run(&script, COMMAND).map(drop)
}
