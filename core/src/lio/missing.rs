//! Parts of a group that LIO does not export.

use std::path::Path;

use crate::config::group::Group;

use super::backstore_path;
use super::observe::{Export, Lun};

/// Returns a sentence for each part of the group that LIO does not export. What LIO
/// exports beyond the group is not reported; see [`super::Obsolete`].
pub(crate) fn missing(group: &Group, export: &Export) -> Vec<String> {
    let mut missing = Vec::new();
    for lun in group.luns() {
        let path = backstore_path(group.wwnn, lun);
        for port in &group.ports {
            let Some(tree) = export.tree(port.wwpn) else { continue };
            let leads_to = |luns: &[Lun], to: &Path| {
                luns.iter().any(|l| l.number == lun && l.leads_to(to))
            };
            if !leads_to(&tree.luns, &path) {
                missing.push(format!("LUN {lun} is not exported by {}", port.wwpn));
            }
            let to = tree.tpg().join("lun").join(format!("lun_{lun}"));
            for initiator in &group.initiators {
                let dir = tree.tpg().join("acls").join(initiator.to_string());
                let acl = tree.acls.iter().find(|acl| acl.path == dir);
                if !acl.is_some_and(|acl| leads_to(&acl.mapped, &to)) {
                    missing.push(format!("LUN {lun} is not mapped to {initiator}"));
                }
            }
        }
    }
    for port in &group.ports {
        match export.tree(port.wwpn) {
            None => missing.push(format!("port {} has no target", port.wwpn)),
            Some(tree) if tree.enabled == Some(false) => {
                missing.push(format!("port {} has a target that is off", port.wwpn));
            }
            Some(_) => {}
        }
    }
    missing
}
