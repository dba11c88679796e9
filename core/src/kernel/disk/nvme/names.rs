//! Names of NVMe namespaces: the kernel's name for the device, and the names that the
//! namespace itself reports in its identification descriptors.

use std::fmt::Write as _;

/// The types of descriptors that name a namespace (NVMe base specification, Namespace
/// Identification Descriptor). The best one is first, as in `wwid_show`
/// (drivers/nvme/host/sysfs.c).
const UUID: u8 = 3;
const NGUID: u8 = 2;
const EUI64: u8 = 1;

/// Returns whether a block device is an NVMe namespace, by its name: the kernel calls
/// these `nvme0n1` (`nvme_alloc_ns` in drivers/nvme/host/core.c).
pub fn is_nvme(device: &str) -> bool {
    device.starts_with("nvme")
}

/// Returns two names of a namespace if they differ: the one that the kernel has (`wwid`),
/// and the one in the descriptors that it reports now. Names made up from models and
/// numbers are not compared.
#[must_use]
pub fn renamed(wwid: &str, descriptors: &[u8]) -> Option<[String; 2]> {
    let known = wwid.trim().to_ascii_lowercase();
    let (_, digits) =
        known.split_once('.').filter(|(kind, _)| matches!(*kind, "uuid" | "eui"))?;
    let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
    let names = names(descriptors);
    if names.iter().any(|(_, name)| *name == digits) {
        return None;
    }
    let mut best = [UUID, NGUID, EUI64].into_iter();
    let (kind, now) = best.find_map(|kind| names.iter().find(|(its, _)| *its == kind))?;
    let prefix = if *kind == UUID { "uuid" } else { "eui" };
    Some([known, format!("{prefix}.{now}")])
}

/// Returns the names in a list of descriptors, each with its type, in hex digits.
fn names(mut list: &[u8]) -> Vec<(u8, String)> {
    let mut found = Vec::new();
    // A descriptor of length zero ends the list.
    while let [kind, length @ 1..=255, _, _, rest @ ..] = list {
        let Some(name) = rest.get(..usize::from(*length)) else { break };
        if [UUID, NGUID, EUI64].contains(kind) {
            let mut hex = String::new();
            for byte in name {
                let _ = write!(hex, "{byte:02x}");
            }
            found.push((*kind, hex));
        }
        list = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(descriptors: &[(u8, &[u8])]) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, name) in descriptors {
            list.extend([*kind, name.len() as u8, 0, 0]);
            list.extend(*name);
        }
        list.resize(4096, 0);
        list
    }

    #[test]
    fn a_devices_name_tells_its_protocol() {
        assert!(["nvme0n1", "nvme0c1n1", "nvme12n3"].into_iter().all(is_nvme));
        assert!(!["sda", "dm-3", "vda", "md0"].into_iter().any(is_nvme));
    }

    #[test]
    fn a_namespace_is_known_by_any_of_its_names() {
        let uuid = [0x5a, 0x11, 0x22, 0x33, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let all = list(&[(EUI64, &[0xe1; 8]), (NGUID, &[0x17; 16]), (UUID, &uuid)]);
        for wwid in [
            "uuid.5a112233-0001-0203-0405-060708090a0b\n",
            "eui.17171717171717171717171717171717\n",
            "eui.E1E1E1E1E1E1E1E1",
        ] {
            assert_eq!(renamed(wwid, &all), None, "{wwid}");
        }
        let other = list(&[(4, &[0]), (NGUID, &[0x18; 16])]);
        let [known, now] =
            renamed("eui.17171717171717171717171717171717", &other).unwrap();
        assert_eq!(known, "eui.17171717171717171717171717171717");
        assert_eq!(now, "eui.18181818181818181818181818181818");
    }

    #[test]
    fn without_names_nothing_is_judged() {
        let named = list(&[(NGUID, &[0x18; 16])]);
        assert_eq!(renamed("nvme.8086-4a-4b-00000001", &named), None);
        assert_eq!(renamed("eui.17171717", &list(&[(4, &[0])])), None);
        assert_eq!(renamed("", &named), None);
    }

    proptest! {
        #[test]
        fn no_list_panics(list in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = renamed("eui.17171717", &list);
        }
    }
}
