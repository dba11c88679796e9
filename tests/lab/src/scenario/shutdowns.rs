//! Orderly ways for a node to leave while it serves: its partner takes over, and nobody
//! is fenced.

use std::thread;
use std::time::{Duration, Instant};

use super::neighbours::{OFF, ON};
use super::world::{COME_BACK, COMMAND};
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::{progress, speed};

/// How often the serving node reboots in a row, unless `UNDERSTUDY_ROUNDS` has another
/// number.
const REBOOTS: u32 = 10;

/// The command that starts a systemd target as `systemctl reboot` and `systemctl
/// poweroff` do where there is no logind. The guests have none.
const LEAVE_BY: &str = "systemctl --no-block --job-mode=replace-irreversibly start";
/// A script that brings the node into the rescue mode, without the shell that would wait
/// for a person.
const RESCUE: &str = "set -e; d=/run/systemd/system/rescue.service.d; mkdir -p $d
    printf '[Service]\\nExecStart=\\nExecStart=sleep infinity\\nStandardInput=null\\n' > $d/lab.conf
    systemctl daemon-reload; systemctl --no-block isolate rescue.target";
/// A script that waits until the node is in the rescue mode. It fails if the cluster or
/// multipathd still runs there, or if the group's target or an FCoE port is still there.
const RESCUED: &str = "until systemctl is-active -q rescue.target &&
        [ -z \"$(systemctl list-jobs --no-legend)\" ]; do sleep 0.2; done
    ! systemctl is-active -q pacemaker && ! systemctl is-active -q multipathd &&
    [ ! -e /sys/kernel/config/target/fc/WWPN ] && ! ls -d /sys/class/net/*/ctlr_*";
/// A script that brings the node out of the rescue mode.
const BACK: &str = "rm -r /run/systemd/system/rescue.service.d; systemctl daemon-reload
    systemctl --no-block isolate multi-user.target";

/// reboot-while-serving: the node that serves a group reboots ten times in a row, goes to
/// the rescue mode, and is powered off. Each is done in an orderly way.
pub fn reboots(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let home = world.node(group.home)?;
    home.run(ON, COMMAND)?;
    let rounds = std::env::var("UNDERSTUDY_ROUNDS").ok().and_then(|n| n.parse().ok());
    let seen = under_load(world, Pace::Full, || {
        for number in 1..=rounds.unwrap_or(REBOOTS) {
            let step = progress::step(format!("reboot {number}: away, booted, home"));
            reboot(world, group)?;
            world.giveback()?;
            world.load.wait_flow()?;
            step.done("");
        }
        progress::during("rescue mode: away, and back to all services", || {
            leave(world, group, RESCUE)?;
            home.run(&RESCUED.replace("WWPN", &group.wwpn()), COMMAND)?;
            home.run(BACK, COMMAND)?;
            returned(world, group)
        })?;
        progress::during("powered off: away, powered on", || {
            let boots = home.boots();
            leave(world, group, &format!("{LEAVE_BY} poweroff.target"))?;
            await_that(home, "is off", || !home.is_on())?;
            not_fenced(home, boots)?;
            home.power_on()?;
            returned(world, group)
        })?;
        Ok(vec![group.clone()])
    })?;
    home.run(OFF, COMMAND)?;
    Ok(seen)
}

/// Reboots the node that serves a group. Waits until its partner serves and the node is a
/// member again. Fails if the node was fenced meanwhile.
pub(super) fn reboot(world: &World, group: &Group) -> Result<()> {
    let home = world.node(group.home)?;
    let (boots, before) = (home.boots(), home.boot());
    leave(world, group, &format!("{LEAVE_BY} reboot.target"))?;
    // Until the node takes commands again, the channel still has its last boot.
    await_that(home, "boots", || home.boot() != before)?;
    world.wait_whole()?;
    not_fenced(home, boots)?;
    world.must_be_on(group, group.partner)
}

/// Runs `command`, by which the node that serves a group leaves. Waits until its partner
/// serves.
fn leave(world: &World, group: &Group, command: &str) -> Result<()> {
    let (home, mark) = (world.node(group.home)?, world.mark()?);
    let boots = home.boots();
    home.run(command, COMMAND)?;
    world.wait_served(mark, group, group.partner)?;
    world.load.wait_flow()?;
    not_fenced(home, boots)
}

/// Waits until the node is a member again, and brings the group home. Fails if the node
/// was fenced meanwhile.
fn returned(world: &World, group: &Group) -> Result<()> {
    let home = world.node(group.home)?;
    let boots = home.boots();
    world.wait_whole()?;
    not_fenced(home, boots)?;
    world.must_be_on(group, group.partner)?;
    world.giveback()?;
    world.load.wait_flow()?;
    world.must_own(group, group.home)
}

/// Waits until `is` returns true. `what` says what is awaited of the node.
fn await_that(node: &Guest, what: &str, is: impl Fn() -> bool) -> Result<()> {
    let after = speed::stretch(COME_BACK);
    let deadline = Instant::now() + after;
    while !is() {
        if Instant::now() >= deadline {
            return Err(Error::Timeout {
                what: format!("{} {what}", node.name()),
                after,
            });
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Fails if a node has been powered on more than `boots` times.
fn not_fenced(node: &Guest, boots: u32) -> Result<()> {
    match node.boots() == boots {
        true => Ok(()),
        false => Err(Error::other(format!("{} was fenced", node.name()))),
    }
}
