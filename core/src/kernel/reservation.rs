//! Persistent reservations as disks report them, and the parsing of SCSI disks' answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A reservation key. A registered key of a SCSI disk is never zero.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Key(pub u64);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

/// The reservation type Write Exclusive, Registrants Only, by its number in SPC-4 (table
/// 64) and in answers to PERSISTENT RESERVE IN.
pub const WRITE_EXCLUSIVE_REGISTRANTS_ONLY: u8 = 5;

/// The reservation types with which every registrant is a holder.
pub const ALL_REGISTRANTS: [u8; 2] = [7, 8];

/// The holder of a disk's reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
pub struct Holder {
    /// The holder's key; zero if all registrants hold the reservation.
    pub key: Key,
    /// The reservation's type, as SPC-4 numbers it.
    pub kind: u8,
}

/// The registered keys and the reservation of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
pub struct Reservation {
    /// The registered keys, one for each I_T nexus. A node's key appears once for each of
    /// its paths.
    pub keys: Vec<Key>,
    /// The holder; `None` if the disk is not reserved.
    pub holder: Option<Holder>,
    /// The key registered under this node's NVMe Host ID, or zero if there is none.
    /// `None` for SCSI disks, which do not report whose a registration is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<Key>,
}

impl Reservation {
    /// Parses the answer to PERSISTENT RESERVE IN, READ FULL STATUS (SPC-4 6.15.5), which
    /// has the keys and the holder.
    ///
    /// # Errors
    /// In words: the answer is shorter than it announces, or ends within a registrant.
    pub fn parse(answer: &[u8]) -> Result<Self, String> {
        let mut rest = body(answer, "READ FULL STATUS")?;
        let mut found = Self::default();
        while !rest.is_empty() {
            let registrant = Registrant::of(rest)
                .ok_or("READ FULL STATUS answered with less than a registrant")?;
            found.keys.push(registrant.key);
            found.holder = found.holder.or(registrant.holds);
            rest = rest.get(registrant.length..).unwrap_or_default();
        }
        Ok(found)
    }

    /// Parses the answer to PERSISTENT RESERVE IN, READ KEYS (SPC-4 6.15.2).
    ///
    /// # Errors
    /// In words: the answer is shorter than it announces, or ends within a key.
    pub fn parse_keys(answer: &[u8]) -> Result<Vec<Key>, String> {
        let body = body(answer, "READ KEYS")?;
        let keys = body.chunks_exact(8);
        if !keys.remainder().is_empty() {
            // The bytes that are left may be a part of another node's key.
            return Err(format!("READ KEYS answered {} bytes of keys", body.len()));
        }
        Ok(keys.map(|chunk| Key(be64(chunk))).collect())
    }

    /// Parses the answer to PERSISTENT RESERVE IN, READ RESERVATION (SPC-4 6.15.3).
    ///
    /// # Errors
    /// In words: the answer is shorter than it announces, or has only a part of a
    /// descriptor.
    pub fn parse_holder(answer: &[u8]) -> Result<Option<Holder>, String> {
        let body = body(answer, "READ RESERVATION")?;
        if body.is_empty() {
            return Ok(None);
        }
        match (body.get(..8), body.get(13)) {
            (Some(key), Some(kind)) => {
                Ok(Some(Holder { key: Key(be64(key)), kind: kind & 0x0f }))
            }
            _ => Err("READ RESERVATION answered with less than one descriptor".into()),
        }
    }
}

/// A registrant in an answer to READ FULL STATUS.
struct Registrant {
    key: Key,
    holds: Option<Holder>,
    /// The length of its descriptor in bytes, including the name of the registrant's
    /// port.
    length: usize,
}

