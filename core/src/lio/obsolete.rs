//! Parts of an export that no longer belong to the group, because its configuration has
//! changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config::group::Group;
use crate::disks::disk::Disk;
use crate::kernel::Chain;

use super::observe::{Acl, Backstore, Export, Lun};
use super::remove::{close, forget, unlink};

/// Parts of an export that have to be removed while the rest is served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Obsolete {
    /// Initiators that may no longer log in.
    pub acls: Vec<Acl>,
    /// Mapped LUNs that the remaining initiators must no longer see.
    pub mapped: Vec<Lun>,
    /// LUNs whose number has no disk in the group any longer, or another disk.
    pub luns: Vec<Lun>,
    /// Backstores without a disk in the group, or with another disk than the one
    /// configured.
    pub backstores: Vec<Backstore>,
}

impl Obsolete {
    /// Returns the parts of an export that do not fit the group. A LUN that has another
    /// disk now is one of them, because it has to be made again.
    pub(crate) fn of(group: &Group, disks: &[Disk], export: &Export) -> Self {
        let wanted: BTreeSet<u16> = group.luns().collect();
        let kept: BTreeMap<_, _> = disks
            .iter()
            .filter_map(|disk| Some((super::backstore_of(group.wwnn, disk)?, disk)))
            .collect();
        // From the backstores up: a LUN goes with its backstore, and a mapped LUN goes
        // with its LUN.
        let stays = |b: &&Backstore| {
            kept.get(&b.path).is_some_and(|disk| b.holds(group.wwnn, disk))
        };
        let (_, backstores): (Vec<_>, Vec<_>) = export.backstores.iter().partition(stays);
        let goes = |lun: &Lun, gone: &[&Path]| {
            !wanted.contains(&lun.number) || gone.iter().any(|path| lun.leads_to(path))
        };
        let gone: Vec<_> = backstores.iter().map(|b| b.path.as_path()).collect();
        let luns = export.trees.iter().flat_map(|tree| &tree.luns);
        let luns: Vec<&Lun> = luns.filter(|lun| goes(lun, &gone)).collect();
        let gone: Vec<_> = luns.iter().map(|lun| lun.path.as_path()).collect();
        let may_log_in = |acl: &&Acl| {
            acl.initiator().is_some_and(|name| group.initiators.contains(&name))
        };
        let acls = export.trees.iter().flat_map(|tree| &tree.acls);
        let (staying, acls): (Vec<_>, Vec<_>) = acls.partition(may_log_in);
        let mapped = staying.into_iter().flat_map(|acl| &acl.mapped);
        let mapped = mapped.filter(|lun| goes(lun, &gone));
        Self {
            mapped: mapped.cloned().collect(),
            luns: luns.into_iter().cloned().collect(),
            acls: acls.into_iter().cloned().collect(),
            backstores: backstores.into_iter().cloned().collect(),
        }
    }

    /// Returns the steps that remove these parts. Each step must end before the next
    /// begins.
    pub(crate) fn remove(&self) -> [(&'static str, Vec<Chain>); 4] {
        [
            ("remove the initiators", self.acls.iter().map(forget).collect()),
            ("unmap the LUNs", self.mapped.iter().map(unlink).collect()),
            ("remove the LUNs", self.luns.iter().map(unlink).collect()),
            ("remove the backstores", self.backstores.iter().map(close).collect()),
        ]
    }
}
