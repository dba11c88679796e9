//! Virtual ports: drivers/scsi/scsi_transport_fc.c above libfc, the fabric that they log
//! in to, and what other ports hear of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::configfs;
use super::qla2xxx::CROSSED;
use super::san::{Event, Hba, Node, San};
use understudy_core::kernel::Done;
use understudy_core::kernel::{Instant, paths};
use understudy_core::wwn::{Wwn, from_sysfs};

/// How often a port of software FCoE says that it is there, and after how long a silence the
/// fabric holds it for gone (FC-BB-5: two and a half of these periods).
const KEEP_ALIVE: Duration = Duration::from_secs(8);
const AGEING: Duration = Duration::from_secs(20);
/// The physical port of every node.
pub(super) const PHYSICAL: &str = "host2";

/// A virtual port of a node.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub id: usize,
    pub wwpn: Wwn,
    /// The kernel's names.
    pub vport: String,
    pub host: String,
    /// Logged in to the fabric.
    pub active: bool,
    /// Kept out of the fabric: told to stay out, or let in while there was no light.
    pub disabled: bool,
    /// Whether initiators are told that there is a target.
    pub is_target: bool,
    /// The initiators that have logged in to it, and those that were refused: they do
    /// not ask again as long as the port is there.
    pub sessions: Vec<Wwn>,
    /// Whether logins have crossed since the port logged in.
    pub crossed: bool,
    pub refused: Vec<Wwn>,
    /// Received and sent.
    pub frames: u64,
    /// Until when commands are dropped on their way to it.
    pub barred_until: Instant,
}

impl Node {
    pub fn port(&self, wwpn: Wwn) -> Option<&Port> {
        self.ports.iter().find(|port| port.wwpn == wwpn)
    }

    pub fn port_mut(&mut self, id: usize) -> Option<&mut Port> {
        self.ports.iter_mut().find(|port| port.id == id)
    }

    /// Shows a port's state where it is read.
    pub(super) fn show(&mut self, id: usize, state: &str, host_state: &str) {
        // Of its virtual ports it says how the physical port is
        // (`qla2x00_get_host_port_state`).
        let host_state = match self.hba {
            Hba::Libfc => host_state,
            Hba::Qla2xxx if self.is_dark() => "Linkdown",
            Hba::Qla2xxx => "Online",
        };
        let port = self.ports.iter().find(|port| port.id == id).cloned();
        if let Some(Port { vport, host, .. }) = port {
            if vport != PHYSICAL {
                let vport = paths::fc_vport(&vport, "vport_state");
                self.tree.file(vport, format!("{state}\n"));
            }
            let host = paths::fc_host(&host, "port_state");
            self.tree.file(host, format!("{host_state}\n"));
        }
    }

    fn show_in_use(&mut self) {
        let path = paths::fc_host(PHYSICAL, "npiv_vports_inuse");
        let vports = self.ports.iter().filter(|port| port.vport != PHYSICAL);
        self.tree.file(path, format!("{}\n", vports.count()));
    }

    /// Returns the entry of a remote port, as seen from a host: a new one where there is
    /// none.
    fn remote_port(&self, host: &str, wwpn: Wwn) -> PathBuf {
        let dir = Path::new(paths::FC_REMOTE_PORTS);
        let prefix = format!("rport-{}:0-", host.trim_start_matches("host"));
        let mut numbers = (0..).map(|n| dir.join(format!("{prefix}{n}")));
        let fits = |path: &PathBuf| match self.tree.read(&path.join("port_name")) {
            Ok(name) => from_sysfs(name) == Some(wwpn),
            Err(_) => true,
        };
        numbers.find(fits).unwrap_or_default()
    }

    pub(super) fn forget_remote(&mut self, host: &str, wwpn: Wwn) {
        let remote = self.remote_port(host, wwpn);
        self.tree.remove(&remote);
    }

    fn show_remote(&mut self, host: &str, wwpn: Wwn, state: &str) {
        let path = self.remote_port(host, wwpn);
        self.tree.file(path.join("port_name"), format!("{:#x}\n", wwpn.value()));
        self.tree.file(path.join("port_state"), format!("{state}\n"));
    }
}

