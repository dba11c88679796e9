//! partner-activates: an initiator makes a volume group with a file system on a LUN.
//!
//! LVM of a storage node sees a volume group there too. The package's rule for udev makes
//! the partner's LVM leave it alone. Without the rule LVM takes it, and a takeover is
//! refused and names it. A move takes the mounted file system along.

use super::world::COMMAND;
use super::{Seen, World, luns, under_load};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::shelf::{self, Disk};
use crate::{progress, speed};

/// A script that makes the volume group and the file system, and writes a file. LVM is
/// given the device, because the initiator is also the shelf and sees the disk a second
/// time there.
const MAKE: &str = "set -e; lvm() { command lvm \"$@\" -q -y --devices /dev/LUN; }
    lvm pvcreate /dev/LUN; lvm vgcreate lab_vg /dev/LUN; lvm lvcreate -l 100%FREE -n lv lab_vg
    mkfs.ext4 -q /dev/lab_vg/lv; mkdir -p /mnt/lab; mount /dev/lab_vg/lv /mnt/lab
    head -c 8M /dev/urandom > /mnt/lab/file; sync /mnt/lab/file
    md5sum < /mnt/lab/file > /run/lab-file";
/// A script that checks the file on the disk, not in memory, and writes more.
const SAME: &str = "set -e; echo 3 > /proc/sys/vm/drop_caches
    md5sum < /mnt/lab/file | cmp - /run/lab-file
    echo more >> /mnt/lab/more; sync /mnt/lab/more";
/// A script that removes the file system and the volume group.
const UNMAKE: &str = "set -e; umount /mnt/lab
    lvm vgremove -q -y --devices /dev/LUN lab_vg
    lvm pvremove -q -y --devices /dev/LUN /dev/LUN";
/// A script that makes udev look at a disk again, as at a boot.
const LOOK: &str = "udevadm trigger --settle --action=add $(readlink -f DISK)";
/// A script that turns the package's rule off.
const OFF: &str =
    "ln -s /dev/null /etc/udev/rules.d/62-understudy.rules; udevadm control --reload";
/// A script that turns the package's rule on again.
const ON: &str = "rm /etc/udev/rules.d/62-understudy.rules; udevadm control --reload";

/// Plays partner-activates.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let (host, home) = (world.lab.host()?, world.node(group.home)?);
    let partner = world.node(group.partner)?;
    let disk = shelf::spares().into_iter().next();
    let disk = disk.ok_or_else(|| Error::other("no spare disk"))?;
    let own = group.disks().len();
    let with = groups::specs([group.disks(), vec![disk.clone()]].concat()).join(" ");
    let at = |script: &str| script.replace("DISK", &disk.device().display().to_string());
    under_load(world, Pace::Bursts, || {
        let mut new =
            progress::during("a LUN comes, and its name on both nodes", || {
                world.set_parameter(group, "disks", &with)?;
                host.run(groups::SCAN, COMMAND)?;
                [home, partner].into_iter().try_for_each(|node| is_known(node, &disk))?;
                groups::luns_of(host, group, own + 1, COMMAND)
            })?;
        new.retain(|lun| usize::from(lun.number) >= own);
        let lun = new.first().ok_or_else(|| Error::other("no new LUN"))?.device.clone();
        let at_lun = |script: &str| script.replace("LUN", &lun);
        progress::during("the initiator makes a volume group and a file system", || {
            host.run(&at_lun(MAKE), COMMAND).map(drop)
        })?;
        progress::during("LVM of the partner leaves it alone", || {
            partner.run(&at(LOOK), COMMAND)?;
            is_free(partner, &disk)
        })?;
        progress::during("without the rule LVM takes it: refused by name", || {
            partner.run(OFF, COMMAND)?;
            partner.run(&at(LOOK), COMMAND)?;
            taken(partner, &disk)?;
            refused(partner, group)?;
            partner.run("vgchange -q -an lab_vg", COMMAND)?;
            partner.run(ON, COMMAND)?;
            partner.run(&at(LOOK), COMMAND)?;
            is_free(partner, &disk)
        })?;
        for node in [group.partner, group.home] {
            let step = progress::step(format!("{node} serves it, mounted"));
            world.move_to(group, node)?;
            host.run(SAME, COMMAND)?;
            world.load.wait_flow()?;
            step.done("");
        }
        progress::during("the LUN goes", || {
            host.run(&at_lun(UNMAKE), COMMAND)?;
            host.run(&luns::forget(&new), COMMAND)?;
            world.set_parameter(group, "disks", &groups::specs(group.disks()).join(" "))
        })?;
        Ok(vec![group.clone()])
    })
}

/// Waits until the watch on a node has stored a disk's name. The watch does that once a
/// minute.
fn is_known(node: &Guest, disk: &Disk) -> Result<()> {
    let name = format!("naa.6001405{}", disk.serial());
    let script =
        format!("until [ -e /var/lib/understudy/disks/{name} ]; do sleep 0.5; done");
    node.run(&script, speed::stretch(COMMAND)).map(drop)
}

/// Checks that udev reports no content of a disk, and that nothing has the disk open.
fn is_free(node: &Guest, disk: &Disk) -> Result<()> {
    let script = format!(
        "d=$(readlink -f {}); udevadm info -q property $d | grep ID_FS_TYPE=.
         ls /sys/block/${{d##*/}}/holders; :",
        disk.device().display()
    );
    node.must_be_silent(&script, COMMAND)
}

/// Waits until a node's LVM has taken a disk.
fn taken(node: &Guest, disk: &Disk) -> Result<()> {
    let script = format!(
        "d=$(readlink -f {}); until [ \"$(ls /sys/block/${{d##*/}}/holders)\" ]; do sleep 0.2
         done",
        disk.device().display()
    );
    node.run(&script, COMMAND).map(drop)
}

/// Checks that `check` on the partner names what has the disk, and that a takeover is
/// refused.
fn refused(partner: &Guest, group: &Group) -> Result<()> {
    let name = group.name;
    let check = format!("understudy check {name} | grep 'in use here.*lab_vg-lv'");
    partner.run(&check, COMMAND)?;
    let takeover = format!("understudy takeover {name} 2>&1 | grep 'lab_vg-lv'");
    partner.run(&takeover, COMMAND).map(drop)
}
