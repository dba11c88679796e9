//! Fuzz target for what a SCSI disk answers.

use understudy_core::kernel::disk::sense::sense_of;
use understudy_core::kernel::reservation::{Key, Reservation};

/// Reads bytes as sense data, and as the answers to READ KEYS, READ RESERVATION and READ
/// FULL STATUS.
pub fn scsi(data: &[u8]) {
    let (key, _) = sense_of(data);
    assert!(key <= 0x0f);
    let keys = Reservation::parse_keys(data);
    if let (Ok(keys), Some([_, _, _, _, length @ ..])) = (&keys, data.first_chunk::<8>())
    {
        // Every key that was announced, and no other.
        assert_eq!(keys.len() * 8, u32::from_be_bytes(*length) as usize);
    }
    let _ = Reservation::parse_holder(data);
    // The holder is one of the registrants, or all of them.
    if let Ok(Reservation { keys, holder: Some(holder), .. }) = Reservation::parse(data) {
        assert!(holder.key == Key(0) || keys.contains(&holder.key));
    }
}
