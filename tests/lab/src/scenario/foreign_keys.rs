//! foreign-keys: another program registers on a disk of a group that is served. A key
//! that has no business there is removed in place. A key that keeps nodes apart is named
//! and left, and the partner does not take such a disk.

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::progress;

/// Two keys that are not understudy's: one as some program makes them, one as fence_scsi
/// does.
const STRANGE: &str = "0xdeadbeef00000001";
const FENCING: &str = "0x5e2a0001";

/// Plays foreign-keys.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let (home, partner) = (world.node(group.home)?, world.node(group.partner)?);
    let disk = group.disks().first().map(|disk| disk.device().display().to_string());
    let disk = disk.ok_or_else(|| Error::other("a group without disks"))?;
    under_load(world, Pace::Full, || {
        let mark = world.mark()?;
        progress::during("a program's key is removed in place", || {
            register(partner, &disk, "0", STRANGE)?;
            monitor(home, group, 0, "")?;
            world.must_own(group, group.home)
        })?;
        progress::during("fence_scsi's key is named, and left", || {
            register(partner, &disk, "0", FENCING)?;
            monitor(home, group, 190, "as fence_scsi")?;
            let check = format!(
                "understudy check {} --json | grep -q 'as fence_scsi'; ! understudy check {0}",
                group.name
            );
            partner.run(&check, COMMAND)?;
            let keys = format!("sg_persist --in --no-inquiry --read-keys {disk}");
            let keys = home.run(&keys, COMMAND)?;
            match keys.contains(FENCING) {
                true => register(partner, &disk, FENCING, "0"),
                false => Err(Error::other(format!("it is gone: {keys}"))),
            }
        })?;
        monitor(home, group, 0, "")?;
        world.must_be_unnoticed(mark)?;
        world.must_own(group, group.home)?;
        Ok(Vec::new())
    })
}

/// Registers a key on a disk from a node, in place of the key `old`.
fn register(node: &Guest, disk: &str, old: &str, new: &str) -> Result<()> {
    let script = format!(
        "sg_persist --out --no-inquiry --register --param-rk={old} --param-sark={new} {disk}"
    );
    node.run(&script, COMMAND).map(drop)
}

/// Checks the exit code of a monitor of level 10, and that its output contains `says`.
pub fn monitor(node: &Guest, group: &Group, code: i32, says: &str) -> Result<()> {
    let script = format!(
        "OCF_CHECK_LEVEL=10 {} /usr/lib/ocf/resource.d/understudy/vport monitor",
        group.environment(group.name, &[])
    );
    let said = node.try_run(&script, COMMAND);
    match said.code() == Some(code) && said.stderr.contains(says) {
        true => Ok(()),
        false => Err(Error::other(format!("monitor: {}", said.explain()))),
    }
}
