//! The lab's takeover groups: which there are, how they are configured in the cluster, and
//! where their disks are at the initiator.

mod cluster;
mod known;
mod luns;

use std::fmt::Write as _;

use understudy_fabric::wwn::Wwn;

use crate::error::Result;
use crate::plan::{HOST, Side, guests};
use crate::shelf::{self, Disk};
use crate::{fabric, nvme};

pub use cluster::{WATCH, configure, configure_as, forget, modify, ports_online};
pub use known::{
    groups, on_any, on_nvme, on_qlogic, on_qlogic_too, on_qlogic_with_state, own, pair,
    third,
};
pub use luns::{Lun, SCAN, luns, luns_of, luns_through};

/// A takeover group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The Pacemaker resource.
    pub name: &'static str,
    /// The node that it belongs to.
    pub home: &'static str,
    /// The node that takes the group over.
    pub partner: &'static str,
    letter: char,
    sides: &'static [Side],
    carrier: Carrier,
    storage: Storage,
}

/// What carries a group's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// Any physical port, as a virtual port of its own names.
    Any,
    /// The home's physical port, whose names the group has.
    Home,
    /// A QLogic HBA, as a virtual port of its own names.
    Hba,
}

/// Where a group's disks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// On the iSCSI shelf: the disks that are named after the group's letter.
    Own,
    /// On the iSCSI shelf: `count` of the disks that come and go, from `first` on.
    Spares { first: usize, count: usize },
    /// On the NVMe shelf.
    Nvme,
}

impl Group {
    /// Returns the node name.
    #[must_use]
    pub fn wwnn(&self) -> String {
        if self.carrier == Carrier::Home {
            // fcoe makes both names from the hardware address.
            return self.wwpn_in(Side::B).replacen("20", "10", 1);
        }
        format!("20:00:75:64:00:00:00:0{}", self.letter)
    }

    /// Returns the group's port name: the virtual one, or the first of several.
    #[must_use]
    pub fn wwpn(&self) -> String {
        self.wwpn_in(self.side())
    }

    /// Returns the fabric of the group's first port.
    #[must_use]
    pub fn side(&self) -> Side {
        self.sides.first().copied().unwrap_or(Side::A)
    }

    /// Returns the name of the group's port in a fabric.
    #[must_use]
    pub fn wwpn_in(&self, side: Side) -> String {
        if self.carrier == Carrier::Home {
            let home = guests().into_iter().find(|guest| guest.name == self.home);
            return with_colons(&home.map(|home| home.wwpn(side)).unwrap_or_default());
        }
        let number = match side {
            Side::A => 1,
            Side::B => 2,
        };
        format!("20:0{number}:75:64:00:00:00:0{}", self.letter)
    }

    /// Returns the name of the group's port, or of its first, as the fabric's type.
    ///
    /// # Errors
    /// Never in practice.
    pub fn port(&self) -> Result<Wwn> {
        self.port_in(self.side())
    }

    /// Returns the name of the group's port in a fabric, as the fabric's type.
    ///
    /// # Errors
    /// Never in practice.
    pub fn port_in(&self, side: Side) -> Result<Wwn> {
        fabric::wwn(&self.wwpn_in(side))
    }

    /// Returns all the group's ports, each with its fabric.
    ///
    /// # Errors
    /// Never in practice.
    pub fn ports(&self) -> Result<Vec<(Side, Wwn)>> {
        let port = |side: &Side| Ok((*side, self.port_in(*side)?));
        self.sides.iter().map(port).collect()
    }

    /// Returns the group's disks on the iSCSI shelf.
    #[must_use]
    pub fn disks(&self) -> Vec<Disk> {
        match self.storage {
            Storage::Own => shelf::group(self.letter),
            Storage::Spares { first, count } => {
                shelf::spares().into_iter().skip(first).take(count).collect()
            }
            Storage::Nvme => Vec::new(),
        }
    }

