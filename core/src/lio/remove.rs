//! Removing an export. Everything that was observed is removed, not what the parameters
//! say, because the configuration may have changed since the export was built.

use crate::kernel::{Chain, Op};

use super::build::set_alua;
use super::observe::{Acl, Backstore, Export, Lun};
use super::{ALUA_ACTIVE_OPTIMIZED, ALUA_TRANSITIONING};

/// Returns the operations that make LUNs answer every new command with "try again", so
/// that commands in flight can end. That is one fast write for each LUN, without a grace
/// period.
pub(crate) fn quiesce(backstores: &[Backstore]) -> Vec<Chain> {
    let live = backstores.iter().filter(|b| b.enabled && b.alua != ALUA_TRANSITIONING);
    live.map(|b| vec![set_alua(&b.path, ALUA_TRANSITIONING)]).collect()
}

/// Returns the operations that make quiesced LUNs serve again.
pub(crate) fn resume(backstores: &[Backstore]) -> Vec<Chain> {
    let live = backstores.iter().filter(|b| b.enabled);
    live.map(|b| vec![set_alua(&b.path, ALUA_ACTIVE_OPTIMIZED)]).collect()
}

/// Returns the steps that remove the target ports. Each step must end before the next
/// begins: configfs removes a directory only when nothing links to it. A target that is
/// bound to its port stays, empty.
pub(crate) fn remove_ports(export: &Export) -> [(&'static str, Vec<Chain>); 3] {
    let trees = || export.trees.iter();
    let acls = trees().flat_map(|tree| &tree.acls).map(forget);
    let luns = trees().flat_map(|tree| &tree.luns).map(unlink);
    let ports = trees()
        .filter(|tree| !tree.is_bound())
        .map(|tree| vec![Op::RemoveDir(tree.tpg()), Op::RemoveDir(tree.path.clone())]);
    [
        ("remove the initiators", acls.collect()),
        ("remove the LUNs", luns.collect()),
        ("remove the target ports", ports.collect()),
    ]
}

/// Returns the step that removes backstores which somebody else has made for the group's
/// ports, each with its directory. No LUN may lead to them any longer.
pub(crate) fn remove_strays(export: &Export) -> (&'static str, Vec<Chain>) {
    let strays = export.strays().into_iter().map(|stray| {
        let dir = stray.parent().into_iter().map(|dir| Op::RemoveDir(dir.to_owned()));
        [Op::RemoveDir(stray.to_owned())].into_iter().chain(dir).collect()
    });
    ("remove backstores of others", strays.collect())
}

/// Returns the step that removes the directory of the backstores, once it is empty.
pub(crate) fn remove_hbas(export: &Export) -> (&'static str, Vec<Chain>) {
    let hbas = export.hbas.iter().map(|hba| vec![Op::RemoveDir(hba.clone())]);
    ("remove the backstores' directory", hbas.collect())
}

/// Returns the operation that removes a backstore, which closes its disk.
pub(crate) fn close(backstore: &Backstore) -> Chain {
    vec![Op::RemoveDir(backstore.path.clone())]
}

/// Returns the operations that remove an initiator and the LUNs mapped to it.
pub(super) fn forget(acl: &Acl) -> Chain {
    let mapped = acl.mapped.iter().flat_map(unlink);
    mapped.chain([Op::RemoveDir(acl.path.clone())]).collect()
}

pub(super) fn unlink(lun: &Lun) -> Chain {
    let link = lun.link.iter().map(|(link, _)| Op::Unlink(link.clone()));
    link.chain([Op::RemoveDir(lun.path.clone())]).collect()
}
