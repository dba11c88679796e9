//! survivor-cannot-read: a node loses its power, and its partner cannot read one of its
//! disks. The partner's own group is never touched. Nobody fences this last node because
//! it cannot take the other group over. The node that comes back serves its group again.

use super::world::{COME_BACK, COMMAND};
use super::{Seen, World, under_load_on};
use crate::error::{Error, Result};
use crate::load::Pace;
use crate::{groups, progress};

/// A script that sets the state of a node's disk, as the kernel does when the path to the
/// disk is dead.
const STATE: &str =
    "d=$(readlink -f DISK); echo STATE > /sys/block/${d##*/}/device/state";
/// A script that waits until a start of the group has failed and the cluster has nothing
/// left to do.
const FAILED: &str = "failed() { attrd_updater -A -Q -n 'fail-count-GROUP#start_0'; }
    until failed | grep -q INFINITY; do sleep 1; done; lab-idle";

/// Plays survivor-cannot-read.
pub fn run(world: &World) -> Result<Seen> {
    let [group, other] = &world.groups;
    let (home, survivor) = (world.node(group.home)?, world.node(group.partner)?);
    let disk = group.disks().pop().ok_or_else(|| Error::other("it has no disk"))?;
    let set = |state| {
        let script = STATE.replace("DISK", &disk.device().display().to_string());
        survivor.run(&script.replace("STATE", state), COMMAND).map(drop)
    };
    let own = groups::luns_of(world.lab.host()?, other, other.disks().len(), COMMAND)?;
    under_load_on(world, &own, Pace::Full, || {
        let (mark, boots) = (world.mark()?, survivor.boots());
        let untouched = || {
            world.must_run_on(other, other.home)?;
            match survivor.boots() == boots {
                true => world.load.wait_flow(),
                false => Err(Error::other(format!("{} was fenced", group.partner))),
            }
        };
        progress::during("power cut; the survivor's start fails", || {
            set("offline")?;
            world.cut_power(group.home)?;
            survivor.run(&FAILED.replace("GROUP", group.name), COMMAND * 2)?;
            untouched()
        })?;
        progress::during("the node that comes back serves its group", || {
            home.wait_up(COME_BACK)?;
            world.wait_served(mark, group, group.home)?;
            untouched()
        })?;
        progress::during("the disk answers again: both as before", || {
            set("running")?;
            survivor.run("crm_resource --cleanup && lab-idle", COMMAND)?;
            world.wait_whole()?;
            world.must_own(group, group.home)?;
            untouched()
        })?;
        Ok(vec![other.clone()])
    })
}
