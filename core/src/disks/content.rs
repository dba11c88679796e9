//! The list of disks whose content belongs to initiators. What initiators write may look
//! like a volume group, an array or a file system to this node's own programs, which
//! would then take the disk. So each node has a list of the names of such disks, and a
//! udev rule looks there before udev identifies what is on a disk (packaging/udev).

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::group::DiskSpec;
use crate::disks::disk;
use crate::kernel::{Kernel, KernelError, paths};

/// Updates this node's list: adds the names of the disks of these groups, and removes
/// names that belong to no group. A group with `None` has unknown disks, so its names
/// stay.
///
/// # Errors
/// The first name that could not be added or removed. The other names are still updated.
pub fn keep_apart(
    kernel: &dyn Kernel,
    groups: &BTreeMap<String, Option<Vec<DiskSpec>>>,
) -> Result<(), KernelError> {
    let mut wanted = BTreeMap::new();
    for (group, specs) in groups {
        for spec in specs.iter().flatten() {
            let names = names(kernel, spec).into_iter();
            wanted.extend(names.map(|name| (name, format!("{group}\n"))));
        }
    }
    let is_unknown = |text: &str| matches!(groups.get(text.trim_end()), Some(None));
    let dir = Path::new(paths::CONTENT);
    let mut errors = Vec::new();
    for name in kernel.list(dir).unwrap_or_default() {
        let text = kernel.load(&dir.join(&name)).unwrap_or_default();
        if wanted.get(&name) == Some(&text) || is_unknown(&text) {
            wanted.remove(&name);
        } else if !wanted.contains_key(&name) {
            errors.extend(kernel.discard(&dir.join(&name)).err());
        }
    }
    for (name, text) in wanted {
        errors.extend(kernel.store(&dir.join(name), &text).err());
    }
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// Returns the names that a disk and its paths may have in sysfs, in the attributes
/// `device/wwid`, `wwid` and `dm/uuid`. They follow from the configured name if it has a
/// WWID in it; otherwise the disk has to be on this node.
fn names(kernel: &dyn Kernel, spec: &DiskSpec) -> Vec<String> {
    let spelled = |wwid: String| {
        let (kind, hex) = wwid.split_at_checked(1)?;
        let prefix = match kind {
            "2" => "eui.",
            "3" => "naa.",
            _ => return None,
        };
        Some(vec![format!("{prefix}{hex}"), format!("mpath-{wwid}")])
    };
    // The names that vendors make up may begin with any digit, so only hex ones are
    // spelled.
    let is_hex = |wwid: &String| wwid.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(names) = disk::wwid_in(&spec.device).filter(is_hex).and_then(spelled) {
        return names;
    }
    let found = disk::find_any(kernel, std::slice::from_ref(spec));
    let wwids = found.into_iter().filter_map(|disk| disk.wwid);
    let names = wwids.flat_map(|wwid| {
        spelled(wwid.clone()).unwrap_or_else(|| vec![format!("mpath-{wwid}"), wwid])
    });
    // The names that vendors make up may have any character, but a file needs a plain
    // name.
    names.filter(|name| !name.contains('/') && !name.starts_with('.')).collect()
}
