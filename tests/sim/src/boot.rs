//! Booting a node: what the kernel and udev show of it before anything is served.

use std::path::Path;

use super::san::{Hba, Node, San};
use super::tree::Tree;
use super::{leaving, path_leaves, qla2xxx};
use understudy_core::kernel::paths;

impl San {
    /// Boots a node, with a physical port that is online and every disk.
    pub fn boot(&mut self, node: usize) {
        let mut tree = Tree::default();
        for name in self.disks.names() {
            leaving::appears(&mut tree, name, name);
            leaving::is_named(&mut tree, name, name);
            let paths = self.disks.paths(name);
            if !paths.is_empty() {
                is_multipath(&mut tree, name, &paths);
            }
        }
        for (attribute, text) in [
            ("port_name", format!("0x200052540000000{node}\n")),
            ("node_name", format!("0x100052540000000{node}\n")),
            ("port_state", "Online\n".into()),
            ("port_id", "0x010200\n".into()),
            ("fabric_name", "0x1000000000000001\n".into()),
            ("port_type", "NPort (fabric via point-to-point)\n".into()),
            ("max_npiv_vports", "255\n".into()),
            ("npiv_vports_inuse", "0\n".into()),
            ("vport_create", String::new()),
            ("vport_delete", String::new()),
            ("statistics/rx_frames", "0x0\n".into()),
            ("statistics/tx_frames", "0x0\n".into()),
        ] {
            tree.file(paths::fc_host("host2", attribute), text);
        }
        let (device, name, symbolic_name) = match self.hba {
            // Software FCoE, where a stop also bars commands.
            Hba::Libfc => {
                let device = "/sys/devices/virtual/net/eth1/ctlr_0/host2";
                (device, "fcoe\n", "fcoe v0.1 over eth1\n")
            }
            Hba::Qla2xxx => {
                // It sets no `proc_name` (`shost_rd_attr2`).
                let device = "/sys/devices/pci0000:00/0000:00:03.0/host2";
                (device, "(null)\n", "QLE2562 FW:v8.08.05 DVR:v10.02.09.200-k\n")
            }
        };
        tree.dir(Path::new(device));
        tree.link(paths::fc_host("host2", "device"), device);
        tree.file(paths::driver_name("host2"), name);
        tree.file(paths::fc_host("host2", "symbolic_name"), symbolic_name);
        tree.dir(&paths::lio_core());
        tree.file(paths::MOUNTS, "");
        tree.file(paths::lio_dbroot(), "/var/target\n");
        tree.dir(Path::new("/var"));
        match self.hba {
            Hba::Libfc => {
                tree.dir(&paths::module("tcm_fc"));
                tree.file(paths::fcoe_controller("ctlr_0", "enabled"), "1\n");
            }
            Hba::Qla2xxx => qla2xxx::boot(&mut tree),
        }
        tree.file(paths::RCU_EXPEDITED, "0\n");
        self.abort_commands_of(node);
        self.disks.boots(node);
        if let Some(there) = self.nodes.get_mut(node) {
            let boots = there.boots + 1;
            let lasting = std::mem::take(&mut there.lasting);
            lasting.iter().for_each(|(at, to)| tree.link(at, to.clone()));
            *there = Node { tree, hba: self.hba, alive: true, boots, ..Node::default() };
        }
        if self.hba == Hba::Qla2xxx {
            self.enable_physical(node);
        }
        self.changes += 1;
    }
}

/// Puts the paths of a disk below it into a node's tree.
fn is_multipath(tree: &mut Tree, disk: &str, names: &[String]) {
    tree.remove(&paths::block(disk, "device/wwid"));
    tree.file(paths::block(disk, "dm/uuid"), format!("mpath-36001405{disk}\n"));
    // As where udev has made the link before multipathd made the map.
    if let Some(first) = names.first() {
        tree.link(format!("/dev/disk/by-id/wwn-{disk}"), format!("/dev/{first}"));
    }
    for name in names {
        path_leaves::is_path(tree, disk, name);
    }
}
