//! The names that a SCSI disk reports, compared with those that the kernel remembers. The
//! kernel asks once, when it finds a disk. If the array puts another disk in its place,
//! the kernel does not notice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::scsi;
use crate::kernel::real::place::under;
use crate::kernel::{nexus, paths};

/// The kernel's copy of the page of designators, from when it found the disk
/// (`sdev_vpd_pg83` in drivers/scsi/scsi_sysfs.c).
const COPY: &str = "device/vpd_pg83";

/// Returns two names of a SCSI disk if they differ: the one that the kernel remembers,
/// and the one that the disk reports now. `None` also for a disk that does not answer.
pub(crate) fn renamed(root: &Path, path: &Path) -> Option<[String; 2]> {
    let copy = under(root, &paths::block(&nexus::name(path), COPY));
    let (known, now) =
        (fs::read(copy).ok()?, scsi::designators(&under(root, path)).ok()?);
    let (known, now) = (of_disk(&known), of_disk(&now));
    let differ = !known.is_empty() && known != now;
    differ.then(|| [known, now].map(|names| in_words(&names)))
}

/// A designator of a disk: its type (SPC-4 table 598), and the name.
type Designator = (u8, Vec<u8>);

/// Returns those designators of a page that belong to the disk, and not to its port
/// (SPC-4 7.8.5).
fn of_disk(page: &[u8]) -> BTreeSet<Designator> {
    let mut found = BTreeSet::new();
    let mut rest = page.get(4..).unwrap_or_default();
    while let [_, kind, _, length, more @ ..] = rest {
        let length = usize::from(*length);
        let Some(name) = more.get(..length) else { break };
        let is_of_disk = kind >> 4 & 0x3 == 0;
        let kind = kind & 0xf;
        if is_of_disk && [T10, EUI, NAA, NAME].contains(&kind) {
            found.insert((kind, name.to_vec()));
        }
        rest = more.get(length..).unwrap_or_default();
    }
    found
}

const T10: u8 = 1;
const EUI: u8 = 2;
const NAA: u8 = 3;
const NAME: u8 = 8;

/// Returns the best of a disk's names, spelled as in sysfs.
fn in_words(names: &BTreeSet<Designator>) -> String {
    let best = [NAA, EUI, NAME, T10].into_iter();
    let mut best = best.filter_map(|kind| names.iter().find(|(its, _)| *its == kind));
    let Some((kind, name)) = best.next() else { return "without a name".into() };
    let mut hex = String::new();
    for byte in name {
        let _ = write!(hex, "{byte:02x}");
    }
    match *kind {
        NAA => format!("naa.{hex}"),
        EUI => format!("eui.{hex}"),
        _ => String::from_utf8_lossy(name).trim_end_matches(['\0', ' ']).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(designators: &[(u8, &[u8])]) -> Vec<u8> {
        let mut page = vec![0, 0x83, 0, 0];
        for (kind, name) in designators {
            page.extend([1, *kind, 0, name.len() as u8]);
            page.extend(*name);
        }
        page
    }

    #[test]
    fn a_disk_is_known_by_what_is_its_own() {
        let disk: (u8, &[u8]) = (NAA, &[0x60, 0x01, 0x40, 0x5a]);
        let by_one_port = page(&[disk, (0x14, &[0, 0, 0, 1])]);
        let by_another = page(&[(0x14, &[0, 0, 0, 2]), (0x15, &[0, 0, 0, 9]), disk]);
        assert_eq!(of_disk(&by_one_port), of_disk(&by_another));
        assert_eq!(in_words(&of_disk(&by_one_port)), "naa.6001405a");
        let other = page(&[(NAA, &[0x60, 0x01, 0x40, 0x5b]), (0x14, &[0, 0, 0, 1])]);
        assert_ne!(of_disk(&by_one_port), of_disk(&other));
        assert_eq!(in_words(&of_disk(&page(&[(T10, b"LIO-ORG x \0")]))), "LIO-ORG x");
    }

    #[test]
    fn no_page_is_too_short() {
        let whole = page(&[(NAA, &[1; 16]), (EUI, &[2; 8])]);
        for length in 0..whole.len() {
            assert!(of_disk(&whole[..length]).len() < 2);
        }
        assert_eq!(of_disk(&whole).len(), 2);
    }
}