/// Parses `<WWPN>:<WWNN>`, exactly 16 hex digits each (`fc_parse_wwn`).
fn parse(names: &str) -> Result<(Wwn, Wwn), Errno> {
    let (wwpn, wwnn) = names.split_once(':').ok_or(Errno::EINVAL)?;
    let read = |text: &str| match text.len() {
        16 => from_sysfs(&format!("0x{text}")).ok_or(Errno::EINVAL),
        _ => Err(Errno::EINVAL),
    };
    Ok((read(wwpn)?, read(wwnn.trim_end_matches('\n'))?))
}

impl San {
    pub(super) fn create_vport(
        &mut self,
        node: usize,
        names: &str,
    ) -> Result<Done, Errno> {
        let (wwpn, wwnn) = parse(names)?;
        self.next_id += 1;
        let id = self.next_id;
        let there = self.nodes.get_mut(node).ok_or(Errno::ENODEV)?;
        // `qla24xx_vport_create_req_sanity_check` looks at what the switch has said.
        if !self.npiv && there.hba == Hba::Qla2xxx {
            return Err(Errno::EOPNOTSUPP);
        }
        // Only this node's are looked through (`fcoe_vport_create`,
        // `qla24xx_vport_create_req_sanity_check`).
        if there.port(wwpn).is_some() {
            return Err(match there.hba {
                Hba::Libfc => Errno::EINVAL,
                Hba::Qla2xxx => Errno::ENOTUNIQ,
            });
        }
        let limit = there.tree.read(&paths::fc_host(PHYSICAL, "max_npiv_vports"));
        if limit.is_ok_and(|limit| limit.trim() == there.ports.len().to_string()) {
            return Err(Errno::ENOSPC);
        }
        let number = there.next_vport;
        there.next_vport += 1;
        let (vport, host) =
            (format!("vport-2:0-{number}"), format!("host{}", 3 + number));
        for (attribute, name) in [("port_name", wwpn), ("node_name", wwnn)] {
            let text = format!("{:#x}\n", name.value());
            there.tree.file(paths::fc_vport(&vport, attribute), text.clone());
            there.tree.file(paths::fc_host(&host, attribute), text);
        }
        there
            .tree
            .file(paths::fc_host(&host, "port_id"), format!("0x0102{number:02x}\n"));
        match there.hba {
            Hba::Libfc => there.tree.file(paths::driver_name(&host), "fcoe\n"),
            Hba::Qla2xxx => there.show_mode(&host),
        }
        for counter in ["statistics/rx_frames", "statistics/tx_frames"] {
            there.tree.file(paths::fc_host(&host, counter), "0x0\n");
        }
        let device = there.tree.resolve(&paths::fc_host(PHYSICAL, "device"));
        if let Ok(device) = device {
            let device = device.join(&vport).join(&host);
            there.tree.dir(&device);
            there.tree.link(paths::fc_host(&host, "device"), device);
        }
        there.tree.file(paths::fc_vport(&vport, "vport_disable"), "");
        self.comes(node, id, wwpn, vport, host);
        Ok(Done::Changed)
    }

    /// Adds a port to a node, which begins to log in.
    fn comes(&mut self, node: usize, id: usize, wwpn: Wwn, vport: String, host: String) {
        let Some(there) = self.nodes.get_mut(node) else { return };
        there.ports.push(Port {
            id,
            wwpn,
            vport,
            host,
            active: false,
            disabled: false,
            is_target: there.hba == Hba::Libfc,
            sessions: Vec::new(),
            crossed: false,
            refused: Vec::new(),
            frames: 0,
            barred_until: Instant::ZERO,
        });
        there.show_in_use();
        self.logs_in(node, id);
    }

    /// Begins a port's login (FDISC). Without light qla2xxx sends nothing, then or later
    /// (`qla24xx_enable_vp`).
    pub(super) fn logs_in(&mut self, node: usize, id: usize) {
        let Some(there) = self.nodes.get_mut(node) else { return };
        let sends = there.hba == Hba::Libfc || !there.is_dark();
        if let Some(port) = there.port_mut(id) {
            port.disabled = !sends;
        }
        if !sends {
            return there.show(id, "Linkdown", "Linkdown");
        }
        there.show(id, "Initializing", "Offline");
        let time = self.takes(20, 150);
        self.after(time, Event::LoggedIn { node, port: id });
    }

