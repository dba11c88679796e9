//! The package on a node that serves a group: an upgrade restarts nothing, and a removal
//! is refused until the group has moved away.

use super::world::COMMAND;
use super::{Seen, World, moves, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::ARRAYS;
use crate::{install, progress};

/// A script that upgrades to a package with the same files and a higher version.
const UPGRADE: &str = "set -e
    rm -rf /run/next; dpkg-deb --raw-extract /lab/understudy.deb /run/next
    sed -i 's/^Version: .*/&+next/' /run/next/DEBIAN/control
    dpkg-deb --build --root-owner-group /run/next /run/next.deb > /dev/null
    dpkg -i /run/next.deb; rm -r /run/next /run/next.deb
    dpkg-query -W -f '${Version}' understudy | grep -q '+next$'
    lab-idle";
/// A script that removes the package, and prints the reason if that is refused.
const REMOVE: &str = "dpkg --remove understudy 2>&1";
/// A script that fails if the package is not installed. dpkg may have been asked for
/// something else than what it did.
const IS_INSTALLED: &str =
    "dpkg-query -W -f '${db:Status-Status}' understudy | grep -qx installed";
/// A script that removes the package with its configuration, and prints what remains of
/// it.
const PURGE: &str = "set -e
    dpkg --listfiles understudy > /run/files
    dpkg --remove understudy > /dev/null; dpkg --purge understudy > /dev/null
    while read -r file; do
        if [ -f \"$file\" ] || [ -h \"$file\" ]; then echo \"$file\"; fi
    done < /run/files
    ls -d /usr/lib/ocf/resource.d/understudy 2> /dev/null || :";

/// A script that does what an administrator does to have metrics in node_exporter.
const METRICS: &str = "set -e
    mkdir -p /var/lib/prometheus/node-exporter
    systemctl start understudy-metrics.timer
    until [ -s /var/lib/prometheus/node-exporter/understudy.prom ]; do sleep 0.2; done
    systemctl stop understudy-metrics.timer
    grep '^understudy_group_healthy' /var/lib/prometheus/node-exporter/understudy.prom
    rm -r /var/lib/prometheus";

/// package-upgrade: both nodes are upgraded and downgraded while they serve. Then the
/// groups move as before.
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

/// package-remove: the removal is refused while the node serves a group, and done once
/// the group has moved away.
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
