//! Paths of multipath devices that leave a node and come back, under another name if theirs is
//! taken by then. The node of a path goes at once; multipathd takes it out of its map a moment
//! later, and puts it in again when it is back.

use std::path::Path;

use super::disks::Nexus;
use super::san::{Node, San};
use super::tree::Tree;
use understudy_core::kernel::paths;

impl San {
    /// Takes a path of a disk away from a node. Returns its name there; `None` where it has
    /// left.
    pub fn path_leaves(
        &mut self,
        node: usize,
        disk: &str,
        path: usize,
    ) -> Option<String> {
        let first = format!("{disk}-{path}");
        let there = self.nodes.get_mut(node)?;
        let name = there.path_name(disk, &first)?;
        there.tree.remove(&Path::new(paths::BLOCK).join(&name));
        there.tree.remove(Path::new(&format!("/dev/{name}")));
        there.link_to_a_path(disk);
        self.disks.set_dead(disk, Nexus { node, path }, true);
        self.changes += 1;
        Some(name)
    }

    /// Has a node's multipathd take a path out of its map that has left.
    pub fn path_is_forgotten(&mut self, node: usize, disk: &str, name: &str) {
        let Some(there) = self.nodes.get_mut(node) else { return };
        if !there.tree.exists(&paths::block(name, "inflight")) {
            there.tree.remove(&paths::block(disk, &format!("slaves/{name}")));
        }
    }

    /// Has a path work again that was dead or had left. One that had left comes under the first
    /// name that is free. Returns its name, if it is another one.
    pub fn path_returns(
        &mut self,
        node: usize,
        disk: &str,
        path: usize,
    ) -> Option<String> {
        self.disks.set_dead(disk, Nexus { node, path }, false);
        let first = format!("{disk}-{path}");
        let there = self.nodes.get_mut(node).filter(|node| node.alive)?;
        if there.path_name(disk, &first).is_some() {
            return None;
        }
        let known = self.disks.names().flat_map(|disk| self.disks.paths(disk));
        let mut all = known.chain((0..).map(|number| format!("sdz{number}")));
        let is_free = |name: &String| {
            let is_there = there.tree.exists(&paths::block(name, "inflight"));
            !is_there && !there.is_slave(name)
        };
        let name = all.find(is_free)?;
        drop(all);
        is_path(&mut there.tree, disk, &name);
        there.names.insert(name.clone(), first);
        there.link_to_a_path(disk);
        self.changes += 1;
        Some(name)
    }
}

impl Node {
    /// Returns the name that a path of a disk has here.
    fn path_name(&self, disk: &str, first: &str) -> Option<String> {
        let mut all = self.tree.list(&paths::block(disk, "slaves")).into_iter();
        let is_it =
            |name: &String| self.first_name(name) == first && self.has_device(name);
        all.find(is_it)
    }

    /// Returns whether a map still has a path of this name.
    fn is_slave(&self, name: &str) -> bool {
        let disk = self.first_name(name).rsplit_once('-').map(|(disk, _)| disk);
        disk.is_some_and(|disk| {
            self.tree.exists(&paths::block(disk, &format!("slaves/{name}")))
        })
    }

    /// Has udev's link to a disk lead to a path that is here.
    fn link_to_a_path(&mut self, disk: &str) {
        let all = self.tree.list(&paths::block(disk, "slaves"));
        if let Some(name) = all.into_iter().find(|name| self.has_device(name)) {
            self.tree.link(format!("/dev/disk/by-id/wwn-{disk}"), format!("/dev/{name}"));
        }
    }
}

/// Puts a path of a disk into a node's tree.
pub(super) fn is_path(tree: &mut Tree, disk: &str, name: &str) {
    tree.link(paths::block(name, &format!("holders/{disk}")), "/sys/devices");
    tree.link(paths::block(disk, &format!("slaves/{name}")), "/sys/devices");
    tree.file(format!("/dev/{name}"), "");
    tree.file(paths::block(name, "inflight"), "");
    tree.file(paths::block(name, "device/wwid"), format!("naa.6001405{disk}\n"));
    tree.file(paths::block(name, "device/state"), "running\n");
}
