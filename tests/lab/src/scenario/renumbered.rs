//! luns-renumbered: somebody exchanges the disks behind two LUN numbers, once under load
//! and once while the group is stopped. Under load the port goes on serving the old
//! disks. The start after the stop is refused until the numbers have their disks again,
//! or a person has said that the change is meant.

use super::world::COMMAND;
use super::{Seen, World, luns, under_load};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::progress;
use crate::shelf::{self, Disk};

/// Plays luns-renumbered.
pub fn run(world: &World) -> Result<Seen> {
    let [_, group] = &world.groups;
    let node = world.node(group.home)?;
    let own = group.disks();
    let mut exchanged = own.clone();
    exchanged.swap(0, 1);
    under_load(world, Pace::Full, || {
        progress::during("a reload that exchanges two disks is refused", || {
            let mark = world.mark()?;
            set(world, group, &exchanged)?;
            world.must_be_unnoticed(mark)?;
            node.run(&degraded(group), COMMAND)?;
            world.must_own(group, group.home)?;
            set(world, group, &own)?;
            node.run(
                &format!("crm_resource --cleanup -r {} && lab-idle", group.name),
                COMMAND,
            )?;
            world.must_be_unnoticed(mark)
        })?;
        progress::during("so is a start", || {
            stop(node, group)?;
            set(world, group, &exchanged)?;
            start(node, group)?;
            node.run(&refused(group), COMMAND)?;
            node.run(&check(group), COMMAND)?;
            set(world, group, &own)?;
            served(world, node, group)
        })?;
        world.load.wait_flow()?;
        progress::during("a number that nobody uses, and a person's word", || {
            consent(world, node, group)
        })?;
        Ok(vec![group.clone()])
    })
}

/// Puts another disk behind a number that no initiator uses, and gives the cluster a
/// person's consent.
fn consent(world: &World, node: &Guest, group: &Group) -> Result<()> {
    let [one, other] = [0, 1].map(|n| shelf::spares().into_iter().nth(n));
    let with =
        |spare: &Option<Disk>| [group.disks(), Vec::from_iter(spare.clone())].concat();
    set(world, group, &with(&one))?;
    stop(node, group)?;
    set(world, group, &with(&other))?;
    start(node, group)?;
    node.run(&refused(group), COMMAND)?;
    let accept = format!("understudy accept {}", group.name);
    let told = node.run(&accept, COMMAND)?;
    if !told.contains(&format!("LUN {:<5} gets another disk", group.disks().len())) {
        return Err(Error::other(format!("accept says: {told}")));
    }
    node.run(&refused(group), COMMAND)?;
    node.run(&format!("{accept} --yes && lab-idle"), COMMAND)?;
    served(world, node, group)?;
    // The initiator has logged in again and found the new disk.
    let (host, own) = (world.lab.host()?, group.disks().len());
    let mut new = groups::luns_of(host, group, own + 1, COMMAND)?;
    new.retain(|lun| usize::from(lun.number) >= own);
    host.run(&luns::forget(&new), COMMAND)?;
    set(world, group, &group.disks())
}

fn set(world: &World, group: &Group, disks: &[Disk]) -> Result<()> {
    let specs = groups::specs(disks.iter().cloned());
    world.set_parameter(group, "disks", &specs.join(" "))
}

fn stop(node: &Guest, group: &Group) -> Result<()> {
    let name = group.name;
    let stop =
        format!("crm_resource -r {name} --meta -p target-role -v Stopped && lab-idle");
    node.run(&stop, COMMAND).map(drop)
}

fn start(node: &Guest, group: &Group) -> Result<()> {
    let start =
        format!("crm_resource -r {} --meta -d target-role && lab-idle", group.name);
    node.run(&start, COMMAND).map(drop)
}

/// Clears the refusal, and waits until the cluster serves the group at home. Pacemaker
/// clears it by itself when parameters change, so the partner may serve the group
/// already.
fn served(world: &World, node: &Guest, group: &Group) -> Result<()> {
    let forget = format!("crm_resource --cleanup -r {} && lab-idle", group.name);
    node.run(&forget, COMMAND)?;
    world.giveback()
}

/// Returns a script that checks that the cluster shows the group as started, with the
/// reason of the refusal. A monitor of level 0 finds that too.
fn degraded(group: &Group) -> String {
    let name = group.name;
    format!(
        "set -e
         crm_mon -1 --output-as=xml | grep 'resource id=\"{name}\"' | grep -q 'role=\"Started\"'
         until crm_mon -1 --output-as=xml --include=none,failures |
             grep 'op_key=\"{name}_monitor_' | grep -q 'and configured as'; do
             sleep 0.5
         done"
    )
}

/// Returns a script that checks that a start was refused because of a number's disk.
fn refused(group: &Group) -> String {
    format!(
        "crm_mon -1 --output-as=xml --include=none,failures |
         grep 'op_key=\"{}_start_0\"' | grep 'exitcode=\"6\"' | grep -q 'another disk is behind'",
        group.name
    )
}

/// Returns a script that checks that `check` names the other disk.
fn check(group: &Group) -> String {
    format!("understudy check {} --json | grep -q 'another disk than before'", group.name)
}