    /// Returns the words of the parameter `ports`.
    fn port_specs(&self) -> Vec<String> {
        let spec = |side: &Side| format!("{}@{}", self.wwpn_in(*side), side.wwn());
        self.sides.iter().map(spec).collect()
    }

    /// Returns the initiator's port names, one for each of the group's fabrics.
    fn initiators(&self) -> Vec<String> {
        let host = guests().into_iter().find(|guest| guest.name == HOST);
        let port = |side: &Side| host.as_ref().map(|host| host.wwpn(*side));
        self.sides.iter().filter_map(port).collect()
    }

    /// Returns the disk on which the reservations of the group's initiators are saved.
    #[must_use]
    pub fn state_disk(&self) -> Option<Disk> {
        let name = format!("state-{}", self.letter);
        shelf::disks().into_iter().find(|disk| disk.name == name)
    }

    fn state(&self) -> String {
        if self.storage == Storage::Nvme {
            return nvme::wwids().last().cloned().unwrap_or_default();
        }
        self.state_disk().map(|disk| disk.named()).unwrap_or_default()
    }

    /// Returns the words of the parameter `disks`.
    #[must_use]
    pub fn disk_specs(&self) -> Vec<String> {
        let state = self.state();
        let wwids = nvme::wwids().into_iter().filter(|wwid| *wwid != state);
        match self.storage {
            Storage::Nvme => {
                (0..).zip(wwids).map(|(lun, wwid)| format!("{lun}={wwid}")).collect()
            }
            _ => specs(self.disks()),
        }
    }

    /// Returns the resource's parameters.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("wwnn", self.wwnn()),
            ("ports", self.port_specs().join(" ")),
            ("disks", self.disk_specs().join(" ")),
            ("initiators", self.initiators().join(" ")),
            ("state", self.state()),
            ("home", self.home.to_owned()),
            ("link_loss", "degraded".to_owned()),
            ("driver", self.driver().to_owned()),
        ]
    }

    /// Returns the parameter `driver`.
    fn driver(&self) -> &'static str {
        if self.carrier == Carrier::Hba { "qla2xxx" } else { "auto" }
    }

    /// Returns one of the resource's parameters, by its name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters()
            .into_iter()
            .find(|(its, _)| *its == name)
            .map(|(_, value)| value)
    }

    /// Returns the agent's environment for this resource, as assignments for a shell.
    /// `changes` replace parameters. If `changes` has a parameter twice, the first one
    /// counts.
    #[must_use]
    pub fn environment(&self, instance: &str, changes: &[(&str, &str)]) -> String {
        let mut text = format!("OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE={instance}");
        for (name, value) in self.parameters() {
            let changed = changes.iter().find(|(changed, _)| *changed == name);
            let value = changed.map_or(value.as_str(), |(_, value)| value);
            let _ = write!(text, " OCF_RESKEY_{name}='{value}'");
        }
        text
    }

    /// Returns the group's table for the file that `understudy configure` reads.
    fn table(&self) -> String {
        format!(
            "[[group]]\nname = {:?}\nhome = {:?}\nwwnn = {:?}\nports = {:?}\n\
             disks = {:?}\ninitiators = {:?}\nstate = {:?}\ndriver = {:?}\n",
            self.name,
            self.home,
            self.wwnn(),
            self.port_specs(),
            self.disk_specs(),
            self.initiators(),
            self.state(),
            self.driver()
        )
    }
}

/// Returns a name in the form 20:00:..., from the form 0x2000...
fn with_colons(wwn: &str) -> String {
    let digits: Vec<char> = wwn.trim_start_matches("0x").chars().collect();
    let bytes = digits.chunks(2).map(|byte| byte.iter().collect::<String>());
    bytes.collect::<Vec<_>>().join(":")
}

/// Returns words for the parameter `disks`. The LUN numbers are the disks' places.
pub fn specs(disks: impl IntoIterator<Item = Disk>) -> Vec<String> {
    let disks = disks.into_iter().zip(0..);
    disks.map(|(disk, lun)| format!("{lun}={}", disk.named())).collect()
}
