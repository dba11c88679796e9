//! Neighbours on a storage node: what else changes targets, firewall rules and services
//! there while a group is served. An initiator notices nothing of it, or the pause of a
//! move.

use super::shutdowns::reboot;
use super::world::COMMAND;
use super::{Seen, World, moves, under_load};
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::load::Pace;
use crate::progress;

/// A script that makes a node like a stock Debian with these packages: both services are
/// on. The one of open-iscsi logs out of all disks when the node is shut down.
pub(super) const ON: &str = "set -e; cd /etc/systemd/system
    ln -sf /usr/lib/systemd/system/rtslib-fb-targetctl.service multi-user.target.wants/
    mkdir -p sysinit.target.wants; rm -f open-iscsi.service
    ln -sf /usr/lib/systemd/system/open-iscsi.service sysinit.target.wants/
    systemctl daemon-reload
    systemctl start rtslib-fb-targetctl.service open-iscsi.service; sync";
/// A script that makes the node like the lab's others again. It stops neither service,
/// because one of them would log out of the disks.
pub(super) const OFF: &str = "set -e; cd /etc/systemd/system
    rm -f multi-user.target.wants/rtslib-fb-targetctl.service \
        sysinit.target.wants/open-iscsi.service /etc/rtslib-fb-target/saveconfig.json
    ln -sf /dev/null open-iscsi.service; systemctl daemon-reload; sync";

/// A script that prints how often targetcli's service has left a group alone in this
/// boot.
const LEFT_ALONE: &str = "journalctl --sync
    journalctl -b -q -o cat -u rtslib-fb-targetctl.service |
    grep -c 'nothing was changed: GROUP is served here' || :";
/// A script by which targetcli reads everything, makes a disk in memory, and saves.
const SAVE: &str = "set -e; targetcli ls > /dev/null
    targetcli /backstores/ramdisk create mine 1M > /dev/null
    targetctl save; grep -q WWPN /etc/rtslib-fb-target/saveconfig.json; sync";
