//! LUN numbers, and the disks that initiators know behind them. An initiator remembers the
//! disk of a number by that number: behind it, another disk gets what was meant for the
//! first. So a number keeps its disk, on whichever node and through every change.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::digest::fnv128;
use crate::disk::Disk;
use crate::group::Group;
use crate::lio::{self, Export};
use crate::wwn::Wwn;

/// The numbers of a group, each with a digest of its LUN's unit serial number. Printed and
/// read as `WWNN LUN:SERIAL,LUN:SERIAL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Under another node name initiators know nothing of the group.
    wwnn: Wwn,
    luns: BTreeMap<u16, u32>,
}

impl Numbers {
    /// Returns the numbers of a group with these disks.
    pub fn of(group: &Group, disks: &[Disk]) -> Self {
        let digest = |disk: &Disk| fnv128(&[&disk.unit_serial(group.wwnn)]) as u32;
        let luns = disks.iter().map(|disk| (disk.lun, digest(disk))).collect();
        Self { wwnn: group.wwnn, luns }
    }

    /// Returns the numbers that had another disk before.
    pub fn moved_since(&self, before: &Self) -> Vec<u16> {
        let moved = |(number, serial): (&u16, &u32)| {
            let was = before.luns.get(number).filter(|_| before.wwnn == self.wwnn);
            was.is_some_and(|was| was != serial).then_some(*number)
        };
        self.luns.iter().filter_map(moved).collect()
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.wwnn)?;
        for (i, (number, serial)) in self.luns.iter().enumerate() {
            let before = if i == 0 { " " } else { "," };
            write!(f, "{before}{number}:{serial:08x}")?;
        }
        Ok(())
    }
}

impl FromStr for Numbers {
    /// The part that makes no sense.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (wwnn, luns) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let wwnn = wwnn.parse().map_err(|_| wwnn.to_owned())?;
        let lun = |word: &str| {
            let (number, serial) = word.split_once(':')?;
            Some((number.parse().ok()?, u32::from_str_radix(serial, 16).ok()?))
        };
        let words = luns.split(',').filter(|word| !word.is_empty());
        let luns = words.map(|word| lun(word).ok_or_else(|| word.to_owned()));
        Ok(Self { wwnn, luns: luns.collect::<Result<_, _>>()? })
    }
}

/// Returns, in words, each LUN that is exported here and is configured to be another disk.
pub fn misplaced(group: &Group, disks: &[Disk], export: &Export) -> Vec<String> {
    let words = |disk: &Disk| {
        let path = lio::backstore_path(group.wwnn, disk.lun);
        let there = export.backstore(&path).filter(|there| there.enabled)?;
        let moved = there.serial != disk.unit_serial(group.wwnn);
        moved.then(|| {
            let (lun, its) = (disk.lun, there.device.display());
            format!("LUN {lun} is {its}, and configured as {}", disk.device)
        })
    };
    disks.iter().filter_map(words).collect()
}

/// The step in which numbers are compared.
pub const KEEP: &str = "keep the disks behind LUN numbers";
/// How a number gets another disk.
pub const OUT_THEN_IN: &str = "Take the number out of disks first, and let initiators forget \
                               it; bring it in with its new disk in a second change";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "20:00:00:25:b5:00:00:0a 0:0000000a,7:0000000b";

    #[test]
    fn what_is_printed_is_read() {
        let read: Numbers = TEXT.parse().unwrap();
        assert_eq!(read.to_string(), TEXT);
        let none: Numbers = "20:00:00:25:b5:00:00:0a\n".parse().unwrap();
        assert_eq!((none.luns.len(), none.moved_since(&read).len()), (0, 0));
        for wrong in ["", "x 0:1", "20:00:00:25:b5:00:00:0a 0", "20000025b500000a 0:x"] {
            assert!(wrong.parse::<Numbers>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_that_comes_or_goes_has_not_moved() {
        let before: Numbers = TEXT.parse().unwrap();
        let moved = |text: &str| text.parse::<Numbers>().unwrap().moved_since(&before);
        assert_eq!(moved("20:00:00:25:b5:00:00:0a 0:0000000a,8:0000000b"), [0_u16; 0]);
        assert_eq!(moved("20:00:00:25:b5:00:00:0a 0:0000000b,7:0000000a"), [0, 7]);
        assert_eq!(moved("20:00:00:25:b5:00:00:0b 0:0000000b,7:0000000a"), [0_u16; 0]);
    }
}
