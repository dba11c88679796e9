//! Reads what LIO exports of a group at this moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::build::LINK;
use super::driver::{DRIVERS, Driver, Stays};
use super::{ALUA_STATE, hba};
use crate::disks::disk::Disk;
use crate::kernel::{self, Kernel, KernelError, paths};
use crate::wwn::Wwn;

/// The counter of the commands that a LUN has received.
const RECEIVED: &str = "statistics/scsi_tgt_port/in_cmds";

/// Everything that LIO has of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Export {
    /// The directories of the group's backstores: one, or two if its node name has
    /// changed.
    pub hbas: Vec<PathBuf>,
    /// The group's backstores, sorted by path; empty if they were not read.
    pub backstores: Vec<Backstore>,
    /// The group's target ports.
    pub trees: Vec<Tree>,
}

/// A backstore: LIO's object for a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backstore {
    /// The backstore's directory.
    pub path: PathBuf,
    /// Whether the backstore is configured and holds the disk open.
    pub enabled: bool,
    /// The device node that LIO opens for the backstore.
    pub device: PathBuf,
    /// The unit serial number that initiators see.
    pub serial: String,
    /// The ALUA state of the backstore's LUNs, by LIO's number for it.
    pub alua: String,
}

/// A target port, with its LUNs and initiators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    /// The port name (WWPN).
    pub wwpn: Wwn,
    /// The LIO driver of the port.
    pub driver: &'static dyn Driver,
    /// The port's directory.
    pub path: PathBuf,
    /// Whether the port is enabled; `None` for a driver whose ports serve without that.
    pub enabled: Option<bool>,
    /// Whether the port has a portal group, `tpgt_1`.
    pub has_tpg: bool,
    /// The port's LUNs.
    pub luns: Vec<Lun>,
    /// The initiators that may log in to the port.
    pub acls: Vec<Acl>,
}

/// A LUN of a port, or a LUN mapped to an initiator: a directory with a link in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lun {
    /// The LUN's number.
    pub number: u16,
    /// The LUN's directory.
    pub path: PathBuf,
    /// The link and the path that it leads to; `None` if there is no link yet.
    pub link: Option<(PathBuf, PathBuf)>,
}

/// An initiator's entry in a port, with the LUNs that this initiator sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl {
    /// The entry's directory, which has the initiator's name.
    pub path: PathBuf,
    /// The LUNs that are mapped to the initiator; empty if they were not read.
    pub mapped: Vec<Lun>,
}

impl Export {
    /// Returns the target port with this port name.
    pub(crate) fn tree(&self, wwpn: Wwn) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.wwpn == wwpn)
    }

    /// Returns the paths of all backstores that a LUN of some port leads to.
    pub(crate) fn linked(&self) -> BTreeSet<&Path> {
        let luns = self.trees.iter().flat_map(|tree| &tree.luns);
        luns.filter_map(|lun| Some(lun.link.as_ref()?.1.as_path())).collect()
    }

    /// Returns the backstores that a LUN leads to and that are not in one of the group's
    /// directories. Somebody else has made them for the group's port names.
    pub(crate) fn strays(&self) -> BTreeSet<&Path> {
        let core = paths::lio_core();
        let is_stray = |path: &&Path| {
            let dir = path.parent();
            paths::is_below(path, paths::TARGET)
                && dir.and_then(Path::parent) == Some(core.as_path())
                && !self.hbas.iter().any(|hba| Some(hba.as_path()) == dir)
        };
        self.linked().into_iter().filter(is_stray).collect()
    }

    /// Returns the backstore with this directory.
    pub(crate) fn backstore(&self, path: &Path) -> Option<&Backstore> {
        let found = self.backstores.binary_search_by(|b| b.path.as_path().cmp(path));
        self.backstores.get(found.ok()?)
    }
}

impl Backstore {
    /// Returns whether the backstore has this disk, with the serial number that the disk
    /// has in a group. A backstore that is not enabled has no disk yet, so it never
    /// contradicts.
    pub(crate) fn holds(&self, wwnn: Wwn, disk: &Disk) -> bool {
        !self.enabled || self.device == disk.node && self.serial == disk.unit_serial(wwnn)
    }
}

