//! LIO's part of configfs: what a mkdir creates, what may be linked to what, and which
//! rmdir is refused (fs/configfs/dir.c, drivers/target/target_core_configfs.c,
//! target_core_fabric_configfs.c, tcm_fc/tfc_conf.c).

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::qla2xxx;
use super::registrations;
use super::tree::{Entry, Tree};
use understudy_core::kernel::Done;
use understudy_core::kernel::{Cause, paths};
use understudy_core::wwn::Wwn;

/// The attribute with a backstore's ALUA state.
const ALUA: &str = "alua/default_tg_pt_gp/alua_access_state";

/// The counter of the commands that a LUN has received.
const RECEIVED: &str = "statistics/scsi_tgt_port/in_cmds";

/// What a directory of LIO's stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    Hba(&'a str),
    Backstore,
    Fabric(&'a str),
    Port(&'a str),
    Tpg(&'a str),
    Lun(&'a str),
    Acl(&'a str),
    MappedLun(&'a str),
}

fn inside(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(paths::TARGET)?.strip_prefix('/')
}

/// Returns what a path stands for; `None` outside LIO, and where LIO knows no such thing.
pub fn item(path: &Path) -> Option<Item<'_>> {
    let mut parts = [""; 8];
    let mut count = 0;
    for (part, name) in parts.iter_mut().zip(inside(path)?.split('/')) {
        *part = name;
        count += 1;
    }
    Some(match parts.get(..count)? {
        ["core", hba] => Item::Hba(hba),
        ["core", _, _] => Item::Backstore,
        [fabric] if *fabric != "core" => Item::Fabric(fabric),
        [_, port] => Item::Port(port),
        [_, _, tpg] => Item::Tpg(tpg),
        [_, _, _, "lun", lun] => Item::Lun(lun),
        [_, _, _, "acls", acl] => Item::Acl(acl),
        [_, _, _, "acls", _, lun] => Item::MappedLun(lun),
        _ => return None,
    })
}

/// Returns the port that a path below LIO's FC fabric belongs to.
pub fn port_of(path: &Path) -> Option<Wwn> {
    inside(path)?.split('/').nth(1)?.parse().ok()
}

/// Returns where a port's target is, or would be.
pub fn lio_port(tree: &Tree, port: Wwn) -> PathBuf {
    let [fc, qla2xxx] = ["fc", "qla2xxx"].map(|fabric| paths::lio_port(fabric, port));
    if tree.exists(&qla2xxx) { qla2xxx } else { fc }
}

/// Returns the number in a LUN's name.
pub fn lun(name: &str) -> Option<u16> {
    name.strip_prefix("lun_")?.parse().ok()
}

/// Returns whether a name has the only spelling that the kernel takes (`ft_parse_wwn`,
/// `tcm_qla2xxx_parse_wwn` with `strict`).
fn is_strict(name: &str) -> bool {
    name.parse::<Wwn>().is_ok_and(|wwn| wwn.to_string() == name)
}

/// Makes a directory, here or anywhere else.
pub fn make_dir(tree: &mut Tree, path: &Path) -> Result<Done, Errno> {
    if tree.exists(path) {
        return Ok(Done::Unchanged);
    }
    path.parent().and_then(|parent| tree.get_dir(parent)).ok_or(Errno::ENOENT)?;
    if path.starts_with(paths::TARGET) {
        // Neither the default groups nor the attributes' directories take a mkdir.
        let item = item(path).ok_or(Errno::EPERM)?;
        may_be_made(tree, item)?;
        tree.dir(path);
        populate(tree, path, item);
    } else {
        tree.dir(path);
    }
    if let Some(dir) = tree.get_dir_mut(path) {
        dir.made = true;
    }
    Ok(Done::Changed)
}

fn may_be_made(tree: &Tree, item: Item) -> Result<(), Errno> {
    let refused = match item {
        // Not loaded by itself: only the names of iSCSI and loopback are.
        Item::Fabric(name) => {
            let modules = [("fc", "tcm_fc"), ("qla2xxx", "tcm_qla2xxx")];
            let module = modules.iter().find(|(fabric, _)| *fabric == name);
            module.is_none_or(|(_, module)| !tree.exists(&paths::module(module)))
        }
        Item::Hba(name) => {
            let number = name.strip_prefix("iblock_");
            number.is_none_or(|number| number.parse::<u32>().is_err())
        }
        Item::Port(name) | Item::Acl(name) => !is_strict(name),
        Item::Tpg(name) => name != "tpgt_1",
        Item::Lun(name) | Item::MappedLun(name) => lun(name).is_none(),
        Item::Backstore => false,
    };
    if refused { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Puts into a new directory what the kernel puts there, as far as understudy looks at
/// it.
fn populate(tree: &mut Tree, path: &Path, item: Item) {
    match item {
        Item::Backstore => {
            for (attribute, text) in [
                ("control", ""),
                ("udev_path", "\n"),
                ("enable", "0\n"),
                ("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: \n"),
                (ALUA, "0\n"),
                ("attrib/force_pr_aptpl", "0\n"),
                ("attrib/is_nonrot", "0\n"),
                ("attrib/max_write_same_len", "0\n"),
                ("attrib/emulate_tpu", "0\n"),
                ("attrib/emulate_tpws", "0\n"),
                ("wwn/vendor_id", "\n"),
                ("wwn/product_id", "\n"),
                ("wwn/revision", "\n"),
                ("pr/res_aptpl_metadata", "Ready to process PR APTPL metadata..\n"),
            ] {
                tree.file(path.join(attribute), text);
            }
        }
        Item::Tpg(_) => {
            tree.dir(&path.join("lun"));
            tree.dir(&path.join("acls"));
            tree.file(path.join("rtpi"), "0\n");
            if qla2xxx::is_target(path) {
                qla2xxx::populate(tree, path);
            }
        }
        Item::Lun(_) => tree.file(path.join(RECEIVED), "0\n"),
        Item::MappedLun(_) => tree.file(path.join("write_protect"), "0\n"),
        _ => {}
    }
}

/// Removes a directory, with the attributes in it.
pub fn remove_dir(tree: &mut Tree, path: &Path) -> Result<Done, Errno> {
    let dir = match tree.get(path) {
        None => return Ok(Done::Unchanged),
        Some(Entry::Dir(dir)) => dir,
        Some(_) => return Err(Errno::ENOTDIR),
    };
    if !dir.made {
        return Err(Errno::EPERM);
    }
    if tree.is_pinned(path) {
        return Err(Errno::ENOTEMPTY);
    }
    if dir.linked > 0 {
        return Err(Errno::EBUSY);
    }
    tree.remove(path);
    Ok(Done::Changed)
}

/// Links a LUN to a backstore, or a mapped LUN to a LUN.
pub fn make_link(tree: &mut Tree, at: &Path, to: &Path) -> Result<Done, Cause> {
    let errno = |errno: Errno| Cause::Errno(errno as i32);
    match tree.get(at) {
        Some(Entry::Link(there)) if there == to => return Ok(Done::Unchanged),
        Some(Entry::Link(there)) => return Err(Cause::LeadsTo(there.clone())),
        Some(_) => return Err(errno(Errno::EEXIST)),
        None => {}
    }
    if !at.starts_with(paths::TARGET) {
        tree.link(at, to);
        return Ok(Done::Changed);
    }
    let dir = at.parent().ok_or(errno(Errno::ENOENT))?;
    if tree.get_dir(dir).is_none() || tree.get_dir(to).is_none() {
        return Err(errno(Errno::ENOENT));
    }
    if tree.first_link(dir).is_some() {
        return Err(errno(Errno::EEXIST));
    }
    match (item(dir), item(to)) {
        // `target_fabric_port_link`
        (Some(Item::Lun(_)), Some(Item::Backstore)) => {
            if !is_enabled(tree, to) {
                return Err(errno(Errno::ENODEV));
            }
        }
        // `target_fabric_mappedlun_link`
        (Some(Item::MappedLun(_)), Some(Item::Lun(_))) => {
            if port_of(dir) != port_of(to) || tree.first_link(to).is_none() {
                return Err(errno(Errno::EINVAL));
            }
        }
        _ => return Err(errno(Errno::EPERM)),
    }
    if let Some(target) = tree.get_dir_mut(to) {
        target.linked += 1;
    }
    tree.link(at, to);
    if let Some(Item::MappedLun(_)) = item(dir) {
        let initiator =
            dir.parent().and_then(|acl| acl.file_name()?.to_str()?.parse().ok());
        let (port, store) = (port_of(dir), store(tree, to).map(Path::to_owned));
        if let (Some(port), Some(initiator), Some(store)) = (port, initiator, store) {
            registrations::mapped(tree, &store, port, initiator);
        }
    }
    Ok(Done::Changed)
}

/// Removes a link.
pub fn unlink(tree: &mut Tree, path: &Path) -> Result<Done, Errno> {
    match tree.get(path) {
        None => return Ok(Done::Unchanged),
        Some(Entry::Link(_)) => {}
        Some(_) if !path.starts_with(paths::TARGET) => {}
        Some(_) => return Err(Errno::EPERM),
    }
    if let Some(Entry::Link(to)) = tree.remove(path) {
        if let Some(target) = tree.get_dir_mut(&to) {
            target.linked -= 1;
        }
    }
    Ok(Done::Changed)
}

/// Writes an attribute of a backstore.
pub fn write(tree: &mut Tree, path: &Path, text: &str) -> Result<Done, Errno> {
    tree.read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let store = path.ancestors().find(|dir| item(dir) == Some(Item::Backstore));
    let store = store.ok_or(Errno::EACCES)?;
    let enabled = is_enabled(tree, store);
    let linked = tree.get_dir(store).is_some_and(|dir| dir.linked > 0);
    let mut value = format!("{text}\n");
    match name.as_ref() {
        "enable" => {
            may_be_enabled(tree, store)?;
            // `target_configure_device` has ideas of its own, and the disk has.
            let store = store.to_owned();
            for name in ["wwn/vendor_id", "wwn/product_id", "wwn/revision"] {
                tree.file(store.join(name), "its own\n");
            }
            let spins = disk(tree, &store).is_some_and(|disk| disk.len() % 2 == 0);
            tree.file(store.join("attrib/is_nonrot"), if spins { "0\n" } else { "1\n" });
        }
        // The identity of what is exported stays as it is.
        "vpd_unit_serial" | "vendor_id" | "product_id" | "revision" if linked => {
            return Err(Errno::EINVAL);
        }
        "vpd_unit_serial" => value = format!("T10 VPD Unit Serial Number: {text}\n"),
        "alua_access_state" if !enabled => return Err(Errno::ENODEV),
        // `target_pr_res_aptpl_metadata_store`, `force_pr_aptpl_store`
        "res_aptpl_metadata" | "force_pr_aptpl" if linked => return Err(Errno::EINVAL),
        "res_aptpl_metadata" => {
            let store = store.to_owned();
            return registrations::tell(tree, &store, text);
        }
        _ => {}
    }
    tree.file(path, value);
    Ok(Done::Changed)
}

/// Writes an attribute of a target port.
pub fn write_port(tree: &mut Tree, path: &Path, text: &str) -> Result<Done, Errno> {
    tree.read(path)?;
    tree.file(path, format!("{text}\n"));
    Ok(Done::Changed)
}

fn is_enabled(tree: &Tree, store: &Path) -> bool {
    tree.read(&store.join("enable")) == Ok("1\n")
}

/// Returns the disk that a backstore was given, by its kernel name.
fn disk<'a>(tree: &'a Tree, store: &Path) -> Option<&'a str> {
    let control = tree.read(&store.join("control")).ok()?;
    control.trim_end().strip_prefix("udev_path=/dev/")
}

/// Checks that a backstore may be enabled: `iblock_configure_device` opens the disk for
/// itself alone.
fn may_be_enabled(tree: &Tree, store: &Path) -> Result<(), Errno> {
    if is_enabled(tree, store) {
        return Err(Errno::EEXIST);
    }
    let disk = disk(tree, store).ok_or(Errno::EINVAL)?;
    if !tree.exists(&Path::new(paths::DEV).join(disk)) {
        return Err(Errno::ENOENT);
    }
    let held = !tree.list(&paths::block(disk, "holders")).is_empty();
    if held || is_open(tree, |name| name == disk) { Err(Errno::EBUSY) } else { Ok(()) }
}

/// Returns whether a backstore holds a device whose name is like this.
pub fn is_open(tree: &Tree, its: impl Fn(&str) -> bool) -> bool {
    open_by(tree, its).is_some()
}

/// Returns whether a device whose name is like this is a LUN of some port.
pub fn is_lun(tree: &Tree, its: impl Fn(&str) -> bool) -> bool {
    let store = open_by(tree, its);
    store.and_then(|store| tree.get_dir(&store)).is_some_and(|dir| dir.linked > 0)
}

/// Returns the backstore that holds a device whose name is like this.
fn open_by(tree: &Tree, its: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let core = paths::lio_core();
    tree.list(&core).into_iter().map(|hba| core.join(hba)).find_map(|hba| {
        let stores = tree.list(&hba).into_iter().map(|store| hba.join(store));
        let mut stores = stores.filter(|store| disk(tree, store).is_some_and(&its));
        stores.find(|store| is_enabled(tree, store))
    })
}

/// The disk behind an initiator's LUN, and whether its commands are to be tried again
/// later (ALUA transitioning).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served<'a> {
    pub device: &'a str,
    /// The unit serial number (VPD page 0x80).
    pub serial: &'a str,
    pub transitioning: bool,
}

/// Follows an initiator's command through LIO; `None` where it sees no such LUN, which
/// it is told as an error (ILLEGAL REQUEST, 25/00).
pub fn served(tree: &Tree, port: Wwn, initiator: Wwn, lun: u16) -> Option<Served<'_>> {
    backstore(tree, &mapped_lun(tree, port, initiator, lun))
}

/// Counts a command that an initiator's LUN has received (`transport_lookup_cmd_lun`).
pub fn count(tree: &mut Tree, port: Wwn, initiator: Wwn, lun: u16) {
    let mapped = mapped_lun(tree, port, initiator, lun);
    let Some(path) = tree.first_link(&mapped).map(|lun| lun.join(RECEIVED)) else {
        return;
    };
    let now = tree.read(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    tree.file(path, format!("{}\n", now.unwrap_or_default() + 1));
}

/// Returns whether a path is the counter of a LUN that has no backstore
/// (`target_stat_tgt_port_in_cmds_show`).
pub fn counts_nothing(tree: &Tree, path: &Path) -> bool {
    let lun = path.parent().and_then(Path::parent).and_then(Path::parent);
    path.ends_with(RECEIVED) && lun.is_some_and(|lun| tree.first_link(lun).is_none())
}

/// Returns the path of an initiator's LUN.
fn mapped_lun(tree: &Tree, port: Wwn, initiator: Wwn, lun: u16) -> PathBuf {
    let acls = lio_port(tree, port).join("tpgt_1/acls");
    acls.join(initiator.to_string()).join(format!("lun_{lun}"))
}

/// Returns the backstore behind an initiator's LUN.
pub fn store_of(tree: &Tree, port: Wwn, initiator: Wwn, lun: u16) -> Option<PathBuf> {
    store(tree, &mapped_lun(tree, port, initiator, lun)).map(Path::to_owned)
}

/// Returns the backstore behind a LUN, a mapped LUN, or the link in one of them.
fn store<'a>(tree: &'a Tree, path: &'a Path) -> Option<&'a Path> {
    let mut at = path;
    while item(at) != Some(Item::Backstore) {
        at = match tree.get(at)? {
            Entry::Link(to) => to,
            _ => tree.first_link(at)?,
        };
    }
    Some(at)
}

/// Returns whether a backstore turns commands away.
pub fn is_transitioning(tree: &Tree, store: &Path) -> bool {
    tree.read(&store.join(ALUA)).is_ok_and(|state| state.trim() == "15")
}

/// Returns what is behind a LUN, a mapped LUN, or the link in one of them.
pub fn backstore<'a>(tree: &'a Tree, path: &Path) -> Option<Served<'a>> {
    let store = store(tree, path)?;
    let serial = tree.read(&store.join("wwn/vpd_unit_serial")).ok()?;
    Some(Served {
        device: disk(tree, store)?,
        serial: serial.rsplit(": ").next()?.trim_end(),
        transitioning: is_transitioning(tree, store),
    })
}
