//! Exporting a group, from the disks up. Each function returns the operations for what is
//! still missing, in chains that may run side by side. Whatever exists already is left
//! alone.

use std::path::{Path, PathBuf};

use crate::action::step::Step;
use crate::config::group::{Group, PortSpec};
use crate::disks::disk::Disk;
use crate::kernel::{Chain, Op, paths};
use crate::wwn::Wwn;

use super::observe::{Export, Lun, Tree, tpg};
use super::wanted::Wanted;
use super::{ALUA_ACTIVE_OPTIMIZED, ALUA_STATE, hba};

/// The name of the links that understudy makes in LIO. LIO accepts any name.
pub(crate) const LINK: &str = "backstore";

/// Returns the directory of the backstore behind a LUN number.
pub fn backstore_path(wwnn: Wwn, lun: u16) -> PathBuf {
    hba(wwnn).join(format!("lun_{lun}"))
}

/// Returns the directory of a disk's backstore; `None` for the state disk, which has
/// none.
pub(crate) fn backstore_of(wwnn: Wwn, disk: &Disk) -> Option<PathBuf> {
    Some(backstore_path(wwnn, disk.slot.lun()?))
}

/// Returns the operation that makes the directory for the group's backstores.
pub(crate) fn frame(group: &Group) -> Chain {
    vec![Op::MakeDir(hba(group.wwnn))]
}

/// Returns the operations that make the target ports, a chain for each port. A chain
/// makes the directories of the port and of each initiator, and sets the attributes.
pub(crate) fn targets(wanted: &Wanted) -> Vec<Chain> {
    let Wanted { group, driver, .. } = *wanted;
    let target = |(port, number): (&PortSpec, u16)| {
        let path = wanted.port_dir(port);
        let tpg = tpg(&path);
        let mut chain = vec![
            Op::MakeDir(paths::lio_fabric(driver.fabric())),
            Op::MakeDir(path),
            Op::MakeDir(tpg.clone()),
        ];
        // The identifier is set only while initiators can see nothing behind the port.
        let is_unseen = |tree: &Tree| tree.luns.is_empty() && tree.enabled != Some(true);
        if wanted.tree(port).is_none_or(is_unseen) {
            chain.push(set_port_id(&tpg, driver.port_id(port.wwpn, number)));
        }
        let set = |(name, value): &(&str, &str)| write(&tpg, name, (*value).into());
        chain.extend(driver.attributes().iter().map(set));
        let acls = tpg.join("acls");
        chain.extend(
            group.initiators.iter().map(|i| Op::MakeDir(acls.join(i.to_string()))),
        );
        chain
    };
    group.ports.iter().zip(1..).map(target).collect()
}

/// Returns the operation that sets a port's relative target port identifier. Kernels
/// before 6.4 have no such attribute: they number each disk's ports in the order in which
/// they come.
fn set_port_id(tpg: &Path, number: u16) -> Op {
    Op::WriteIfAny { path: tpg.join("rtpi"), text: number.to_string() }
}

/// Returns the operations that make the backstores, a chain for each disk. A chain is
/// empty if its backstore is complete.
pub(crate) fn build(group: &Group, disks: &[Disk], export: &Export) -> Vec<Chain> {
    let linked = export.linked();
    let missing = disks.iter().map(|disk| {
        let Some(path) = backstore_of(group.wwnn, disk) else { return Chain::new() };
        let there = export.backstore(&path);
        // A backstore that no LUN links to may be half built, and LIO does not say how
        // far. If a registration were written twice, it would be registered twice. So the
        // backstore is removed and built again.
        let half = there.filter(|_| !linked.contains(path.as_path()));
        let remove = half.map(|_| Op::RemoveDir(path.clone()));
        match there.filter(|b| b.enabled && remove.is_none()) {
            // A stop that has failed leaves its LUNs in ALUA transition.
            Some(b) if b.alua == ALUA_ACTIVE_OPTIMIZED => Chain::new(),
            Some(_) => vec![set_alua(&path, ALUA_ACTIVE_OPTIMIZED)],
            None => remove.into_iter().chain(make(group, disk, &path)).collect(),
        }
    });
    missing.collect()
}

