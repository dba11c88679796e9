//! Parses the answer to the NVMe command Reservation Report.

use crate::kernel::reservation::{ALL_REGISTRANTS, Holder, Key, Reservation};

/// SCSI's number for each reservation type, indexed by NVMe's number. The first stands
/// for no reservation.
const TYPES: [u8; 7] = [0, 1, 3, 5, 6, 7, 8];

/// The layout of a report, in bytes. Reports with short and with long Host IDs differ.
struct Layout {
    header: usize,
    registrant: usize,
    /// The offset of the key within a registrant.
    key: usize,
    /// The offset of the Host ID within a registrant.
    host: usize,
}

impl Layout {
    /// Returns the layout of reports with Host IDs as long as this one.
    fn of(host: &[u8]) -> Self {
        match host.len() {
            16 => Self { header: 64, registrant: 64, key: 8, host: 16 },
            _ => Self { header: 24, registrant: 24, key: 16, host: 8 },
        }
    }
}

/// Returns the length that a report announces at its beginning, in bytes.
#[must_use]
pub fn length(report: &[u8], host: &[u8]) -> usize {
    let layout = Layout::of(host);
    layout.header + count(report).unwrap_or(0) * layout.registrant
}

/// Returns the number of registrants that a report announces.
fn count(report: &[u8]) -> Option<usize> {
    report.get(5..7).map(|count| le64(count) as usize)
}

/// Parses a report. The registrant with the Host ID `host` is this node. A host may be
/// listed several times, once for each of its controllers.
///
/// # Errors
/// In words: the report is shorter than it announces, or contradicts itself.
pub fn parse(report: &[u8], host: &[u8]) -> Result<Reservation, String> {
    let layout = Layout::of(host);
    let whole = count(report)
        .and_then(|count| report.get(layout.header..)?.get(..count * layout.registrant));
    let registrants = whole.ok_or_else(|| {
        let length = report.len();
        format!("Reservation Report answered {length} bytes, fewer than it announces")
    })?;
    let number = report.get(4).copied().unwrap_or(0);
    let kind = TYPES.get(usize::from(number)).copied().ok_or_else(|| {
        format!("Reservation Report answered with the unknown type {number}")
    })?;
    let mut found = Reservation { host_key: Some(Key(0)), ..Reservation::default() };
    let mut holder = None;
    for registrant in registrants.chunks_exact(layout.registrant) {
        let at = |start: usize, length| {
            registrant.get(start..start + length).unwrap_or_default()
        };
        let key = Key(le64(at(layout.key, 8)));
        found.keys.push(key);
        if at(2, 1).iter().any(|status| status & 1 != 0) {
            holder = holder.or(Some(key));
        }
        if at(layout.host, host.len()) == host {
            found.host_key = Some(key);
        }
    }
    // If all registrants hold the reservation, there is no single holder. Key zero stands
    // for all.
    found.holder = match (kind, holder) {
        (0, None) => None,
        (kind, _) if ALL_REGISTRANTS.contains(&kind) => {
            Some(Holder { key: Key(0), kind })
        }
        (1.., Some(key)) => Some(Holder { key, kind }),
        _ => {
            return Err(format!(
                "Reservation Report answered with type {number}, and {} holder",
                if holder.is_some() { "a" } else { "no" }
            ));
        }
    };
    Ok(found)
}

/// Returns a little-endian number, as NVMe writes them.
fn le64(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: [u8; 16] = [0xa1; 16];
    const THEIRS: [u8; 16] = [0xb2; 16];

    /// Returns a report with this reservation type and these registrants. A registrant is
    /// its key, its Host ID, and whether it holds the reservation.
    fn report(number: u8, registrants: &[(u64, &[u8], bool)]) -> Vec<u8> {
        let long = registrants.first().is_none_or(|(_, host, _)| host.len() == 16);
        let mut bytes = vec![9, 0, 0, 0, number, registrants.len() as u8, 0];
        bytes.resize(if long { 64 } else { 24 }, 0);
        for (key, host, holds) in registrants {
            bytes.extend([0xff, 0xff, u8::from(*holds), 0, 0, 0, 0, 0]);
            match long {
                true => {
                    bytes.extend(key.to_le_bytes());
                    bytes.extend(*host);
                    bytes.extend([0; 32]);
                }
                false => {
                    bytes.extend(*host);
                    bytes.extend(key.to_le_bytes());
                }
            }
        }
        bytes
    }

    fn read(report: &[u8]) -> Reservation {
        parse(report, &OURS).unwrap()
    }

    #[test]
    fn a_report_is_read() {
        let held = read(&report(3, &[(7, &OURS, true), (8, &THEIRS, false)]));
        assert_eq!(held.keys, [Key(7), Key(8)]);
        assert_eq!(held.holder, Some(Holder { key: Key(7), kind: 5 }));
        assert_eq!(held.host_key, Some(Key(7)));
        let free = read(&report(0, &[(8, &THEIRS, false)]));
        assert_eq!((free.holder, free.host_key), (None, Some(Key(0))));
        assert_eq!(read(&report(0, &[])).keys, []);
    }

    #[test]
    fn a_report_with_short_host_ids_is_read() {
        let (ours, theirs) = (OURS.get(..8).unwrap(), THEIRS.get(..8).unwrap());
        let both = report(3, &[(8, theirs, true), (7, ours, false)]);
        let found = parse(&both, ours).unwrap();
        assert_eq!(found.keys, [Key(8), Key(7)]);
        assert_eq!(found.holder, Some(Holder { key: Key(8), kind: 5 }));
        assert_eq!(found.host_key, Some(Key(7)));
    }

    #[test]
    fn types_have_scsis_numbers() {
        let kinds = (1..=6).map(|number| {
            let holder = read(&report(number, &[(7, &OURS, true)])).holder.unwrap();
            (holder.kind, holder.key.0)
        });
        let kinds: Vec<_> = kinds.collect();
        assert_eq!(kinds, [(1, 7), (3, 7), (5, 7), (6, 7), (7, 0), (8, 0)]);
        assert!(parse(&report(7, &[(7, &OURS, true)]), &OURS).is_err());
    }

    #[test]
    fn what_is_at_odds_with_itself_is_not_taken_for_free() {
        for (number, holds) in [(3, false), (0, true)] {
            let report = report(number, &[(7, &OURS, holds)]);
            assert!(parse(&report, &OURS).is_err(), "{number}");
        }
        let whole = report(3, &[(7, &OURS, true)]);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], &OURS).is_err(), "{end}");
        }
        assert_eq!(length(&whole[..8], &OURS), whole.len());
    }

    proptest! {
        #[test]
        fn no_answer_panics(
            answer in proptest::collection::vec(any::<u8>(), 0..300),
            long in any::<bool>(),
        ) {
            let host = if long { &OURS[..] } else { &OURS[..8] };
            let _ = length(&answer, host);
            if let Ok(found) = parse(&answer, host) {
                let holder = found.holder.map_or(Key(0), |holder| holder.key);
                prop_assert!(holder == Key(0) || found.keys.contains(&holder));
                prop_assert!(found.host_key.is_some());
            }
        }
    }
}
