//! The settings that a card keeps: its names, and what a factory puts beside them.
//!
//! Format: struct nvram_24xx in drivers/scsi/qla2xxx/qla_fw.h.

use crate::wire::Names;

/// Length of the settings, in bytes.
const LEN: usize = 512;

/// Returns the settings of a card with these names.
pub fn nvram(names: Names) -> Vec<u8> {
    let mut out = vec![0; LEN];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in out.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, b"ISP ");
    put(4, &1_u16.to_le_bytes());
    put(8, &1_u16.to_le_bytes());
    // Frames of 2048 bytes; as many commands as the driver likes.
    put(12, &2048_u16.to_le_bytes());
    put(14, &u16::MAX.to_le_bytes());
    // A loop address, which is not used.
    put(18, &124_u16.to_le_bytes());
    put(20, &names.wwpn.0.to_be_bytes());
    put(28, &names.wwnn.0.to_be_bytes());
    // Eight tries at a login.
    put(36, &8_u16.to_le_bytes());
    // The node has a name of its own; full login after LIP; duplex; fairness.
    put(44, &0x6006_u32.to_le_bytes());
    // Point to point only.
    put(48, &(1_u32 << 4).to_le_bytes());
    // The speed is negotiated.
    put(52, &(2_u32 << 13).to_le_bytes());
    put(256, &0xc00_u32.to_le_bytes());
    put(328, &[5]);
    // 128 LUNs, 30 tries or seconds for a port that is down, 30 s for a link.
    put(336, &128_u16.to_le_bytes());
    put(340, &30_u16.to_le_bytes());
    put(342, &30_u16.to_le_bytes());
    put(480, b"QLE2560");
    let sum = words(&out).fold(0, u32::wrapping_add);
    for (to, from) in out.iter_mut().skip(508).zip(sum.wrapping_neg().to_le_bytes()) {
        *to = from;
    }
    out
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|word| match word {
        [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use understudy_fabric::wwn::Wwn;

    use super::*;

    #[test]
    fn the_sum_of_all_words_is_zero() {
        let names = Names { wwpn: Wwn(0x2100_0024_ff00_0001), wwnn: Wwn(7) };
        let settings = nvram(names);
        assert_eq!(settings.len(), LEN);
        assert_eq!(words(&settings).fold(0, u32::wrapping_add), 0);
        assert_eq!(settings[20..28], [0x21, 0, 0, 0x24, 0xff, 0, 0, 1]);
    }
}