/// Attributes that initiators see, and that LIO would otherwise take from the node's own
/// disk or from its kernel's release. Vendor, product and revision are LIO's own.
const PRESENTED: [(&str, &str); 7] = [
    ("wwn/vendor_id", "LIO-ORG"),
    ("wwn/product_id", "IBLOCK"),
    ("wwn/revision", "4.0"),
    // The medium rotation rate (VPD page B1): not a rotating disk.
    ("attrib/is_nonrot", "1"),
    // The largest number in WRITE SAME (10). LIO would take the disk's
    // (`iblock_configure_device`).
    ("attrib/max_write_same_len", "65535"),
    // No thin provisioning: neither UNMAP nor WRITE SAME with UNMAP.
    ("attrib/emulate_tpu", "0"),
    ("attrib/emulate_tpws", "0"),
];

fn make(group: &Group, disk: &Disk, path: &Path) -> Chain {
    let presented = PRESENTED.map(|(name, value)| (name.to_owned(), value.to_owned()));
    vec![
        Op::MakeDir(path.to_owned()),
        write(path, "control", format!("udev_path={}", disk.node.display())),
        write(path, "udev_path", disk.node.display().to_string()),
        write(path, "wwn/vpd_unit_serial", disk.unit_serial(group.wwnn)),
        // Enabling sets other attributes to LIO's defaults (`target_configure_device`),
        // so [`PRESENTED`] comes after it.
        write(path, "enable", "1".into()),
        Op::WriteAll { dir: path.to_owned(), values: presented.to_vec() },
    ]
}

/// Returns the steps that make the LUNs and map them to initiators. The backstores and
/// target ports must exist.
pub(crate) fn luns(wanted: &Wanted) -> [Step; 2] {
    [
        Step::new("make the LUNs", port_luns(wanted)),
        Step::new("map the LUNs", mapped_luns(wanted)),
    ]
}

/// Returns the operations that make the LUNs of each port. Each disk has one chain, so
/// that its ports are made in their order.
fn port_luns(wanted: &Wanted) -> Vec<Chain> {
    let group = wanted.group;
    let of = |number: u16| {
        let to = backstore_path(group.wwnn, number);
        let ports = group.ports.iter().filter_map(|port| {
            let known = wanted.tree(port).map_or([].as_slice(), |tree| &tree.luns);
            lun(&wanted.tpg(port).join("lun"), number, to.clone(), known)
        });
        ports.flatten().collect()
    };
    group.luns().map(of).collect()
}

/// Returns the operations that map the LUNs to each initiator, without changing their
/// numbers. Each initiator has one chain, because REPORT LUNS lists LUNs in the order in
/// which they were mapped (`core_enable_device_list_for_node`).
fn mapped_luns(wanted: &Wanted) -> Vec<Chain> {
    let group = wanted.group;
    let mut chains = Vec::new();
    for port in &group.ports {
        let tpg = wanted.tpg(port);
        for initiator in &group.initiators {
            let dir = tpg.join("acls").join(initiator.to_string());
            let acl = wanted
                .tree(port)
                .and_then(|tree| tree.acls.iter().find(|acl| acl.path == dir));
            let known = acl.map_or([].as_slice(), |acl| &acl.mapped);
            let missing = group.luns().filter_map(|number| {
                let to = tpg.join("lun").join(format!("lun_{number}"));
                lun(&dir, number, to, known)
            });
            chains.push(missing.flatten().collect());
        }
    }
    chains
}

/// Returns the operations that make a LUN's directory and its link; `None` if both exist.
/// If the link leads elsewhere, the operations are returned too, because the kernel's
/// refusal then names that place.
fn lun(dir: &Path, number: u16, to: PathBuf, known: &[Lun]) -> Option<Chain> {
    if known.iter().any(|lun| lun.number == number && lun.leads_to(&to)) {
        return None;
    }
    let path = dir.join(format!("lun_{number}"));
    Some(vec![Op::MakeDir(path.clone()), Op::Link { at: path.join(LINK), to }])
}

/// Returns the operation that sets the ALUA state of a backstore's LUNs, on all ports.
pub fn set_alua(backstore: &Path, state: &str) -> Op {
    write(backstore, ALUA_STATE, state.into())
}

pub(super) fn write(dir: &Path, attribute: &str, text: String) -> Op {
    Op::Write { path: dir.join(attribute), text }
}
