//! What else on a storage node changes targets, firewall rules and services, while a group is
//! served there: it costs initiators nothing, or the pause of a move.

use super::shutdowns::reboot;
use super::world::COMMAND;
use super::{Seen, World, moves, under_load};
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::load::Pace;
use crate::progress;

/// Has the node be as a stock Debian is that has these packages: both services are on. The one
/// of open-iscsi logs out of all disks when the node is shut down.
pub(super) const ON: &str = "set -e; cd /etc/systemd/system
    ln -sf /usr/lib/systemd/system/rtslib-fb-targetctl.service multi-user.target.wants/
    mkdir -p sysinit.target.wants; rm -f open-iscsi.service
    ln -sf /usr/lib/systemd/system/open-iscsi.service sysinit.target.wants/
    systemctl daemon-reload
    systemctl start rtslib-fb-targetctl.service open-iscsi.service; sync";
/// Has the node be as the lab's others. What runs is not stopped: one of the two would log out
/// of the disks.
pub(super) const OFF: &str = "set -e; cd /etc/systemd/system
    rm -f multi-user.target.wants/rtslib-fb-targetctl.service \
        sysinit.target.wants/open-iscsi.service /etc/rtslib-fb-target/saveconfig.json
    ln -sf /dev/null open-iscsi.service; systemctl daemon-reload; sync";

/// Prints how often targetcli's service has left a group alone in this boot.
const LEFT_ALONE: &str = "journalctl --sync
    journalctl -b -q -o cat -u rtslib-fb-targetctl.service |
    grep -c 'nothing was changed: GROUP is served here' || :";
/// Has targetcli look at everything, make a disk in memory, and save.
const SAVE: &str = "set -e; targetcli ls > /dev/null
    targetcli /backstores/ramdisk create mine 1M > /dev/null
    targetctl save; grep -q WWPN /etc/rtslib-fb-target/saveconfig.json; sync";
/// Upgrades the service's package, made of its own files, by its own scripts.
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
/// Flushes every rule, five times a second.
const FLUSH: &str = "nft flush ruleset; sleep 0.2";
/// Starts firewalld as an administrator of a cluster has it, with its own zone on every
/// interface.
const FIREWALL: &str = "set -e; cd /etc/systemd/system; rm firewalld.service polkit.service
    systemctl daemon-reload
    firewall-offline-cmd -q --add-service=high-availability
    systemctl start firewalld; firewall-cmd -q --state; nft list table inet firewalld > /dev/null";
/// Reloads it, which flushes its rules and sets them again.
const RELOAD: &str = "firewall-cmd -q --reload";
/// Stops it and has the node be as the lab's others.
const NO_FIREWALL: &str = "set -e; cd /etc/systemd/system; systemctl stop firewalld
    ln -s /dev/null firewalld.service; ln -s /dev/null polkit.service
    rm -rf /etc/firewalld/zones/public.xml*
    systemctl daemon-reload; sync";
/// Prints what the boot has restored that is the group's.
const RESTORED: &str = "systemctl is-active -q rtslib-fb-targetctl.service || echo failed
    ls -d /sys/kernel/config/target/fc/WWPN 2> /dev/null
    ls -d /sys/kernel/config/target/core/iblock_*/lun_* 2> /dev/null || :";
/// Fails where the boot has not restored what is nobody's but the administrator's.
const OWN: &str = "ls -d /sys/kernel/config/target/core/rd_mcp_*/mine";
/// Restores by hand all that was saved, what was a group's too.
const BY_HAND: &str = "targetctl restore 2> /dev/null
    ls -d /sys/kernel/config/target/fc/WWPN/tpgt_1/lun/lun_0";

/// neighbour-restarts: targetcli's service is restarted, upgraded, and booted with a saved
/// configuration of the group's own names; firewall rules are flushed.
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

/// firewall-reloads: nftables is restarted, firewalld is started, and it reloads over and over
/// while a group is served and while it moves.
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

/// Checks that the service was told this often to do something, and left the group alone.
fn left_alone(node: &Guest, script: &str, times: u32) -> Result<()> {
    let said = node.run(script, COMMAND)?;
    let count: u32 = said.trim().parse().unwrap_or(0);
    match count >= times {
        true => Ok(()),
        false => Err(Error::other(format!("the service left it alone {count} times"))),
    }
}

/// Does something while a node runs a command over and over. Returns what it returned. A
/// command that failed meanwhile fails this.
fn beside<T>(node: &Guest, command: &str, what: impl FnOnce() -> Result<T>) -> Result<T> {
    let turns = format!("while {command}; do :; done");
    node.run(&format!("systemd-run -q --unit=lab-beside sh -c '{turns}'"), COMMAND)?;
    let done = what()?;
    node.run("systemctl is-active -q lab-beside && systemctl stop lab-beside", COMMAND)?;
    Ok(done)
}
