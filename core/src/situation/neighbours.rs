//! Neighbours: what else on this node changes LIO's targets. Above all that is the
//! service of targetcli. Its `targetctl` removes every target, no matter who made it: on
//! `clear`, and on `restore` before it makes what was saved (`RTSRoot.clear_existing` and
//! `RTSRoot.restore` of rtslib).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::group::Group;
use crate::disks::disk::Disk;
use crate::kernel::{Kernel, KernelError, paths};
use crate::lio::{self, DRIVERS, Tree};
use crate::run_files::registry;
use crate::wwn::Wwn;

/// The units that run `targetctl`: everybody's, and Debian's.
const UNITS: [&str; 2] = ["target.service", "rtslib-fb-targetctl.service"];

/// Returns what LIO holds for groups here, in words. While there is anything, nobody may
/// clear LIO's targets. What cannot be seen counts as there.
pub fn in_use(kernel: &dyn Kernel) -> Vec<String> {
    let entries = registry::entries(kernel).into_iter();
    let groups: BTreeSet<_> = entries.map(|entry| entry.group).collect();
    let groups = groups.into_iter().map(|group| format!("{group} is served here"));
    let bound = bound(kernel).unwrap_or_else(|error| vec![error.to_string()]);
    groups.chain(bound).collect()
}

/// Returns the empty targets that stay with their ports until a boot: a takeover needs them,
/// and to remove one resets its HBA.
fn bound(kernel: &dyn Kernel) -> Result<Vec<String>, KernelError> {
    let mut found = Vec::new();
    for driver in DRIVERS.iter().filter(|driver| driver.binds()) {
        let names = kernel.list(&paths::lio_fabric(driver.fabric()))?;
        let wwpns: Vec<Wwn> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let trees = lio::glance(kernel, &[], &wwpns)?.trees.into_iter();
        let bound = trees.filter(|tree| tree.driver.binds()).filter(Tree::is_bare);
        found.extend(bound.map(|tree| format!("target {} belongs to a port", tree.wwpn)));
    }
    Ok(found)
}

/// Returns the units that would clear the targets of a group when they are stopped: they are
/// on, and what the package puts beside them is not in force.
pub fn unguarded(kernel: &dyn Kernel) -> Vec<&'static str> {
    let is_unguarded = |unit: &&str| {
        let [own, others @ ..] = paths::unit_drop_ins(unit);
        let masked = others.iter().any(|path| kernel.exists(path));
        kernel.exists(&paths::unit_wanted(unit)) && (masked || !kernel.exists(&own))
    };
    UNITS.into_iter().filter(is_unguarded).collect()
}

/// LIO's configuration as targetcli has saved it.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The file.
    pub file: PathBuf,
    config: Value,
}

impl Saved {
    /// Reads what was saved; nothing where no file is there that can be read.
    pub fn read(kernel: &dyn Kernel) -> Option<Self> {
        paths::SAVED.iter().map(PathBuf::from).find_map(|file| {
            let config = serde_json::from_str(&kernel.read(&file).ok()?).ok()?;
            Some(Self { file, config })
        })
    }

    /// Returns the configuration without what was made for a group of ours, as the text of a
    /// file; nothing where there is no such thing in it.
    pub fn without_groups(&self) -> Option<String> {
        let mut others = self.config.clone();
        let left_out = [
            leave_out(&mut others, TARGETS, is_groups_target),
            leave_out(&mut others, BACKSTORES, is_groups_backstore),
        ];
        left_out.contains(&true).then(|| format!("{others:#}\n"))
    }

    /// Returns what was saved of a group, in words: its target ports, and its disks as
    /// backstores of anybody. What [`Self::without_groups`] leaves out is included if
    /// `all`.
    pub fn has(
        &self,
        kernel: &dyn Kernel,
        group: &Group,
        disks: &[Disk],
        all: bool,
    ) -> Vec<String> {
        let targets = items(&self.config, TARGETS)
            .filter(|target| all || !is_groups_target(target))
            .filter_map(|target| {
                let name = text(target, "wwn").strip_prefix("naa.")?;
                let wwpn = name.parse::<Wwn>().ok()?;
                let is_its = group.ports.iter().any(|port| port.wwpn == wwpn);
                is_its.then(|| format!("port {wwpn}"))
            });
        let backstores = items(&self.config, BACKSTORES)
            .filter(|backstore| all || !is_groups_backstore(backstore))
            .filter_map(|backstore| {
                let device = Path::new(text(backstore, "dev"));
                let is_plain = paths::is_below(device, paths::DEV);
                let node = is_plain.then(|| kernel.resolve(device).ok()).flatten()?;
                let disk = disks.iter().find(|disk| disk.node == node)?;
                let (plugin, name) = (text(backstore, "plugin"), text(backstore, "name"));
                Some(format!("{} as {plugin}/{name}", disk.slot))
            });
        targets.chain(backstores).collect()
    }
}

const TARGETS: &str = "targets";
const BACKSTORES: &str = "storage_objects";

/// Returns whether a saved target is one of ours: of our drivers, with LUNs whose links have
/// our name. rtslib gives its own links names by chance.
fn is_groups_target(target: &Value) -> bool {
    let fabric = text(target, "fabric");
    let mut luns = items(target, "tpgs").flat_map(|tpg| items(tpg, "luns"));
    DRIVERS.iter().any(|driver| driver.name() == fabric)
        && luns.any(|lun| text(lun, "alias") == lio::LINK)
}

/// Returns whether a saved backstore is one of ours: named by its LUN, with a serial number of
/// 32 hex digits. rtslib gives UUIDs, with dashes.
fn is_groups_backstore(backstore: &Value) -> bool {
    let lun = text(backstore, "name").strip_prefix("lun_");
    let serial = text(backstore, "wwn");
    let is_ours =
        serial.len() == 32 && serial.bytes().all(|byte| byte.is_ascii_hexdigit());
    text(backstore, "plugin") == "block"
        && lun.is_some_and(|number| number.parse::<u16>().is_ok())
        && is_ours
}

/// Takes items out of a list, and returns whether there were any.
fn leave_out(config: &mut Value, list: &str, which: fn(&Value) -> bool) -> bool {
    let Some(Value::Array(items)) = config.get_mut(list) else { return false };
    let before = items.len();
    items.retain(|item| !which(item));
    items.len() < before
}

fn items<'a>(of: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    of.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}
