//! Exporting a group, from the disks up. Each function returns what is missing still,
//! as chains that may run side by side; what is there already is left alone.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::group::{Group, PortSpec};
use crate::kernel::{Chain, Op, paths};
use crate::wwn::Wwn;

use super::observe::{Export, Lun, tpg};
use super::{ALUA_ACTIVE_OPTIMIZED, ALUA_STATE, Driver, hba};

/// The name of our links; LIO does not care.
pub(super) const LINK: &str = "backstore";

/// A portal group's attribute.
pub(super) const ENABLE: &str = "enable";

/// The backstore of a LUN.
pub fn backstore_path(wwnn: Wwn, lun: u16) -> PathBuf {
    hba(wwnn).join(format!("lun_{lun}"))
}

/// The directory below which the backstores are built.
pub fn frame(group: &Group) -> Chain {
    vec![Op::MakeDir(hba(group.wwnn))]
}

/// The directories of the target ports, below which the rest is built: of each port, of
/// each initiator.
pub fn targets(group: &Group, driver: &dyn Driver) -> Vec<Chain> {
    let target = |port: &PortSpec| {
        let path = paths::lio_port(driver.fabric(), port.wwpn);
        let tpg = tpg(&path);
        let mut chain = vec![
            Op::MakeDir(paths::lio_fabric(driver.fabric())),
            Op::MakeDir(path),
            Op::MakeDir(tpg.clone()),
        ];
        let set = |(name, value): &(&str, &str)| write(&tpg, name, (*value).into());
        chain.extend(driver.attributes().iter().map(set));
        let acls = tpg.join("acls");
        chain.extend(
            group.initiators.iter().map(|i| Op::MakeDir(acls.join(i.to_string()))),
        );
        chain
    };
    group.ports.iter().map(target).collect()
}

/// Has a target port serve, where its driver needs to be told.
pub fn enable(driver: &dyn Driver, wwpn: Wwn) -> Op {
    write(&tpg(&paths::lio_port(driver.fabric(), wwpn)), ENABLE, "1".into())
}

/// The backstores: a chain for each disk, empty where nothing is missing.
pub fn build(group: &Group, disks: &[Disk], export: &Export) -> Vec<Chain> {
    let missing = disks.iter().map(|disk| {
        let path = backstore_path(group.wwnn, disk.lun);
        match export.backstore(&path).filter(|b| b.enabled) {
            // A stop that failed leaves its LUNs in transition.
            Some(b) if b.alua == ALUA_ACTIVE_OPTIMIZED => Chain::new(),
            Some(_) => vec![set_alua(&path, ALUA_ACTIVE_OPTIMIZED)],
            None => vec![
                Op::MakeDir(path.clone()),
                write(&path, "control", format!("udev_path={}", disk.node.display())),
                write(&path, "udev_path", disk.node.display().to_string()),
                write(&path, "wwn/vpd_unit_serial", disk.unit_serial(group.wwnn)),
                write(&path, "enable", "1".into()),
            ],
        }
    });
    missing.collect()
}

/// The LUNs of each port.
pub fn luns(group: &Group, driver: &dyn Driver, export: &Export) -> Vec<Chain> {
    let mut chains = Vec::new();
    for port in &group.ports {
        let dir = tpg(&paths::lio_port(driver.fabric(), port.wwpn)).join("lun");
        let known = export.tree(port.wwpn).map_or([].as_slice(), |tree| &tree.luns);
        for disk in &group.disks {
            let to = backstore_path(group.wwnn, disk.lun);
            chains.extend(lun(&dir, disk.lun, to, known));
        }
    }
    chains
}

/// Each initiator's view of the LUNs, under the same numbers.
pub fn mapped_luns(group: &Group, driver: &dyn Driver, export: &Export) -> Vec<Chain> {
    let mut chains = Vec::new();
    for port in &group.ports {
        let tpg = tpg(&paths::lio_port(driver.fabric(), port.wwpn));
        for initiator in &group.initiators {
            let dir = tpg.join("acls").join(initiator.to_string());
            let acl = export
                .tree(port.wwpn)
                .and_then(|tree| tree.acls.iter().find(|acl| acl.path == dir));
            let known = acl.map_or([].as_slice(), |acl| &acl.mapped);
            for disk in &group.disks {
                let to = tpg.join("lun").join(format!("lun_{}", disk.lun));
                chains.extend(lun(&dir, disk.lun, to, known));
            }
        }
    }
    chains
}

/// A LUN directory with its link, unless both are there. A link that leads elsewhere is
/// tried all the same: the kernel's refusal names it.
fn lun(dir: &Path, number: u16, to: PathBuf, known: &[Lun]) -> Option<Chain> {
    if known.iter().any(|lun| lun.number == number && lun.leads_to(&to)) {
        return None;
    }
    let path = dir.join(format!("lun_{number}"));
    Some(vec![Op::MakeDir(path.clone()), Op::Link { at: path.join(LINK), to }])
}

/// Sets the ALUA state of everything that a backstore is exported through.
pub fn set_alua(backstore: &Path, state: &str) -> Op {
    write(backstore, ALUA_STATE, state.into())
}

fn write(dir: &Path, attribute: &str, text: String) -> Op {
    Op::Write { path: dir.join(attribute), text }
}
