//! The package under a group that is served: an upgrade bounces nothing, a removal is
//! refused until the group has gone.

use super::world::COMMAND;
use super::{Seen, World, moves, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::ARRAYS;
use crate::{install, progress};

/// Upgrades to a package of the same files with a higher version, by its own scripts.
const UPGRADE: &str = "set -e
    rm -rf /run/next; dpkg-deb --raw-extract /lab/understudy.deb /run/next
    sed -i 's/^Version: .*/&+next/' /run/next/DEBIAN/control
    dpkg-deb --build --root-owner-group /run/next /run/next.deb > /dev/null
    dpkg -i /run/next.deb; rm -r /run/next /run/next.deb
    dpkg-query -W -f '${Version}' understudy | grep -q '+next$'
    lab-idle";
/// Prints the reason where it is refused.
const REMOVE: &str = "dpkg --remove understudy 2>&1";
/// A test of what is there, which may differ from what dpkg was told to want.
const IS_INSTALLED: &str =
    "dpkg-query -W -f '${db:Status-Status}' understudy | grep -qx installed";
/// Prints what the package leaves.
const PURGE: &str = "set -e
    dpkg --listfiles understudy > /run/files
    dpkg --remove understudy > /dev/null; dpkg --purge understudy > /dev/null
    while read -r file; do
        if [ -f \"$file\" ] || [ -h \"$file\" ]; then echo \"$file\"; fi
    done < /run/files
    ls -d /usr/lib/ocf/resource.d/understudy 2> /dev/null || :";

/// What the administrator enables for node_exporter.
const METRICS: &str = "set -e
    mkdir -p /var/lib/prometheus/node-exporter
    systemctl start understudy-metrics.timer
    until [ -s /var/lib/prometheus/node-exporter/understudy.prom ]; do sleep 0.2; done
    systemctl stop understudy-metrics.timer
    grep '^understudy_group_healthy' /var/lib/prometheus/node-exporter/understudy.prom
    rm -r /var/lib/prometheus";

/// package-upgrade: on both nodes while they serve, and the other way; then the groups
/// move as before.
pub fn upgrade(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, Pace::Bursts, || {
        let mark = world.mark()?;
        for name in ARRAYS {
            let node = world.node(name)?;
            let title = format!("{name}: upgraded, nothing is bounced");
            progress::during(title, || node.run(UPGRADE, COMMAND * 2).map(drop))?;
        }
        world.must_be_unnoticed(mark)?;
        progress::during("metrics, by the timer", || {
            world.node(group.home)?.run(METRICS, COMMAND).map(drop)
        })?;
        let step = progress::step("moved by the new agent, and back");
        moves::there_and_back(world, group)?;
        world.must_own(group, group.home)?;
        step.done("");
        let mark = world.mark()?;
        progress::during("the old one again, nothing is bounced", || {
            install::packages(&world.lab, &ARRAYS)
        })?;
        world.must_be_unnoticed(mark)?;
        Ok(vec![group.clone()])
    })
}

/// package-remove: refused while the group is here; done when it has gone.
pub fn remove(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, Pace::Bursts, || {
        let home = world.node(group.home)?;
        let mark = world.mark()?;
        progress::during("refused while a group is served", || refused(home, group))?;
        world.must_be_unnoticed(mark)?;
        progress::during("in standby: removed, and purged", || {
            let mark = world.mark()?;
            world.set_standby(group.home, true)?;
            world.wait_served(mark, group, group.partner)?;
            home.run("lab-idle", COMMAND)?;
            home.must_be_silent(PURGE, COMMAND)
        })?;
        world.load.wait_flow()?;
        progress::during("installed again: the group comes home", || {
            install::packages(&world.lab, &[group.home])?;
            world.set_standby(group.home, false)?;
            world.wait_whole()?;
            world.giveback()
        })?;
        world.load.wait_flow()?;
        Ok(vec![group.clone()])
    })
}

fn refused(node: &Guest, group: &Group) -> Result<()> {
    let said = node.try_run(REMOVE, COMMAND);
    let names = said.stdout.contains(&format!("this node serves {}\n", group.name));
    if said.code() == Some(0) || !names {
        return Err(Error::other(format!("it was not refused: {}", said.stdout)));
    }
    node.run(IS_INSTALLED, COMMAND).map(drop)
}
