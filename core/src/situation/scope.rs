//! What may belong to a group on this node, from every source: the configuration, as far
//! as it can be read, and the virtual port database. A stop or a monitor looks for all of
//! it, so that a changed or broken configuration hides no port.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::group::{Group, GroupError, Ownership};
use crate::disks::disk;
use crate::fc::{self, VirtualPort};
use crate::kernel::{Kernel, KernelError, paths};
use crate::lio::numbers::Numbers;
use crate::lio::{self, Export, Tree};
use crate::run_files::registry::{self, Entry};
use crate::saved_reservations;
use crate::situation::claims::Claims;
use crate::situation::found::Found;
use crate::wwn::Wwn;

/// The names and disks that may belong to a group on this node.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The name of the group's Pacemaker resource.
    pub name: String,
    /// The configuration, or everything that is wrong with it.
    pub group: Result<Group, GroupError>,
    /// The group's entries in the virtual port database.
    pub entries: Vec<Entry>,
    /// What other groups on this node have. Nothing of it belongs to this group.
    pub claims: Claims,
    /// The cluster resource that provides the group's disks, if it does not run on this
    /// node. A check then does not miss the disks. `None` unless the caller sets it.
    pub maker: Option<String>,
    /// What initiators know of the group's LUNs. A start refuses disks that are smaller.
    /// `None` unless the caller sets it.
    pub known: Option<Numbers>,
    /// The node names that may belong to the group.
    pub wwnns: Vec<Wwn>,
    /// The port names that may belong to the group.
    pub wwpns: Vec<Wwn>,
}

impl Scope {
    /// Returns what may belong to a group on this node, by its configuration and by the
    /// database.
    pub fn of(kernel: &dyn Kernel, group: &Group) -> Self {
        let wwpns = group.ports.iter().map(|port| port.wwpn);
        Self::new(kernel, &group.name, Ok(group.clone()), Some(group.wwnn), wwpns)
    }

    /// Returns what may belong to a group, as far as its configuration can be read.
    /// `param` returns its parameters, as for [`Group::parse`].
    pub fn gather(
        kernel: &dyn Kernel,
        name: &str,
        param: impl Fn(&str) -> Option<String>,
    ) -> Self {
        // Each word is parsed by itself, so that a broken one does not hide the others.
        let wwnn = param("wwnn").and_then(|text| text.parse::<Wwn>().ok());
        let ports = param("ports").unwrap_or_default();
        let names = ports.split_whitespace().filter_map(|word| word.split('@').next());
        let wwpns = names.filter_map(|name| name.parse::<Wwn>().ok());
        Self::new(kernel, name, Group::parse(name, &param), wwnn, wwpns)
    }

    fn new(
        kernel: &dyn Kernel,
        name: &str,
        group: Result<Group, GroupError>,
        wwnn: Option<Wwn>,
        ports: impl Iterator<Item = Wwn>,
    ) -> Self {
        let all = registry::entries(kernel).into_iter();
        let (entries, others): (Vec<_>, _) = all.partition(|entry| entry.group == name);
        let claims = Claims::of(others);
        let mut wwnns: BTreeSet<Wwn> = entries.iter().map(|e| e.wwnn).collect();
        let mut wwpns: BTreeSet<Wwn> = entries.iter().map(|e| e.wwpn).collect();
        wwnns.extend(wwnn.filter(|wwnn| claims.on_node_name(*wwnn).is_none()));
        wwpns.extend(ports.filter(|wwpn| claims.on_port(*wwpn).is_none()));
        Self {
            name: name.to_owned(),
            group,
            entries,
            claims,
            maker: None,
            known: None,
            wwnns: wwnns.into_iter().collect(),
            wwpns: wwpns.into_iter().collect(),
        }
    }