impl Lun {
    /// Returns whether the LUN's link leads to this path.
    pub(crate) fn leads_to(&self, path: &Path) -> bool {
        self.link.as_ref().is_some_and(|(_, to)| to == path)
    }
}

impl Acl {
    /// Returns the initiator's port name, from the directory's name.
    pub(crate) fn initiator(&self) -> Option<Wwn> {
        self.path.file_name()?.to_str()?.parse().ok()
    }
}

impl Tree {
    /// Returns the directory of the port's portal group.
    pub(crate) fn tpg(&self) -> PathBuf {
        tpg(&self.path)
    }

    /// Returns whether the target is bound to its port until a boot.
    pub(crate) fn is_bound(&self) -> bool {
        self.driver.stays() == Stays::UntilBoot
    }

    /// Returns how many commands LIO has received for the port's LUNs, also those that it
    /// turned away (`target_stat_tgt_port_in_cmds_show`). A LUN counts from the moment
    /// when it was made. Returns `None` if a counter shows no number.
    ///
    /// # Errors
    /// When a counter cannot be read.
    pub(crate) fn commands(
        &self,
        kernel: &dyn Kernel,
    ) -> Result<Option<u64>, KernelError> {
        let mut sum = 0u64;
        for lun in self.luns.iter().filter(|lun| lun.link.is_some()) {
            let count = kernel::attribute(kernel, &lun.path.join(RECEIVED))?;
            let Ok(count) = count.parse::<u64>() else { return Ok(None) };
            sum = sum.wrapping_add(count);
        }
        Ok(Some(sum))
    }

    /// Returns whether the port is empty: it has neither LUNs nor initiators.
    pub(crate) fn is_bare(&self) -> bool {
        self.luns.is_empty() && self.acls.is_empty()
    }
}

/// Returns the directory of a port's portal group. Every driver accepts only the number 1
/// (`ft_add_tpg`, `tcm_qla2xxx_make_tpg`).
pub(crate) fn tpg(port: &Path) -> PathBuf {
    port.join("tpgt_1")
}

/// Reads everything that LIO has under these node names and port names, no matter who
/// made it.
///
/// # Errors
/// When a directory exists and cannot be read. Then nothing may be concluded.
pub(crate) fn observe(
    kernel: &dyn Kernel,
    wwnns: &[Wwn],
    wwpns: &[Wwn],
) -> Result<Export, KernelError> {
    with_backstores(kernel, glance(kernel, wwnns, wwpns)?)
}

/// Reads what LIO has under these node names and port names, except the mapped LUNs. Each
/// initiator has as many mapped LUNs as there are LUNs.
pub(crate) fn survey(
    kernel: &dyn Kernel,
    wwnns: &[Wwn],
    wwpns: &[Wwn],
) -> Result<Export, KernelError> {
    with_backstores(kernel, outline(kernel, wwnns, wwpns, Mapped::Skipped)?)
}

fn with_backstores(
    kernel: &dyn Kernel,
    mut export: Export,
) -> Result<Export, KernelError> {
    for hba in &export.hbas {
        for name in kernel.list(hba)?.iter().filter(|name| number(name).is_some()) {
            export.backstores.push(backstore(kernel, hba.join(name))?);
        }
    }
    export.backstores.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(export)
}

/// Reads what LIO has under these node names and port names, except the backstores.
pub(crate) fn glance(
    kernel: &dyn Kernel,
    wwnns: &[Wwn],
    wwpns: &[Wwn],
) -> Result<Export, KernelError> {
    outline(kernel, wwnns, wwpns, Mapped::Seen)
}

/// Reads the backstores of all groups on this node.
///
/// # Errors
/// See [`observe`].
pub(crate) fn all_backstores(kernel: &dyn Kernel) -> Result<Vec<Backstore>, KernelError> {
    let core = paths::lio_core();
    let names = kernel.list(&core)?.into_iter();
    let hbas = names.filter(|name| name.starts_with("iblock_"));
    let hbas = hbas.map(|name| core.join(name)).collect();
    Ok(with_backstores(kernel, Export { hbas, ..Export::default() })?.backstores)
}

