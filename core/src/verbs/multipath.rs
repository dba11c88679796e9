//! The findings of `check` about disks with several paths.

use crate::action::budget::Budget;
use crate::disks::disk::{self, Disk};
use crate::disks::ownership;
use crate::kernel::{Kernel, Op};

use super::check::Finding;

/// Returns in words the disks that are used by only one of several paths. The other paths
/// are useless until the group has stopped. Only then can multipathd make a multipath
/// device.
pub(super) fn by_one_path(kernel: &dyn Kernel, disks: &[Disk]) -> Vec<String> {
    let words = |(disk, count): (&Disk, usize)| {
        let (slot, device, name) = (disk.slot, &disk.device, &disk.name);
        format!("{slot} ({device}): one of {count} paths is used, {name}")
    };
    disk::one_of_several(kernel, disks).into_iter().map(words).collect()
}

/// Returns findings about disks with several paths; none if no disk has several.
pub(super) fn findings(
    kernel: &dyn Kernel,
    disks: &[Disk],
    budget: Budget,
) -> Vec<Finding> {
    let what = "paths";
    let mut findings = Vec::new();
    for found in by_one_path(kernel, disks) {
        let advice = "Have multipathd make a device of them, and name the disk by its WWID: a \
                      link may lead to any of its paths";
        findings.push(Finding::doubtful(what, found, advice));
    }
    let maps: Vec<_> = disks.iter().filter(|disk| disk.is_multipath).collect();
    if maps.is_empty() {
        return findings;
    }
    for disk in &maps {
        let paths = disk::paths_of(kernel, &disk.node);
        let down = paths.iter().filter(|path| !path.is_up());
        let down = down.map(|path| format!("{} is {}", path.node.display(), path.state));
        let down: Vec<_> = down.collect();
        if !down.is_empty() || paths.len() < 2 {
            let (slot, all, down) = (disk.slot, paths.len(), down.join(", "));
            let found = match down.as_str() {
                "" => format!("{slot} ({}) has {all} path", disk.device),
                _ => format!("{slot} ({}): of {all} paths {down}", disk.device),
            };
            let advice = "The group is served by the other paths; see why";
            findings.push(Finding::doubtful(what, found, advice));
        }
    }
    // Only paths that come back later need multipathd, so a takeover succeeds without it.
    let hear = kernel.run(&[vec![Op::HearMultipathd]], budget.end);
    if let Some(error) = hear.into_iter().find_map(|result| result.failed) {
        let advice = ownership::KEEP_PATHS;
        findings.push(Finding::doubtful(what, error.to_string(), advice));
    }
    if findings.is_empty() {
        let found = format!("{} disks, each by several", maps.len());
        findings.push(Finding::good(what, found));
    }
    findings
}
