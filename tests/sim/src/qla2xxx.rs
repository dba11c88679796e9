//! What differs where an HBA of qla2xxx carries the ports, from the kernel's source
//! (drivers/scsi/qla2xxx/tcm_qla2xxx.c, qla_target.c, qla_mid.c, qla_attr.c). It stops the
//! test where the kernel would follow a pointer that leads nowhere.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::configfs::{self, Item};
use super::san::{Hba, Node, San};
use super::transport::{PHYSICAL, Port};
use super::tree::Tree;
use understudy_core::kernel::{Cause, paths};
use understudy_core::kernel::{Done, Op};
use understudy_core::wwn::{Wwn, from_sysfs};

const FABRIC: &str = "qla2xxx";
/// The driver's parameter, and the attribute of a port, that says what the port may be.
const MODE: &str = "qlini_mode";
const DUAL: &str = "dual\n";
/// The physical port, among the ids of ports.
const BASE: usize = 0;
/// FC_VPORT_FAILED, which is no negative number and so passes for a count of bytes
/// (`qla24xx_vport_create`, `store_fc_host_vport_create`).
const FAILED: usize = 9;

/// Where a worker's function is seen that waits for a lost command.
const WAITS: &str = "/proc/2/wchan";

/// Adds what is there before anything is enabled.
pub fn boot(tree: &mut Tree) {
    tree.dir(&paths::module("tcm_qla2xxx"));
    tree.file(paths::module_parameter("qla2xxx", MODE), DUAL);
    tree.file(paths::KERNEL_RELEASE, "6.12.0-1-amd64\n");
    let driver = "/sys/bus/pci/drivers/qla2xxx";
    tree.link("/sys/devices/pci0000:00/0000:00:03.0/driver", driver);
    tree.link(format!("{driver}/module"), paths::module("qla2xxx"));
}

/// Returns whether a path is one of this fabric's.
pub fn is_target(path: &Path) -> bool {
    path.starts_with(paths::lio_fabric(FABRIC))
}

/// Adds a portal group's attributes, as they come (`tcm_qla2xxx_make_tpg`).
pub fn populate(tree: &mut Tree, tpg: &Path) {
    for (attribute, text) in [
        ("enable", "0\n"),
        ("attrib/generate_node_acls", "1\n"),
        ("attrib/cache_dynamic_acls", "1\n"),
        ("attrib/demo_mode_write_protect", "1\n"),
        ("attrib/demo_mode_login_only", "1\n"),
        ("attrib/prod_mode_write_protect", "0\n"),
    ] {
        tree.file(tpg.join(attribute), text);
    }
}

fn is_port(path: &Path) -> bool {
    is_target(path) && matches!(configfs::item(path), Some(Item::Port(_)))
}

/// How long nobody can log in to a port that logs in to an initiator itself, while the
/// initiator logs in (`qlt_free_session_done` under `qla24xx_do_nack_work`).
pub const CROSSED: Duration = Duration::from_secs(23);

impl Node {
    /// Adds the attribute that says in which mode a new port is. Only a driver in the mode
    /// `dual` has it (`qla_host_attr_is_visible`).
    pub(super) fn show_mode(&mut self, host: &str) {
        let mode = self.tree.read(&paths::module_parameter("qla2xxx", MODE));
        if mode == Ok(DUAL) {
            self.tree.file(paths::scsi_host(host, MODE), DUAL);
        }
    }

    /// Returns whether a port logs in to initiators as well, and so has them as remote
    /// ports (`qla2x00_update_fcport`).
    pub(super) fn knows_initiators(&self, host: &str) -> bool {
        let mode = self.tree.read(&paths::scsi_host(host, MODE));
        self.hba == Hba::Libfc || mode == Ok(DUAL)
    }
}

impl San {
    /// Enables the physical port's own target, as an administrator arranges for the boot.
    pub(super) fn enable_physical(&mut self, node: usize) {
        let Some(wwpn) = self.physical(node) else { return };
        let Some(there) = self.nodes.get_mut(node) else { return };
        let port = paths::lio_port(FABRIC, wwpn);
        let tpg = port.join("tpgt_1");
        for dir in [&paths::lio_fabric(FABRIC), &port, &tpg] {
            let _ = configfs::make_dir(&mut there.tree, dir);
        }
        there.tree.file(tpg.join("enable"), "1\n");
        there.tree.file(tpg.join("attrib/generate_node_acls"), "0\n");
        there.bound.insert(wwpn, BASE);
        there.serves = true;
    }

    fn physical(&self, node: usize) -> Option<Wwn> {
        let tree = &self.nodes.get(node)?.tree;
        from_sysfs(tree.read(&paths::fc_host(PHYSICAL, "port_name")).ok()?)
    }

