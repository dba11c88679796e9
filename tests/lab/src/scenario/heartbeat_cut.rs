//! heartbeat-cut: the nodes lose sight of each other while both still reach the fabric
//! and the disks. One is fenced. No name is ever logged in twice, and no disk ever has
//! two nodes that could write.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use super::world::{COMMAND, TAKEOVER};
use super::{Seen, World, under_load};
use crate::channel::{Event, Running};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::load::Pace;
use crate::plan::ARRAYS;
use crate::{progress, speed};

/// The interface of the cluster's network, on both nodes.
const CABLE: &str = "cluster0";

/// Plays heartbeat-cut.
pub fn run(world: &World) -> Result<Seen> {
    under_load(world, Pace::Full, || strike(world))
}

/// Pulls the cable between the nodes, and plugs it in again once one was fenced. Returns
/// the groups that moved.
pub fn strike(world: &World) -> Result<Vec<Group>> {
    let mark = world.mark()?;
    let [a, b] = ARRAYS;
    let boots = [world.node(a)?.boots(), world.node(b)?.boots()];
    let registrants = Registrants::watch(world)?;
    plug(world, false)?;
    let step = progress::step("heartbeat cut: one node fenced");
    let loser = first_fenced(world, boots)?;
    let before = registrants.so_far();
    // The fence has struck: with the cable back, the loser can join when it boots.
    plug(world, true)?;
    step.done(&format!("it was {loser}"));

    let winner = if loser == a { b } else { a };
    let group = world.groups.iter().find(|group| group.home == loser);
    let group = group.ok_or_else(|| Error::other("no group of the loser"))?;
    let step = progress::step(format!("{winner}: takes {} over", group.name));
    world.wait_served(mark, group, winner)?;
    world.load.wait_flow()?;
    step.done("");
    judge(&before, &registrants.to_the_end(), winner)?;

    let survivor = world.node(winner)?.boots();
    world.back_home(group)?;
    if world.node(winner)?.boots() > survivor {
        return Err(Error::other("both nodes were fenced"));
    }
    Ok(vec![group.clone()])
}

fn plug(world: &World, up: bool) -> Result<()> {
    ARRAYS.iter().try_for_each(|name| world.node(name)?.set_link(CABLE, up))
}

fn first_fenced(world: &World, boots: [u32; 2]) -> Result<&'static str> {
    let after = speed::stretch(TAKEOVER);
    let deadline = Instant::now() + after;
    while Instant::now() < deadline {
        for (name, before) in ARRAYS.into_iter().zip(boots) {
            if world.node(name)?.boots() > before {
                return Ok(name);
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(Error::Timeout { what: "a node is fenced".into(), after })
}

/// A watch of the nodes that are registered on each disk, as the shelf reports them.
struct Registrants {
    running: Running,
}

/// A look at one disk: the disk's name, and the nodes that are registered there.
type Look = (String, BTreeSet<String>);

impl Registrants {
    fn watch(world: &World) -> Result<Self> {
        let disks = world.groups.iter().flat_map(Group::disks).map(|disk| disk.name);
        let script = format!(
            "cd /sys/kernel/config/target/core/iblock_0; while :; do
                 for d in {}; do
                     echo $d $(grep -o 'iqn[^ ,]*' $d/pr/res_pr_registered_i_pts)
                 done
                 sleep 0.2
             done",
            disks.collect::<Vec<_>>().join(" ")
        );
        let running = world.lab.host()?.spawn(&script, Some(COMMAND * 5));
        Ok(Self { running })
    }

    /// Returns the looks since the last call.
    fn so_far(&self) -> Vec<Look> {
        self.read(Duration::ZERO)
    }

    /// Returns the looks since the last call, and one more at each disk. Ends the watch.
    fn to_the_end(&self) -> Vec<Look> {
        let mut looks = self.read(Duration::from_millis(1500));
        self.running.kill(nix::sys::signal::Signal::SIGKILL as i32);
        looks.extend(self.read(Duration::from_secs(10)));
        looks
    }

    fn read(&self, patience: Duration) -> Vec<Look> {
        let mut text = String::new();
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.running.next(left) {
                Some(Event::Out(more)) => text.push_str(&more),
                Some(Event::Err(_)) => {}
                None if !left.is_zero() => {}
                None | Some(Event::Ended(_)) => break,
            }
        }
        let look = |line: &str| {
            let mut words = line.split_whitespace();
            let disk = words.next()?.to_owned();
            let node = |name: &str| name.rsplit(':').next().unwrap_or(name).to_owned();
            Some((disk, words.map(node).collect()))
        };
        text.lines().filter_map(look).collect()
    }
}

/// Checks the looks: one node on each disk until the fence, and only the survivor at the
/// end. Two nodes that are registered on a disk can both write to it, unless one is dead.
fn judge(before: &[Look], after: &[Look], winner: &str) -> Result<()> {
    if before.is_empty() || after.is_empty() {
        return Err(Error::other("the shelf told of no disk"));
    }
    if let Some((disk, nodes)) = before.iter().find(|(_, nodes)| nodes.len() > 1) {
        return Err(Error::other(format!("{disk} has two registrants: {nodes:?}")));
    }
    for (disk, _) in before {
        let last = after.iter().rfind(|(name, _)| name == disk);
        if !last.is_some_and(|(_, nodes)| nodes.iter().eq([winner])) {
            return Err(Error::other(format!(
                "{disk} is registered at the end: {last:?}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(disk: &str, nodes: &[&str]) -> Look {
        (disk.to_owned(), nodes.iter().map(|&node| node.to_owned()).collect())
    }

    #[test]
    fn two_registrants_before_the_fence_are_a_split() {
        let one = [look("a1", &["array-a"])];
        let two = [look("a1", &["array-a", "array-b"])];
        let end = [look("a1", &["array-a", "array-b"]), look("a1", &["array-b"])];
        assert!(judge(&one, &end, "array-b").is_ok());
        assert!(judge(&two, &end, "array-b").is_err());
        assert!(judge(&one, &two, "array-b").is_err());
        assert!(judge(&[], &end, "array-b").is_err());
    }
}
