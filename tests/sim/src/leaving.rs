//! Disks that leave a node and come back. Who had one open keeps a device that answers with
//! errors (`del_gendisk` in block/genhd.c), and its name is nobody else's as long as it is
//! open (`sd_index_ida` in drivers/scsi/sd.c). So a disk comes back under the first name that
//! is free.

use std::path::Path;

use super::commands::{Answer, Stage};
use super::configfs;
use super::san::{Node, San};
use super::tree::Tree;
use understudy_core::kernel::disk::nvme::names::is_nvme;
use understudy_core::kernel::paths;

impl San {
    /// Takes away the disk that has this name on a node.
    pub fn leaves(&mut self, node: usize, name: &str) {
        let Some(there) = self.nodes.get_mut(node) else { return };
        let disk = there.first_name(name).to_owned();
        let block = Path::new(paths::BLOCK).join(name);
        let (device, (_, _, link)) = (format!("/dev/{name}"), names(&disk));
        for path in [block.as_path(), Path::new(&device), Path::new(&link)] {
            there.tree.remove(path);
        }
        self.cut_off(node, &disk);
        self.changes += 1;
    }

    /// Brings a disk back to a node, under this name.
    pub fn returns(&mut self, node: usize, disk: &str, name: &str) {
        self.comes_back(node, disk, name);
        self.is_named(node, disk);
    }

    /// Brings a disk back to a node, under the first name that is free there. What udev makes
    /// for it is to come: see [`Self::is_named`].
    pub fn comes_back_as(&mut self, node: usize, disk: &str) -> Option<String> {
        let there = self.nodes.get(node)?;
        let alike = |name: &&String| is_nvme(name) == is_nvme(disk);
        let known = self.disks.names().filter(alike).cloned();
        let kind = if is_nvme(disk) { "nvme9n" } else { "sdz" };
        let mut all = known.chain((0..).map(|number| format!("{kind}{number}")));
        let name = all.find(|name| !there.is_taken(name))?;
        drop(all);
        self.comes_back(node, disk, &name);
        Some(name)
    }

    fn comes_back(&mut self, node: usize, disk: &str, name: &str) {
        if let Some(there) = self.nodes.get_mut(node) {
            there.names.insert(name.to_owned(), disk.to_owned());
            appears(&mut there.tree, disk, name);
        }
        self.changes += 1;
    }

    /// Has a node's udev link to a disk that has come back.
    pub fn is_named(&mut self, node: usize, disk: &str) {
        let name = self.name_of(node, disk);
        if let (Some(name), Some(there)) = (name, self.nodes.get_mut(node)) {
            is_named(&mut there.tree, disk, &name);
        }
    }

    /// Returns the kernel name of a disk on a node; `None` where it is not there.
    pub fn name_of(&self, node: usize, disk: &str) -> Option<String> {
        let there = self.nodes.get(node)?;
        let given = there.names.iter().filter(|(_, its)| *its == disk);
        let mut all = given.map(|(name, _)| name.as_str()).chain([disk]);
        let is_it =
            |name: &&str| there.first_name(name) == disk && there.has_device(name);
        all.find(is_it).map(str::to_owned)
    }

    /// Returns whether something on a node has a disk open as a device that has left.
    pub fn clings(&self, node: usize, disk: &str) -> bool {
        self.nodes.get(node).is_some_and(|there| {
            let is_gone = |name: &str| !there.has_device(name);
            let its = |name: &str| there.first_name(name) == disk && is_gone(name);
            configfs::is_open(&there.tree, its) || there.keeps(its)
        })
    }

    /// Ends what a node has with a disk that leaves it, with errors: the transport does
    /// before it takes the device away (`fc_starget_delete`). The disk may have carried out
    /// what it had taken in.
    fn cut_off(&mut self, node: usize, disk: &str) {
        let its =
            self.commands.iter_mut().filter(|(_, c)| c.node == node && c.disk == disk);
        let mut given = Vec::new();
        for (id, command) in its {
            command.is_cut_off |= command.stage <= Stage::InDisk;
            if (Stage::Submitted..=Stage::InDisk).contains(&command.stage) {
                given.push(*id);
            }
        }
        for id in given {
            let Some(command) = self.commands.remove(&id) else { continue };
            self.next_id += 1;
            self.commands.insert(self.next_id, command.clone());
            if command.stage == Stage::InDisk && self.one_in(2) {
                self.carry_out(&command);
            }
            self.is_answered(self.next_id, Answer::Error);
        }
    }
}

impl Node {
    /// Returns the first name of the disk that has this name here.
    pub(super) fn first_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.get(name).map_or(name, String::as_str)
    }

    /// Returns whether a device of this name is here, and has not left.
    pub(super) fn has_device(&self, name: &str) -> bool {
        self.tree.exists(&paths::block(name, "inflight"))
    }

    /// Returns whether a disk is open for export here.
    pub(super) fn exports(&self, disk: &str) -> bool {
        configfs::is_open(&self.tree, |name| self.first_name(name) == disk)
    }

    /// Returns whether a disk is a LUN of some port here, and has not left.
    pub(super) fn has_lun(&self, disk: &str) -> bool {
        let its = |name: &str| self.first_name(name) == disk && self.has_device(name);
        configfs::is_lun(&self.tree, its)
    }

    /// Returns whether a name is a device's, or that of one that has left and is still open.
    fn is_taken(&self, name: &str) -> bool {
        let its = |other: &str| other == name;
        self.has_device(name) || configfs::is_open(&self.tree, its) || self.keeps(its)
    }

    /// Returns whether a keeper has a device open whose name is like this.
    fn keeps(&self, its: impl Fn(&str) -> bool) -> bool {
        let mounts = self.tree.read(Path::new(paths::MOUNTS)).unwrap_or_default();
        let device = |line: &str| line.strip_prefix("/dev/")?.split(' ').next().map(&its);
        mounts.lines().any(|line| device(line) == Some(true))
    }
}

/// Puts a disk into a node's tree, under a name.
pub(super) fn appears(tree: &mut Tree, disk: &str, name: &str) {
    let (attribute, wwid, _) = names(disk);
    tree.file(format!("/dev/{name}"), "");
    let block = Path::new(paths::BLOCK).join(name);
    tree.file(block.join("inflight"), "");
    tree.file(block.join(attribute), format!("{wwid}\n"));
}

/// Puts udev's link to a disk into a node's tree.
pub(super) fn is_named(tree: &mut Tree, disk: &str, name: &str) {
    let (_, _, link) = names(disk);
    tree.link(link, format!("/dev/{name}"));
}

/// Returns the attribute that has a disk's WWID, the WWID, and udev's link.
fn names(disk: &str) -> (&'static str, String, String) {
    let links = "/dev/disk/by-id";
    match is_nvme(disk) {
        true => {
            let wwid = format!("eui.0025385b{disk}");
            let link = format!("{links}/nvme-{wwid}");
            ("wwid", wwid, link)
        }
        false => {
            let (wwid, link) =
                (format!("naa.6001405{disk}"), format!("{links}/wwn-{disk}"));
            ("device/wwid", wwid, link)
        }
    }
}