    /// Carries out an operation that means something else here; `None` for any other.
    pub(super) fn perform_qla2xxx(
        &mut self,
        node: usize,
        op: &Op,
    ) -> Option<Result<Done, Cause>> {
        let errno = |errno: Errno| Cause::Errno(errno as i32);
        let there = self.nodes.get_mut(node)?;
        Some(match op {
            Op::Write { path, text } if path.ends_with("vport_disable") => {
                self.switch_vport(node, path, text).map_err(errno)
            }
            Op::Write { path, .. }
                if path.ends_with("vport_create") && self.quietly_fails =>
            {
                Err(Cause::Short(FAILED))
            }
            Op::WriteIfAny { path, text }
                if path.ends_with(MODE) && there.tree.exists(path) =>
            {
                self.set_mode(node, path, text);
                Ok(Done::Changed)
            }
            Op::Write { path, text } if is_target(path) => {
                self.write_target(node, path, text).map_err(errno)
            }
            Op::MakeDir(path) if is_port(path) && !there.tree.exists(path) => {
                self.bind(node, path).map_err(errno)
            }
            Op::RemoveDir(path) if is_port(path) && there.tree.exists(path) => {
                self.unbind(node, path).map_err(errno)
            }
            _ => return None,
        })
    }

    /// `qla_set_ini_mode`. On a port that serves it asks for a reset, which nothing ever
    /// carries out.
    #[expect(clippy::panic, reason = "the port would never be ready again")]
    fn set_mode(&mut self, node: usize, path: &Path, text: &str) {
        let Some(there) = self.nodes.get_mut(node) else { return };
        let host = path.parent().and_then(Path::file_name).unwrap_or_default();
        let port = there.ports.iter().find(|port| host == port.host.as_str());
        if let Some(Port { wwpn, .. }) = port.filter(|port| port.is_target) {
            panic!("{wwpn} serves, and its mode is set: it asks for a reset for good");
        }
        there.tree.file(path, format!("{text}\n"));
    }

    /// `qlt_lport_register`: a port that has the name now, and is no target yet.
    fn bind(&mut self, node: usize, path: &Path) -> Result<Done, Errno> {
        let wwpn = configfs::port_of(path).ok_or(Errno::EINVAL)?;
        let physical = self.physical(node);
        let there = self.nodes.get_mut(node).ok_or(Errno::EINVAL)?;
        let id = match there.port(wwpn) {
            Some(port) if port.is_target => return Err(Errno::EINVAL),
            Some(port) => port.id,
            None if physical == Some(wwpn) => BASE,
            None => return Err(Errno::EINVAL),
        };
        let done = configfs::make_dir(&mut there.tree, path)?;
        there.bound.insert(wwpn, id);
        there.serves = true;
        Ok(done)
    }

    /// `qlt_lport_deregister`.
    #[expect(clippy::panic, reason = "a real kernel would crash")]
    fn unbind(&mut self, node: usize, path: &Path) -> Result<Done, Errno> {
        let wwpn = configfs::port_of(path).ok_or(Errno::EINVAL)?;
        let there = self.nodes.get_mut(node).ok_or(Errno::EINVAL)?;
        let done = configfs::remove_dir(&mut there.tree, path)?;
        there.bound.remove(&wwpn);
        there.serves = false;
        if let Some(other) = there.ports.iter().find(|port| !port.sessions.is_empty()) {
            let other = other.wwpn;
            panic!("the target of {wwpn} goes while {other} serves: the kernel crashes");
        }
        Ok(done)
    }

    /// A command for a port of an HBA (`qlt_handle_cmd_for_atio`).
    #[expect(clippy::panic, reason = "a real kernel would crash")]
    pub(super) fn is_answerable(&self, node: usize) {
        let there = self.nodes.get(node);
        if there.is_some_and(|node| !node.bound.is_empty() && !node.serves) {
            panic!("a command, and no target functions: the kernel crashes");
        }
    }

    fn write_target(
        &mut self,
        node: usize,
        path: &Path,
        text: &str,
    ) -> Result<Done, Errno> {
        let there = self.nodes.get_mut(node).ok_or(Errno::ENOENT)?;
        let before = there.tree.read(path)?.trim_end() == text;
        if !path.ends_with("tpgt_1/enable") {
            there.tree.file(path, format!("{text}\n"));
            return Ok(Done::Changed);
        }
        // `target_fabric_tpg_base_enable_store`
        if before {
            return Ok(Done::Unchanged);
        }
        there.tree.file(path, format!("{text}\n"));
        let wwpn = configfs::port_of(path).ok_or(Errno::EINVAL)?;
        let id = there.bound.get(&wwpn).copied().ok_or(Errno::EINVAL)?;
        self.switch_target(node, wwpn, id, text == "1");
        Ok(Done::Changed)
    }

