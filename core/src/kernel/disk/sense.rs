//! Sense data: why a SCSI device refused a command.

/// Returns the sense key, and the additional sense code with its qualifier. The buffer
/// may have fixed or descriptor format (SPC-4 4.5); both results are zero if it has
/// neither.
pub fn sense_of(sense: &[u8]) -> (u8, u16) {
    let at = |i: usize| sense.get(i).copied().unwrap_or(0);
    let (key, asc, ascq) = match at(0) & 0x7f {
        0x70 | 0x71 => (at(2), at(12), at(13)),
        0x72 | 0x73 => (at(1), at(2), at(3)),
        _ => (0, 0, 0),
    };
    (key & 0x0f, u16::from_be_bytes([asc, ascq]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sense_formats_are_read() {
        let mut fixed = [0u8; 18];
        fixed[0] = 0x70;
        fixed[2] = 0x05;
        fixed[12] = 0x20;
        assert_eq!(sense_of(&fixed), (0x05, 0x2000));
        assert_eq!(sense_of(&[0x72, 0x06, 0x29, 0x01]), (0x06, 0x2901));
    }
}