    /// Turns a physical port on or off (`store_ctlr_enabled`).
    #[expect(clippy::panic, reason = "a guest would go with it")]
    pub(super) fn turn(
        &mut self,
        node: usize,
        path: &Path,
        on: &str,
    ) -> Result<Done, Errno> {
        let there = self.nodes.get_mut(node).ok_or(Errno::ENODEV)?;
        if there.tree.read(path)?.trim() == on {
            return Ok(Done::Unchanged);
        }
        there.tree.file(path, format!("{on}\n"));
        let name = there.tree.read(&paths::fc_host(PHYSICAL, "port_name"))?;
        let wwpn = from_sysfs(name).ok_or(Errno::ENODEV)?;
        if on == "1" {
            self.next_id += 1;
            let (id, name) = (self.next_id, PHYSICAL.to_owned());
            self.comes(node, id, wwpn, name.clone(), name);
            return Ok(Done::Changed);
        }
        if there.ports.iter().any(|port| port.vport != PHYSICAL) {
            panic!("{wwpn} is turned off under virtual ports");
        }
        there.tree.file(paths::fc_host(PHYSICAL, "port_state"), "Linkdown\n");
        if let Some(at) = there.ports.iter().position(|port| port.vport == PHYSICAL) {
            let port = there.ports.remove(at);
            self.must_be_idle(node, &port);
            if port.active {
                // Nothing was said to the fabric.
                self.left(node, &port, AGEING);
            }
        }
        Ok(Done::Changed)
    }

    /// Logs a physical port out of the fabric without its knowing. The fabric says so at
    /// the next keep-alive, and the port comes again.
    pub(super) fn own_logs_out(&mut self, node: usize, wwpn: Wwn) -> Done {
        let there = self.nodes.get_mut(node);
        let port = there.and_then(|there| {
            let own = |port: &&mut Port| port.vport == PHYSICAL && port.active;
            let port = there.ports.iter_mut().filter(|p| p.wwpn == wwpn).find(own)?;
            port.active = false;
            port.sessions.clear();
            Some(port.clone())
        });
        let Some(port) = port else { return Done::Unchanged };
        self.logs_out(node, &port);
        self.after(KEEP_ALIVE, Event::LoggedIn { node, port: port.id });
        Done::Changed
    }

    /// Answers a virtual port's FDISC, as the fabric.
    pub(super) fn logged_in(&mut self, node: usize, port: usize) {
        let npiv = self.npiv;
        if self.is_lost_on_qla2xxx(node, port) {
            return;
        }
        let Some(there) = self.nodes.get_mut(node) else { return };
        let Some(found) = there.port_mut(port) else { return };
        if !npiv {
            there.show(port, "No Fabric Support", "Offline");
            return;
        }
        if found.active || found.disabled {
            return;
        }
        found.active = true;
        let wwpn = found.wwpn;
        there.show(port, "Active", "Online");
        self.changes += 1;
        self.announce(node, wwpn, Duration::ZERO);
        for initiator in 0..self.initiators.len() {
            let time = self.takes(5, 100);
            self.after(time, Event::Meets { node, port, initiator });
        }
    }