    /// `tcm_qla2xxx_enable_tpg`.
    #[expect(clippy::panic, reason = "a real kernel would crash, or a test goes astray")]
    fn switch_target(&mut self, node: usize, wwpn: Wwn, id: usize, on: bool) {
        let Some(there) = self.nodes.get_mut(node) else { return };
        if id == BASE {
            if let Some(port) = there.ports.iter().find(|port| port.active) {
                let port = port.wwpn;
                panic!(
                    "the physical port's target is switched: the chip resets under {port}"
                );
            }
            return self.reset_chip(node);
        }
        let Some(port) = there.port_mut(id) else {
            assert!(on, "{wwpn} has lost its port and is disabled: the kernel crashes");
            return;
        };
        // One that is disabled ends its sessions, and serves on (`qlt_disable_vha`).
        port.is_target |= on;
        self.log_in_anew(node, id);
    }

    /// `store_fc_vport_disable`, `qla24xx_vport_disable`: however that ends, it says that
    /// it was done.
    fn switch_vport(
        &mut self,
        node: usize,
        path: &Path,
        text: &str,
    ) -> Result<Done, Errno> {
        let fails = self.quietly_fails;
        let there = self.nodes.get_mut(node).ok_or(Errno::ENOENT)?;
        let state = path.with_file_name("vport_state");
        let disabled = there.tree.read(&state)? == "Disabled\n";
        let vport = path.parent().and_then(Path::file_name).unwrap_or_default();
        let port = there.ports.iter().find(|p| vport == p.vport.as_str());
        let id = port.ok_or(Errno::ENOENT)?.id;
        match text {
            "0" if !disabled => Err(Errno::EALREADY),
            "1" if disabled => Err(Errno::EALREADY),
            "0" | "1" if fails => {
                there.show(id, "VPort Failed", "Online");
                Ok(Done::Changed)
            }
            "0" => {
                self.log_in_anew(node, id);
                Ok(Done::Changed)
            }
            "1" => {
                self.log_port_out(node, id);
                if let Some(there) = self.nodes.get_mut(node) {
                    if let Some(port) = there.port_mut(id) {
                        port.disabled = true;
                    }
                    there.show(id, "Disabled", "Online");
                }
                Ok(Done::Changed)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// `qla24xx_disable_vp`: every session of a port ends.
    #[expect(clippy::panic, reason = "an initiator would see an error")]
    fn log_port_out(&mut self, node: usize, id: usize) {
        assert!(!self.hangs(node), "a logout, and the driver hangs: it never returns");
        let Some(there) = self.nodes.get_mut(node) else { return };
        let busy = self.now < there.busy_until;
        let Some(port) = there.port_mut(id) else { return };
        let before = port.clone();
        let Port { wwpn, .. } = before;
        (port.active, port.refused, port.crossed) = (false, Vec::new(), false);
        for initiator in std::mem::take(&mut port.sessions) {
            there.forget_remote(&before.host, initiator);
        }
        if let Some(what) =
            self.unfinished(node, &before).or(busy.then(|| "a command".into()))
        {
            panic!("{wwpn} logs out with {what} in flight");
        }
        self.forget_commands_at(node, id);
        self.left(node, &before, Duration::ZERO);
    }

    /// `qla24xx_disable_vp` and `qla24xx_enable_vp`.
    fn log_in_anew(&mut self, node: usize, id: usize) {
        self.log_port_out(node, id);
        self.logs_in(node, id);
    }

    /// Starts the HBA again, and logs every virtual port in again, even one that was told
    /// to stay out (`qla2x00_vp_abort_isp`).
    pub fn reset_chip(&mut self, node: usize) {
        for port in self.drop_sessions(node) {
            self.logs_in(node, port);
        }
    }

    /// Ends every session of an HBA, and returns its virtual ports. A command that LIO has
    /// at that moment is never freed (`qlt_xmit_response`), and the driver waits for it.
    pub(super) fn drop_sessions(&mut self, node: usize) -> Vec<usize> {
        let ports = self.nodes.get(node).map(|node| node.ports.clone());
        let ports = ports.unwrap_or_default();
        let loses = ports.iter().any(|port| self.unfinished(node, port).is_some());
        for port in &ports {
            self.forget_commands_at(node, port.id);
            self.log_port_out(node, port.id);
        }
        if let Some(there) = self.nodes.get_mut(node).filter(|_| loses) {
            there.tree.file("/proc/2/comm", "kworker/0:2+qla2xxx_wq\n");
            there.tree.file(WAITS, "target_wait_for_cmds");
        }
        ports.iter().map(|port| port.id).collect()
    }

    /// Returns whether a node's driver waits for a command that it has lost. No initiator
    /// can log in then, and no port can log out.
    pub(super) fn hangs(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.tree.exists(Path::new(WAITS)))
    }
}
