//! What may be a group's on this node, from every source: the configuration as far as it
//! can be read, and the virtual port database. A stop or a monitor looks at all of it, so
//! that neither a changed nor a broken configuration hides a port.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::group::{Group, GroupError, Ownership};
use crate::disks::disk;
use crate::fc::{self, VirtualPort};
use crate::kernel::{Kernel, KernelError, paths};
use crate::lio::numbers::Numbers;
use crate::lio::{self, Export};
use crate::run_files::registry::{self, Entry};
use crate::saved_reservations;
use crate::situation::claims::Claims;
use crate::situation::found::Found;
use crate::wwn::Wwn;

/// Names and disks to look for.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The resource's name.
    pub name: String,
    /// The configuration, or everything that is wrong with it.
    pub group: Result<Group, GroupError>,
    /// What the database says of the group.
    pub entries: Vec<Entry>,
    /// What other groups on this node have: nothing of it is this group's.
    pub claims: Claims,
    /// The resource of the cluster that makes the group's disks, where it does not run on
    /// this node: a check does not miss them then. None unless a caller says so.
    pub maker: Option<String>,
    /// What initiators know of the group's LUNs: a start serves none that is smaller. None
    /// unless a caller says so.
    pub known: Option<Numbers>,
    /// The node names that may be the group's.
    pub wwnns: Vec<Wwn>,
    /// The port names that may be the group's.
    pub wwpns: Vec<Wwn>,
}

impl Scope {
    /// Gathers what there is to look for; `param` is as for [`Group::parse`].
    pub fn gather(
        kernel: &dyn Kernel,
        name: &str,
        param: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let all = registry::entries(kernel).into_iter();
        let (entries, others): (Vec<_>, _) = all.partition(|entry| entry.group == name);
        let claims = Claims::of(others);
        let mut wwnns: BTreeSet<Wwn> = entries.iter().map(|e| e.wwnn).collect();
        let mut wwpns: BTreeSet<Wwn> = entries.iter().map(|e| e.wwpn).collect();
        // Word by word: one that is broken does not hide the others.
        let wwnn = param("wwnn").and_then(|text| text.parse::<Wwn>().ok());
        wwnns.extend(wwnn.filter(|wwnn| claims.on_node_name(*wwnn).is_none()));
        let ports = param("ports").unwrap_or_default();
        let names = ports.split_whitespace().filter_map(|word| word.split('@').next());
        let names = names.filter_map(|name| name.parse::<Wwn>().ok());
        wwpns.extend(names.filter(|wwpn| claims.on_port(*wwpn).is_none()));
        Self {
            name: name.to_owned(),
            group: Group::parse(name, param),
            entries,
            claims,
            maker: None,
            known: None,
            wwnns: wwnns.into_iter().collect(),
            wwpns: wwpns.into_iter().collect(),
        }
    }

    /// Returns whether what was found was made by somebody else, such as targetcli's
    /// service. It is targets alone, which no port has, so nobody is served. This group's
    /// start has recorded nothing, which it does before it makes any.
    pub fn is_of_others(&self, found: &Found) -> bool {
        let kept = found.keepers.iter().any(|keeper| keeper.device.is_some());
        let targets_alone = found.vports.is_empty() && found.export.hbas.is_empty();
        let bound = found.export.trees.iter().any(|tree| tree.driver.binds());
        self.entries.is_empty() && !found.is_empty() && targets_alone && !kept && !bound
    }

    /// Looks at the kernel.
    ///
    /// # Errors
    /// When something is there and cannot be read.
    pub fn look(&self, kernel: &dyn Kernel) -> Result<Found, KernelError> {
        self.found(kernel, lio::observe(kernel, &self.wwnns, &self.wwpns)?)
    }

    /// Looks at the kernel, and not at the backstores: cheap with a thousand of them.
    ///
    /// # Errors
    /// See [`Self::look`].
    pub fn glance(&self, kernel: &dyn Kernel) -> Result<Found, KernelError> {
        self.found(kernel, lio::glance(kernel, &self.wwnns, &self.wwpns)?)
    }

    /// Looks at the kernel, and not at what each initiator may see.
    ///
    /// # Errors
    /// See [`Self::look`].
    pub fn survey(&self, kernel: &dyn Kernel) -> Result<Found, KernelError> {
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

    /// Returns the nodes of the disks that the group has had since its takeover.
    pub fn in_use(&self) -> Vec<PathBuf> {
        let disks = self.entries.iter().flat_map(|e| e.disks.iter().chain(&e.state));
        disks.map(|disk| disk.node.clone()).collect()
    }

    /// Returns the disks that may carry our key, but for those of other groups here: the
    /// key is the node's, so on those it is theirs. Disks that only the configuration
    /// names, and that are not here, were never ours.
    pub fn disks(&self, kernel: &dyn Kernel, export: &Export) -> Vec<PathBuf> {
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
        // Of a group that was taken over with reservations, whatever its configuration says
        // by now.
        let known = self.entries.iter().any(|e| e.ownership == Ownership::Scsi3Pr);
        if known || owner.is_some() {
            let nodes = exported.filter(|d| paths::is_below(d, paths::DEV));
            disks.extend(nodes.cloned());
        }
        let others = self.claims.disks(kernel);
        disks.into_iter().filter(|d| others.group(kernel, d, true).is_none()).collect()
    }
}
