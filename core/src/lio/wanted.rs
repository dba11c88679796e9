//! A group that is to be served on this node, with what exists of it now.

use std::path::PathBuf;

use crate::config::group::{Group, PortSpec};
use crate::fc::{PhysicalPort, VirtualPort};

use super::driver::{Driver, Names};
use super::observe::{Export, Tree, tpg};
use super::situation::Situation;

/// Everything that a driver needs to know to plan how a group is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The group.
    pub group: &'a Group,
    /// The driver that serves the group.
    pub driver: &'a dyn Driver,
    /// What LIO exports of the group now.
    pub export: &'a Export,
    /// The group's ports that exist on this node now.
    pub vports: &'a [VirtualPort],
    /// The ports that have to appear, each with the physical port that is to carry it.
    pub absent: &'a [(PortSpec, PhysicalPort)],
}

impl<'a> Wanted<'a> {
    /// Returns the virtual port of a configured port, if it exists now.
    pub(crate) fn vport(&self, port: &PortSpec) -> Option<&'a VirtualPort> {
        self.vports.iter().find(|vport| vport.wwpn == port.wwpn)
    }

    /// Returns the target of a configured port, if it exists now.
    pub(crate) fn tree(&self, port: &PortSpec) -> Option<&'a Tree> {
        self.export.tree(port.wwpn)
    }

    /// Returns the current situation of a port.
    pub(crate) fn situation(&self, port: &PortSpec) -> Situation {
        Situation::of(self.vport(port), self.tree(port))
    }

    /// Returns the directory of a port's target, which exists or is to be made.
    pub(crate) fn port_dir(&self, port: &PortSpec) -> PathBuf {
        let new = || {
            let carrier = self.absent.iter().find(|(absent, _)| absent == port);
            let physical = carrier.map(|(_, physical)| physical.wwpn);
            let names = Names { wwpn: port.wwpn, wwnn: self.group.wwnn, physical };
            self.driver.port_dir(&names)
        };
        self.tree(port).map_or_else(new, |tree| tree.path.clone())
    }

    /// Returns the directory of a port's portal group.
    pub(crate) fn tpg(&self, port: &PortSpec) -> PathBuf {
        tpg(&self.port_dir(port))
    }
}
