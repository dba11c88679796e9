//! The light at the physical port of a QLogic HBA, and what qla2xxx makes of it for its
//! virtual ports (`qla2x00_async_event` in qla_isr.c, which is called for each of them by
//! `qla2x00_alert_all_vps` in qla_mid.c).

use super::san::{Event, Hba, Node, San};
use super::transport::PHYSICAL;
use understudy_core::kernel::paths;

impl Node {
    /// Returns whether the physical port has no light.
    pub(super) fn is_dark(&self) -> bool {
        self.tree.read(&paths::fc_host(PHYSICAL, "port_state")) == Ok("Linkdown\n")
    }

    fn set_light(&mut self, state: &str) {
        self.tree.file(paths::fc_host(PHYSICAL, "port_state"), format!("{state}\n"));
    }
}

impl San {
    /// Takes the light from a physical port. Each virtual port has failed then, even one
    /// that was told to stay out.
    pub fn light_goes(&mut self, node: usize) {
        let ports = self.drop_sessions(node);
        let Some(there) = self.nodes.get_mut(node) else { return };
        there.set_light("Linkdown");
        for port in ports {
            there.show(port, "VPort Failed", "Linkdown");
        }
    }

    /// Gives the light back. The firmware logs in each port that it knows as enabled
    /// (`qla24xx_report_id_acquisition`). One that was let in without light has failed now;
    /// no other port changes its state.
    pub fn light_comes(&mut self, node: usize) {
        let Some(there) = self.nodes.get_mut(node) else { return };
        there.set_light("Online");
        for host in there.ports.iter().map(|port| &port.host) {
            there.tree.file(paths::fc_host(host, "port_state"), "Online\n");
        }
        let state = |vport| there.tree.read(&paths::fc_vport(vport, "vport_state"));
        let ports = there.ports.iter();
        let dark = ports.filter(|port| state(&port.vport) == Ok("Linkdown\n"));
        let dark: Vec<_> = dark.map(|port| port.id).collect();
        let ports = there.ports.iter().filter(|port| !port.disabled);
        let ports: Vec<_> = ports.map(|port| port.id).collect();
        dark.into_iter().for_each(|port| there.show(port, "VPort Failed", "Online"));
        for port in ports {
            let time = self.takes(20, 150);
            self.after(time, Event::LoggedIn { node, port });
        }
    }

    /// Returns whether a login of qla2xxx comes to nothing: there is no light, or the
    /// fabric refuses the name. The port's state does not show it.
    pub(super) fn is_lost_on_qla2xxx(&self, node: usize, port: usize) -> bool {
        let there = self.nodes.get(node).filter(|there| there.hba == Hba::Qla2xxx);
        let port = there.and_then(|there| there.ports.iter().find(|p| p.id == port));
        let denied = |wwpn| self.denied.get(&wwpn).is_some_and(|until| self.now < *until);
        let twice = |wwpn| self.refuses && !self.logged_in_at(wwpn).is_empty();
        let refused = |wwpn| denied(wwpn) || twice(wwpn);
        there.is_some_and(Node::is_dark) || port.is_some_and(|port| refused(port.wwpn))
    }
}