impl Registrant {
    /// Parses the first descriptor of a list; `None` if it is not complete.
    fn of(descriptors: &[u8]) -> Option<Self> {
        const HOLDS: u8 = 0x01;
        let key = Key(be64(descriptors.get(..8)?));
        let kind = descriptors.get(13)? & 0x0f;
        let holder = Holder {
            key: if ALL_REGISTRANTS.contains(&kind) { Key(0) } else { key },
            kind,
        };
        let name = usize::try_from(be64(descriptors.get(20..24)?)).ok()?;
        let length =
            name.checked_add(24).filter(|length| *length <= descriptors.len())?;
        let holds = (descriptors.get(12)? & HOLDS != 0).then_some(holder);
        Some(Self { key, holds, length })
    }
}

/// Returns the body of an answer, without the generation and the length at its beginning.
fn body<'a>(answer: &'a [u8], command: &str) -> Result<&'a [u8], String> {
    let length = answer
        .get(4..8)
        .map(|bytes| bytes.iter().fold(0usize, |sum, b| (sum << 8) | usize::from(*b)));
    length.and_then(|length| answer.get(8..)?.get(..length)).ok_or_else(|| {
        format!("{command} answered {} bytes, fewer than it announces", answer.len())
    })
}

/// Returns a big-endian number, as SCSI writes them.
pub(super) fn be64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_read() {
        let mut keys = vec![0, 0, 0, 9, 0, 0, 0, 16];
        keys.extend(7u64.to_be_bytes());
        keys.extend(8u64.to_be_bytes());
        keys.extend([0xff; 4]);
        assert_eq!(Reservation::parse_keys(&keys), Ok(vec![Key(7), Key(8)]));
        keys[7] = 12;
        assert!(Reservation::parse_keys(&keys).unwrap_err().contains("12 bytes"));

        let mut held = vec![0, 0, 0, 9, 0, 0, 0, 16];
        held.extend(7u64.to_be_bytes());
        held.extend([0, 0, 0, 0, 0, 0x05, 0, 0]);
        let holder = Holder { key: Key(7), kind: WRITE_EXCLUSIVE_REGISTRANTS_ONLY };
        assert_eq!(Reservation::parse_holder(&held), Ok(Some(holder)));
        assert_eq!(Reservation::parse_holder(&[0; 8]), Ok(None));
        assert!(Reservation::parse_holder(&held[..20]).is_err());
    }

    #[test]
    fn the_full_status_is_read() {
        let registrant = |key: u64, holds: u8, kind: u8, name: &[u8]| {
            let mut bytes = key.to_be_bytes().to_vec();
            bytes.extend([0, 0, 0, 0, holds, kind, 0, 0, 0, 0, 0, 1]);
            bytes.extend((name.len() as u32).to_be_bytes());
            bytes.extend(name);
            bytes
        };
        let answer = |registrants: &[Vec<u8>]| {
            let body = registrants.concat();
            let mut bytes = vec![0, 0, 0, 9];
            bytes.extend((body.len() as u32).to_be_bytes());
            bytes.extend(body);
            bytes
        };
        let two =
            answer(&[registrant(8, 0, 0, b"iqn"), registrant(7, 1, 0x05, b"iqn.x")]);
        let kind = WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
        let holder = Some(Holder { key: Key(7), kind });
        let keys = vec![Key(8), Key(7)];
        assert_eq!(
            Reservation::parse(&two),
            Ok(Reservation { keys, holder, host_key: None })
        );
        let all = answer(&[registrant(8, 1, 7, b""), registrant(7, 1, 7, b"")]);
        let holder = Some(Holder { key: Key(0), kind: 7 });
        assert_eq!(Reservation::parse(&all).unwrap().holder, holder);
        assert_eq!(Reservation::parse(&[0; 8]), Ok(Reservation::default()));
        assert!(Reservation::parse(&two[..two.len() - 1]).is_err());
        let mut amid = two.clone();
        amid[7] -= 1;
        assert!(Reservation::parse(&amid).unwrap_err().contains("registrant"));
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Reservation::parse(&answer);
            let _ = Reservation::parse_keys(&answer);
            let _ = Reservation::parse_holder(&answer);
        }
    }
}