    /// Tells every other node that a port has come or gone.
    fn announce(&mut self, node: usize, wwpn: Wwn, after: Duration) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let boots = self.nodes.get(other).map_or(0, |other| other.boots);
            let time = after + self.takes(5, 2000);
            self.after(time, Event::News { node: other, boots, wwpn });
        }
    }

    /// News makes a node ask the fabric, so what it learns is how things are now.
    pub(super) fn news(&mut self, node: usize, boots: u64, wwpn: Wwn) {
        if self.zoned {
            return;
        }
        let elsewhere = self.logged_in_at(wwpn).into_iter().any(|other| other != node);
        let state = if elsewhere { "Online" } else { "Blocked" };
        let there = self.nodes.get_mut(node);
        if let Some(there) = there.filter(|there| there.alive && there.boots == boots) {
            there.show_remote(PHYSICAL, wwpn, state);
        }
    }

    /// Logs an initiator in to a port (PLOGI, PRLI), which asks for its LUNs.
    #[expect(clippy::panic, reason = "an initiator would be left without its disks")]
    pub(super) fn meets(&mut self, node: usize, port: usize, initiator: usize) {
        if self.hangs(node) {
            return;
        }
        let again = Event::Meets { node, port, initiator };
        let Some(&initiator) = self.initiators.get(initiator) else { return };
        let Some(there) = self.nodes.get_mut(node) else { return };
        let Some(found) = there.port_mut(port) else { return };
        let (wwpn, host) = (found.wwpn, found.host.clone());
        if !found.active || !found.is_target || found.sessions.contains(&initiator) {
            return;
        }
        let knows = there.knows_initiators(&host);
        let both = knows && there.hba == Hba::Qla2xxx;
        if let Some(found) = there.port_mut(port).filter(|port| both && !port.crossed) {
            found.crossed = true;
            return self.after(CROSSED, again);
        }
        let tpg = configfs::lio_port(&there.tree, wwpn).join("tpgt_1");
        if there.tree.read(&tpg.join("attrib/generate_node_acls")) == Ok("1\n") {
            panic!("{wwpn} lets anybody log in");
        }
        let acl = tpg.join("acls").join(initiator.to_string());
        if !there.tree.exists(&acl) {
            // `ft_prli_locked`: the initiator drops the port's target role and does not
            // ask again.
            if let Some(found) = there.port_mut(port) {
                found.refused.push(initiator);
            }
            return;
        }
        if !there.tree.has_dirs(&acl) {
            panic!("{initiator} logged in to {wwpn} and found no LUN");
        }
        if let Some(found) = there.port_mut(port) {
            found.sessions.push(initiator);
        }
        if knows {
            there.show_remote(&host, initiator, "Online");
        }
        self.connect(port, wwpn, initiator);
    }

    /// Returns whether a new ACL would come too late for an initiator: the port has
    /// refused its login.
    pub(super) fn too_late_for(&self, node: usize, port: Wwn, initiator: Wwn) -> bool {
        let port = self.nodes.get(node).and_then(|node| node.port(port));
        port.is_some_and(|port| port.refused.contains(&initiator))
    }

    pub(super) fn delete_vport(
        &mut self,
        node: usize,
        names: &str,
    ) -> Result<Done, Errno> {
        let (wwpn, _) = parse(names)?;
        let there = self.nodes.get_mut(node).ok_or(Errno::ENODEV)?;
        let at = there.ports.iter().position(|port| port.wwpn == wwpn);
        let port = there.ports.remove(at.ok_or(Errno::ENODEV)?);
        there.tree.remove(&Path::new(paths::FC_VPORTS).join(&port.vport));
        there.tree.remove(&Path::new(paths::FC_HOSTS).join(&port.host));
        there.tree.remove(&paths::scsi_host(&port.host, ""));
        for initiator in &port.sessions {
            there.forget_remote(&port.host, *initiator);
        }
        there.show_in_use();
        self.logs_out(node, &port);
        Ok(Done::Changed)
    }

    fn logs_out(&mut self, node: usize, port: &Port) {
        self.must_be_idle(node, port);
        self.left(node, port, Duration::ZERO);
    }

    #[expect(clippy::panic, reason = "a real kernel would hang")]
    fn must_be_idle(&self, node: usize, port: &Port) {
        let busy = self.nodes.get(node).is_some_and(|there| self.now < there.busy_until);
        let wwpn = port.wwpn;
        if let Some(what) =
            self.unfinished(node, port).or(busy.then(|| "a command".into()))
        {
            panic!("{wwpn} logs out with {what} in flight: the kernel hangs for good");
        }
    }

    /// Takes note that a port is off the fabric, which notices it after this time.
    pub(super) fn left(&mut self, node: usize, port: &Port, after: Duration) {
        self.changes += 1;
        self.disconnected(port.id, port.wwpn);
        self.announce(node, port.wwpn, after);
    }
}