/// Reads every target that stays until a boot, no matter whose it is. Backstores are not
/// read.
///
/// # Errors
/// See [`observe`].
pub(crate) fn lasting(kernel: &dyn Kernel) -> Result<Export, KernelError> {
    let mut wwpns = Vec::new();
    for driver in DRIVERS.iter().filter(|driver| driver.stays() == Stays::UntilBoot) {
        let names = kernel.list(&paths::lio_fabric(driver.fabric()))?;
        wwpns.extend(names.iter().filter_map(|name| name.parse::<Wwn>().ok()));
    }
    glance(kernel, &[], &wwpns)
}

/// Whether mapped LUNs are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapped {
    Seen,
    Skipped,
}

fn outline(
    kernel: &dyn Kernel,
    wwnns: &[Wwn],
    wwpns: &[Wwn],
    mapped: Mapped,
) -> Result<Export, KernelError> {
    let mut export = Export::default();
    for wwpn in wwpns {
        for driver in DRIVERS {
            if let Some(path) = driver.find(kernel, *wwpn)? {
                export.trees.push(tree(kernel, *wwpn, driver, path, mapped)?);
            }
        }
    }
    let hbas = wwnns.iter().map(|wwnn| hba(*wwnn));
    export.hbas = hbas.filter(|hba| kernel.exists(hba)).collect();
    Ok(export)
}

/// Returns the ALUA state of a backstore; empty if the backstore does not exist.
///
/// # Errors
/// When the state exists and cannot be read.
pub(crate) fn alua(kernel: &dyn Kernel, backstore: &Path) -> Result<String, KernelError> {
    kernel::attribute(kernel, &backstore.join(ALUA_STATE))
}

fn number(name: &str) -> Option<u16> {
    name.strip_prefix("lun_")?.parse().ok()
}

fn tree(
    kernel: &dyn Kernel,
    wwpn: Wwn,
    driver: &'static dyn Driver,
    path: PathBuf,
    mapped: Mapped,
) -> Result<Tree, KernelError> {
    let tpg = tpg(&path);
    let mut acls = Vec::new();
    for name in kernel.list(&tpg.join("acls"))? {
        let path = tpg.join("acls").join(name);
        let mapped = match mapped {
            Mapped::Seen => luns(kernel, &path)?,
            Mapped::Skipped => Vec::new(),
        };
        acls.push(Acl { mapped, path });
    }
    let luns = luns(kernel, &tpg.join("lun"))?;
    let switch = driver.switch().map(|name| kernel::attribute(kernel, &tpg.join(name)));
    let enabled = switch.transpose()?.map(|text| text == "1");
    let has_tpg = kernel.exists(&tpg);
    Ok(Tree { wwpn, driver, enabled, has_tpg, luns, acls, path })
}

fn luns(kernel: &dyn Kernel, dir: &Path) -> Result<Vec<Lun>, KernelError> {
    let mut luns = Vec::new();
    for name in kernel.list(dir)? {
        if let Some(number) = number(&name) {
            let path = dir.join(name);
            let link = path.join(LINK);
            let link = match kernel.leads(&link)? {
                Some(to) => Some((link, to)),
                // A link that another program has made may have any name. It is the only
                // link in this directory.
                None => kernel.links(&path)?.into_iter().next(),
            };
            luns.push(Lun { number, path, link });
        }
    }
    Ok(luns)
}

fn backstore(kernel: &dyn Kernel, path: PathBuf) -> Result<Backstore, KernelError> {
    let get = |name: &str| kernel::attribute(kernel, &path.join(name));
    // The attribute reads "T10 VPD Unit Serial Number: ...".
    let serial = get("wwn/vpd_unit_serial")?;
    let serial = serial.rsplit(": ").next().unwrap_or_default().to_owned();
    Ok(Backstore {
        enabled: get("enable")? == "1",
        device: PathBuf::from(get("udev_path")?),
        alua: alua(kernel, &path)?,
        serial,
        path,
    })
}
