//! Neighbours: other programs on this node that change LIO's targets. The most important
//! is the service of targetcli. Its `targetctl` removes every target, no matter who made
//! it. It does so on `clear`, and on `restore` before it makes the saved ones
//! (`RTSRoot.clear_existing` and `RTSRoot.restore` of rtslib).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::group::Group;
use crate::disks::disk::Disk;
use crate::kernel::{Kernel, KernelError, paths};
use crate::lio::{self, DRIVERS};
use crate::run_files::registry;
use crate::wwn::Wwn;

/// The units that run `targetctl`: the usual one, and Debian's.
const UNITS: [&str; 2] = ["target.service", "rtslib-fb-targetctl.service"];

/// Returns, in words, what LIO has for groups on this node. While there is anything,
/// nobody may clear LIO's targets. If something cannot be read, the error is in the list.
pub fn in_use(kernel: &dyn Kernel) -> Vec<String> {
    let entries = registry::entries(kernel).into_iter();
    let groups: BTreeSet<_> = entries.map(|entry| entry.group).collect();
    let groups = groups.into_iter().map(|group| format!("{group} is served here"));
    let bound = bound(kernel).unwrap_or_else(|error| vec![error.to_string()]);
    groups.chain(bound).collect()
}

/// Returns, in words, the empty targets that stay until a boot. A takeover needs them,
/// and removing one would reset its HBA.
fn bound(kernel: &dyn Kernel) -> Result<Vec<String>, KernelError> {
    let trees = lio::lasting(kernel)?.trees.into_iter();
    let bound = trees.filter(|tree| tree.is_bound() && tree.is_bare());
    Ok(bound.map(|tree| format!("target {} belongs to a port", tree.wwpn)).collect())
}

/// Returns the units that would clear a group's targets when they are stopped. They are
/// enabled, and the file with which this package prevents that is missing or overridden.
pub fn unguarded(kernel: &dyn Kernel) -> Vec<&'static str> {
    let is_unguarded = |unit: &&str| {
        let [own, others @ ..] = paths::unit_drop_ins(unit);
        let masked = others.iter().any(|path| kernel.exists(path));
        kernel.exists(&paths::unit_wanted(unit)) && (masked || !kernel.exists(&own))
    };
    UNITS.into_iter().filter(is_unguarded).collect()
}

/// LIO's configuration, as targetcli has saved it.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The file in which it is saved.
    pub file: PathBuf,
    config: Value,
}

impl Saved {
    /// Reads the saved configuration; `None` if there is no file that can be read.
    pub fn read(kernel: &dyn Kernel) -> Option<Self> {
        paths::SAVED.iter().map(PathBuf::from).find_map(|file| {
            let config = serde_json::from_str(&kernel.read(&file).ok()?).ok()?;
            Some(Self { file, config })
        })
    }

    /// Returns the configuration without everything that understudy made, as the text of
    /// a file; `None` if it has nothing of that kind.
    pub fn without_groups(&self) -> Option<String> {
        let mut others = self.config.clone();
        let left_out = [
            leave_out(&mut others, TARGETS, is_groups_target),
            leave_out(&mut others, BACKSTORES, is_groups_backstore),
        ];
        left_out.contains(&true).then(|| format!("{others:#}\n"))
    }

    /// Returns, in words, what is saved of a group: its target ports, and its disks as
    /// anybody's backstores. Only if `all` is true, this includes what
    /// [`Self::without_groups`] leaves out.
    pub(crate) fn has(
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

/// Returns whether understudy made a saved target: it has a driver that understudy uses,
/// and links with the name that understudy gives. rtslib gives its own links random
/// names.
fn is_groups_target(target: &Value) -> bool {
    let fabric = text(target, "fabric");
    let mut luns = items(target, "tpgs").flat_map(|tpg| items(tpg, "luns"));
    DRIVERS.iter().any(|driver| driver.name() == fabric)
        && luns.any(|lun| text(lun, "alias") == lio::LINK)
}

/// Returns whether understudy made a saved backstore: it is named after its LUN, and its
/// serial number has 32 hex digits. rtslib gives UUIDs, which have dashes.
fn is_groups_backstore(backstore: &Value) -> bool {
    let lun = text(backstore, "name").strip_prefix("lun_");
    let serial = text(backstore, "wwn");
    let is_ours =
        serial.len() == 32 && serial.bytes().all(|byte| byte.is_ascii_hexdigit());
    text(backstore, "plugin") == "block"
        && lun.is_some_and(|number| number.parse::<u16>().is_ok())
        && is_ours
}

/// Removes items from a list, and returns whether there were any.
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
