//! Fuzz target for what an NVMe namespace answers.

use understudy_core::kernel::disk::nvme::{names, report};
use understudy_core::kernel::reservation::{Key, Reservation};

/// This node's Host ID in the corpus.
const HOST: [u8; 16] = [0xa1; 16];

/// Reads bytes as a Reservation Report, with long and with short Host IDs, and as the
/// list of identification descriptors.
pub fn nvme(data: &[u8]) {
    for host in [&HOST[..], &HOST[..8]] {
        let whole = report::length(data, host);
        let Ok(Reservation { keys, holder, host_key }) = report::parse(data, host) else {
            continue;
        };
        // Every registrant that was announced, and no other.
        assert!(whole <= data.len());
        if let Some([low, high]) = data.get(5..7) {
            let announced = u16::from_le_bytes([*low, *high]);
            assert_eq!(keys.len(), usize::from(announced));
        }
        let known = |key| key == Key(0) || keys.contains(&key);
        assert!(holder.is_none_or(|holder| known(holder.key)));
        assert!(host_key.is_some_and(known));
    }
    if let Some([known, now]) = names::renamed("eui.a1a1a1a1a1a1a1a1", data) {
        assert_ne!(known, now);
    }
}