/// A script that upgrades the service's package. The new package has the same files and
/// maintainer scripts.
const UPGRADE: &str =
    "set -e; p=python3-rtslib-fb; rm -rf /run/next; mkdir -p /run/next/DEBIAN
    dpkg -L $p | while read -r f; do
        if [ -f \"$f\" ] || [ -h \"$f\" ]; then cp -a --parents \"$f\" /run/next; fi
    done
    for s in preinst postinst prerm postrm conffiles; do
        f=/var/lib/dpkg/info/$p.$s; [ ! -e $f ] || cp -a $f /run/next/DEBIAN/$s
    done
    dpkg-query -W -f 'Package: ${Package}\\nVersion: ${Version}+next\\nArchitecture: all
Maintainer: ${Maintainer}\\nDepends: ${Depends}\\nDescription: the next one\\n' $p \
        > /run/next/DEBIAN/control
    dpkg-deb --build --root-owner-group /run/next /run/next.deb > /dev/null
    dpkg -i /run/next.deb; rm -r /run/next /run/next.deb";
/// A script that flushes every firewall rule; it is run over and over.
const FLUSH: &str = "nft flush ruleset; sleep 0.2";
/// A script that starts firewalld as an administrator of a cluster would: with its own
/// zone on every interface.
const FIREWALL: &str = "set -e; cd /etc/systemd/system; rm firewalld.service polkit.service
    systemctl daemon-reload
    firewall-offline-cmd -q --add-service=high-availability
    systemctl start firewalld; firewall-cmd -q --state; nft list table inet firewalld > /dev/null";
/// A script that reloads firewalld, which flushes its rules and sets them again.
const RELOAD: &str = "firewall-cmd -q --reload";
/// A script that stops firewalld and makes the node like the lab's others again.
const NO_FIREWALL: &str = "set -e; cd /etc/systemd/system; systemctl stop firewalld
    ln -s /dev/null firewalld.service; ln -s /dev/null polkit.service
    rm -rf /etc/firewalld/zones/public.xml*
    systemctl daemon-reload; sync";
/// A script that prints what of the group the service has restored at this boot.
const RESTORED: &str = "systemctl is-active -q rtslib-fb-targetctl.service || echo failed
    ls -d /sys/kernel/config/target/fc/WWPN 2> /dev/null
    ls -d /sys/kernel/config/target/core/iblock_*/lun_* 2> /dev/null || :";
/// A script that fails if the service has not restored the administrator's own disk.
const OWN: &str = "ls -d /sys/kernel/config/target/core/rd_mcp_*/mine";
/// A script that restores by hand all that was saved, the group's target too.
const BY_HAND: &str = "targetctl restore 2> /dev/null
    ls -d /sys/kernel/config/target/fc/WWPN/tpgt_1/lun/lun_0";

/// neighbour-restarts: targetcli's service is restarted and upgraded. A node boots with a
/// saved configuration that has the group's own names. Firewall rules are flushed.
pub fn restarts(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let home = world.node(group.home)?;
    let on_group =
        |script: &str| script.replace("GROUP", group.name).replace("WWPN", &group.wwpn());
    let seen = under_load(world, Pace::Full, || {
        let mark = world.mark()?;
        progress::during("targetcli's service: restarted, stopped, started", || {
            home.run(ON, COMMAND)?;
            for verb in ["restart", "stop", "start"] {
                home.run(&format!("systemctl {verb} rtslib-fb-targetctl"), COMMAND)?;
            }
            left_alone(home, &on_group(LEFT_ALONE), 5)
        })?;
        progress::during("its package upgraded", || {
            home.run(UPGRADE, COMMAND * 2)?;
            left_alone(home, &on_group(LEFT_ALONE), 7)
        })?;
        progress::during("targetcli saves all that there is", || {
            let in_file = format!("naa.{}", group.wwpn().replace(':', ""));
            home.run(&SAVE.replace("WWPN", &in_file), COMMAND).map(drop)
        })?;
        progress::during("rules flushed: nothing is noticed", || {
            home.run("nft flush ruleset", COMMAND)?;
            world.must_be_unnoticed(mark)?;
            world.must_own(group, group.home)
        })?;
        progress::during("moved while rules are flushed, and back", || {
            beside(home, FLUSH, || moves::there_and_back(world, group))
        })?;
        let step = progress::step(format!("{}: booted with what was saved", group.home));
        reboot(world, group)?;
        let served = world.serving(group)?;
        home.must_be_silent(&on_group(RESTORED), COMMAND)?;
        home.run(OWN, COMMAND)?;
        step.done("");
        progress::during("restored by hand: the cluster is not misled", || {
            home.run(&on_group(BY_HAND), COMMAND)?;
            let (name, node) = (group.name, group.home);
            let probe = format!("crm_resource -r {name} -N {node} --refresh && lab-idle");
            home.run(&probe, COMMAND)?;
            match world.serving(group)? == served {
                true => Ok(()),
                false => Err(Error::other(format!("{} has moved", group.name))),
            }
        })?;
        progress::during("it comes home all the same", || {
            world.giveback()?;
            world.load.wait_flow()?;
            world.must_own(group, group.home)
        })?;
        Ok(vec![group.clone()])
    })?;
    home.run("targetcli /backstores/ramdisk delete mine > /dev/null", COMMAND)?;
    home.run(OFF, COMMAND)?;
    Ok(seen)
}

/// firewall-reloads: nftables is restarted and firewalld is started. firewalld reloads
/// over and over while a group is served, and while it moves.
pub fn firewall(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let home = world.node(group.home)?;
    under_load(world, Pace::Full, || {
        progress::during("nftables restarted, firewalld started, reloaded", || {
            let mark = world.mark()?;
            home.run("systemctl restart nftables", COMMAND)?;
            home.run(FIREWALL, COMMAND)?;
            home.run(RELOAD, COMMAND)?;
            world.must_be_unnoticed(mark)?;
            world.must_own(group, group.home)
        })?;
        progress::during("moved while firewalld reloads, and back", || {
            beside(home, RELOAD, || moves::there_and_back(world, group))
        })?;
        progress::during("firewalld stopped: nothing is noticed", || {
            let mark = world.mark()?;
            home.run(NO_FIREWALL, COMMAND)?;
            world.must_be_unnoticed(mark)
        })?;
        Ok(vec![group.clone()])
    })
}

/// Checks that the service was asked to change something this often, and left the group
/// alone each time.
fn left_alone(node: &Guest, script: &str, times: u32) -> Result<()> {
    let said = node.run(script, COMMAND)?;
    let count: u32 = said.trim().parse().unwrap_or(0);
    match count >= times {
        true => Ok(()),
        false => Err(Error::other(format!("the service left it alone {count} times"))),
    }
}

/// Calls `what` while a node runs `command` over and over. Returns the result of `what`,
/// or an error if the command has failed meanwhile.
fn beside<T>(node: &Guest, command: &str, what: impl FnOnce() -> Result<T>) -> Result<T> {
    let turns = format!("while {command}; do :; done");
    node.run(&format!("systemd-run -q --unit=lab-beside sh -c '{turns}'"), COMMAND)?;
    let done = what()?;
    node.run("systemctl is-active -q lab-beside && systemctl stop lab-beside", COMMAND)?;
    Ok(done)
}
