//! What a disk answers.

use understudy_core::kernel::reservation::{Key, Reservation};
use understudy_core::kernel::sense::sense_of;

/// Sense data, READ KEYS, READ RESERVATION and READ FULL STATUS.
pub fn scsi(data: &[u8]) {
    let (key, _) = sense_of(data);
    assert!(key <= 0x0f);
    let keys = Reservation::parse_keys(data);
    let holder = Reservation::parse_holder(data);
    if let (Ok(keys), Some([_, _, _, _, length @ ..])) = (&keys, data.first_chunk::<8>())
    {
        // Every key that was announced, and no other.
        assert_eq!(keys.len() * 8, u32::from_be_bytes(*length) as usize);
    }
    let both = keys.ok().zip(holder.ok());
    let both = both.map(|(keys, holder)| Reservation { keys, holder });
    for found in both.into_iter().chain(Reservation::parse(data)) {
        let owner = found.holder.map_or(Key(0), |holder| holder.key);
        // Nobody owns a disk on which another key is registered.
        let alone = found.keys.iter().all(|key| *key == owner);
        assert!(!found.owned_by(owner) || alone && found.holder.is_some());
    }
}
