//! World-wide identifiers of disks. SCSI, NVMe, multipath, udev and arrays' documents
//! each spell one identifier in their own way.

/// Returns an identifier in the spelling in which identifiers are compared, that of
/// multipath and `scsi_id`. It begins with the type of the designator as a digit (SPC-4
/// 7.8.6), and the name follows. A text in no known spelling is returned as it is.
#[must_use]
pub(crate) fn canonical(text: &str) -> String {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let bare = ["dm-uuid-mpath-", "mpath-", "scsi-", "nvme-", "wwn-"]
        .iter()
        .find_map(|prefix| lower.strip_prefix(prefix))
        .unwrap_or(&lower);
    for (prefix, digit) in [("naa.", '3'), ("eui.", '2')] {
        if let Some(hex) = bare.strip_prefix(prefix) {
            return format!("{digit}{hex}");
        }
    }
    let hex = bare.strip_prefix("0x").unwrap_or(bare);
    match (hex.len(), hex.as_bytes().first()) {
        // An NAA name begins with its kind (SPC-4 7.8.6.6). Names of kind 6 have 32
        // digits, the others 16.
        (32, Some(b'6')) | (16, Some(b'2' | b'3' | b'5')) if is_hex(hex) => {
            format!("3{hex}")
        }
        (16, _) if is_hex(hex) => format!("2{hex}"),
        // multipath and scsi_id write the type digit themselves, so the name is canonical
        // already.
        (33 | 17, Some(b'2' | b'3')) if is_hex(hex) => hex.to_owned(),
        // A name that a vendor made up keeps its capitals.
        _ => text.get(text.len() - bare.len()..).unwrap_or(text).to_owned(),
    }
}

fn is_hex(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_disk_is_one() {
        for text in [
            "naa.600A0B80001234560000ABCD12345678\n",
            "NAA.600a0b80001234560000abcd12345678",
            "0x600a0b80001234560000abcd12345678",
            "wwn-0x600a0b80001234560000abcd12345678",
            "scsi-3600a0b80001234560000abcd12345678",
            "3600a0b80001234560000abcd12345678",
            "600a0b80001234560000abcd12345678",
            "600A0B80001234560000ABCD12345678",
            "mpath-3600a0b80001234560000abcd12345678",
            "dm-uuid-mpath-3600a0b80001234560000abcd12345678",
        ] {
            assert_eq!(canonical(text), "3600a0b80001234560000abcd12345678", "{text}");
        }
        for text in [
            "eui.0017380012345678",
            "20017380012345678",
            "mpath-20017380012345678",
            "scsi-20017380012345678",
            "0x0017380012345678",
            "nvme-eui.0017380012345678",
        ] {
            assert_eq!(canonical(text), "20017380012345678", "{text}");
        }
        assert_eq!(canonical("5000c500a1b2c3d4"), "35000c500a1b2c3d4");
        assert_eq!(canonical("naa.5000c500a1b2c3d4"), "35000c500a1b2c3d4");
    }

    #[test]
    fn what_is_no_known_spelling_stays() {
        for text in
            ["t10.ATA_Samsung_SSD", "SATA_Disk_X1", "uuid.0a1B", "14f504e46494c45"]
        {
            assert_eq!(canonical(text), text);
        }
        assert_eq!(canonical("scsi-SATA_Disk_X1"), "SATA_Disk_X1");
        assert_eq!(canonical(""), "");
    }
}
