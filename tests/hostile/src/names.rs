//! Fuzz target for names as people and kernels spell them.

use understudy_core::config::group::{DeviceName, Group};
use understudy_core::disks::identity::Identity;
use understudy_core::wwn::{Wwn, from_sysfs};

/// Reads bytes as WWNs, as device names and as a list of disks.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = [text.parse::<Wwn>().ok(), from_sysfs(&text)];
    for wwn in read.into_iter().flatten() {
        assert_eq!(wwn.to_string().parse(), Ok(wwn));
        assert_eq!(from_sysfs(&format!("{:#x}", wwn.value())), Some(wwn));
    }
    if let Ok(device) = text.parse::<DeviceName>() {
        assert!(!text.split('/').any(|part| part == ".."));
        assert!(!text.contains([',', '\n', '\0']));
        assert_eq!(device.to_string(), text);
    }
    if let Ok(identity) = text.parse::<Identity>() {
        assert_eq!(identity.to_string().parse(), Ok(identity));
    }
    let group = Group::parse("g", |name| match name {
        "disks" => Some(text.to_string()),
        "wwnn" | "ports" => Some("20:00:00:25:b5:00:00:0a".into()),
        "initiators" => Some("21:00:00:24:ff:00:00:01".into()),
        _ => None,
    });
    match group {
        Ok(group) => assert!(group.luns().all(|lun| lun < 1 << 14)),
        Err(error) => {
            let line = error.to_string();
            assert!(line.len() < 4096 && !line.contains(char::is_control), "{line}");
        }
    }
}