    /// Returns whether somebody else, such as targetcli's service, has made what was
    /// found. Then there are only targets, without a port, so nobody is served. And this
    /// group's start has recorded nothing, which it does before it makes anything.
    pub(crate) fn is_of_others(&self, found: &Found) -> bool {
        let kept = found.keepers.iter().any(|keeper| keeper.device.is_some());
        let targets_alone = found.vports.is_empty() && found.export.hbas.is_empty();
        let bound = found.export.trees.iter().any(Tree::is_bound);
        self.entries.is_empty() && !found.is_empty() && targets_alone && !kept && !bound
    }

    /// Reads everything that the kernel has of the group.
    ///
    /// # Errors
    /// When something exists and cannot be read.
    pub(crate) fn look(&self, kernel: &dyn Kernel) -> Result<Found, KernelError> {
        self.found(kernel, lio::observe(kernel, &self.wwnns, &self.wwpns)?)
    }

    /// Reads what the kernel has of the group, except the backstores. That is cheap even
    /// with a thousand of them.
    pub(crate) fn glance(&self, kernel: &dyn Kernel) -> Result<Found, KernelError> {
        self.found(kernel, lio::glance(kernel, &self.wwnns, &self.wwpns)?)
    }

    /// Reads what the kernel has of the group, except the LUNs mapped to each initiator.
    pub(crate) fn survey(&self, kernel: &dyn Kernel) -> Result<Found, KernelError> {
        self.found(kernel, lio::survey(kernel, &self.wwnns, &self.wwpns)?)
    }

    fn found(&self, kernel: &dyn Kernel, export: Export) -> Result<Found, KernelError> {
        let keeps = self.group.as_ref().is_ok_and(|group| group.state.is_some())
            || self.entries.iter().any(|entry| entry.state.is_some());
        let keepers = saved_reservations::observe(kernel, &self.wwnns, keeps)?;
        Ok(Found { vports: self.vports(kernel)?, export, keepers })
    }

    fn vports(&self, kernel: &dyn Kernel) -> Result<Vec<VirtualPort>, KernelError> {
        let mut vports = fc::virtual_ports(kernel)?;
        vports.retain(|port| self.wwpns.contains(&port.wwpn));
        Ok(vports)
    }

    /// Returns the device nodes of the disks that the group has used since its takeover.
    pub(crate) fn in_use(&self) -> Vec<PathBuf> {
        let disks = self.entries.iter().flat_map(|e| e.disks.iter().chain(&e.state));
        disks.map(|disk| disk.node.clone()).collect()
    }

    /// Returns the disks on which this node may have registered its key for the group.
    /// Disks of other groups on this node are left out: the key there is for them. A disk
    /// that only the configuration names, and that is not on this node, was never
    /// reserved by it.
    pub(crate) fn disks(&self, kernel: &dyn Kernel, export: &Export) -> Vec<PathBuf> {
        let mut disks = BTreeSet::new();
        let owns = |group: &&Group| group.ownership == Ownership::Scsi3Pr;
        let owner = self.group.as_ref().ok().filter(owns);
        if let Some(group) = owner {
            let found = disk::find_any(kernel, &group.all_disks());
            disks.extend(found.into_iter().map(|disk| disk.node));
        }
        for entry in self.entries.iter().filter(|e| e.ownership == Ownership::Scsi3Pr) {
            let all = entry.disks.iter().chain(&entry.state);
            disks.extend(all.filter_map(|disk| disk.node_now(kernel)));
        }
        let exported = export.backstores.iter().map(|b| &b.device);
        // A group that was taken over with reservations has reserved every disk that LIO
        // exports, even if its configuration says otherwise now.
        let known = self.entries.iter().any(|e| e.ownership == Ownership::Scsi3Pr);
        if known || owner.is_some() {
            let nodes = exported.filter(|d| paths::is_below(d, paths::DEV));
            disks.extend(nodes.cloned());
        }
        let others = self.claims.disks(kernel);
        disks.into_iter().filter(|d| others.group(kernel, d, true).is_none()).collect()
    }
}
