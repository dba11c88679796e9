//! LUN numbers, and the disks that initiators know behind them. An initiator knows a disk
//! by its LUN number alone. If another disk came under the number, it would get the
//! writes that are meant for the first. So a number keeps its disk, on every node and
//! through every change. Its disk must not become smaller either, because writes to the
//! end would be refused.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::action::failure::{Failure, Kind};
use crate::config::group::Group;
use crate::digest::fnv128;
use crate::disks::disk::Disk;
use crate::kernel::{Kernel, attribute, paths};
use crate::lio::{self, Export};
use crate::wwn::Wwn;

/// The LUN numbers of a group, each with what initiators know of its disk. As text:
/// `WWNN LUN:SERIAL:SECTORS,LUN:SERIAL:SECTORS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// The group's node name. Under another name, initiators would know none of its LUNs.
    wwnn: Wwn,
    luns: BTreeMap<u16, Known>,
}

/// What initiators know of a LUN's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// A digest of the LUN's unit serial number.
    serial: u32,
    /// The size in sectors of 512 bytes; `None` if it could not be read.
    sectors: Option<u64>,
}

/// A LUN whose disk has become smaller. Sizes are in sectors of 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Smaller {
    /// The LUN number.
    pub lun: u16,
    /// The size that initiators know.
    pub was: u64,
    /// The size that this node sees.
    pub is: u64,
}

impl fmt::Display for Smaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lun, was, is } = self;
        write!(f, "LUN {lun} has {is} sectors here, and initiators know {was}")
    }
}

impl Numbers {
    /// Returns the LUN numbers of a group with these disks and their sizes on this node.
    pub fn of(kernel: &dyn Kernel, group: &Group, disks: &[Disk]) -> Self {
        let known = |disk: &Disk| {
            let serial = fnv128(&[&disk.unit_serial(group.wwnn)]) as u32;
            let sectors = attribute(kernel, &paths::block(&disk.name, "size")).ok();
            Known { serial, sectors: sectors.and_then(|text| text.parse().ok()) }
        };
        let luns = disks
            .iter()
            .filter_map(|disk| Some((disk.slot.lun()?, known(disk))))
            .collect();
        Self { wwnn: group.wwnn, luns }
    }

    /// Returns the numbers that have another disk than in `before`.
    pub fn moved_since(&self, before: &Self) -> Vec<u16> {
        let moved = self.both(before).filter(|(_, was, is)| was.serial != is.serial);
        moved.map(|(lun, ..)| lun).collect()
    }

    /// Returns the LUNs whose disk is smaller than in `before`.
    pub fn smaller_than(&self, before: &Self) -> Vec<Smaller> {
        let smaller = |(lun, was, is): (u16, Known, Known)| {
            let (was, is) = (was.sectors?, is.sectors?);
            (is < was).then_some(Smaller { lun, was, is })
        };
        self.both(before).filter_map(smaller).collect()
    }

    /// Returns whether the only change since `before` is that disks have grown.
    pub fn has_grown_since(&self, before: &Self) -> bool {
        let is_same = |(_, was, is): (u16, Known, Known)| {
            was.serial == is.serial && was.sectors <= is.sectors
        };
        let all = self.luns.keys().eq(before.luns.keys());
        self != before && all && self.both(before).all(is_same)
    }

    /// Takes the size from `before` wherever it is larger. Initiators may still use a
    /// size that they once knew.
    pub fn keep_sizes(&mut self, before: &Self) {
        let known: Vec<_> = self.both(before).collect();
        for (lun, was, is) in
            known.into_iter().filter(|(_, was, is)| was.serial == is.serial)
        {
            self.luns.insert(lun, Known { sectors: is.sectors.max(was.sectors), ..is });
        }
    }

    /// Returns each number that is in both, with what `before` and `self` have for it, in
    /// this order.
    fn both<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (u16, Known, Known)> + 'a {
        let luns = self.luns.iter().filter(|_| before.wwnn == self.wwnn);
        luns.filter_map(|(lun, is)| Some((*lun, *before.luns.get(lun)?, *is)))
    }
}

/// Checks that no disk of a group is smaller than initiators know it.
///
/// # Errors
/// [`Kind::Node`], because another node may see the disk's new size already.
pub(crate) fn not_smaller(
    kernel: &dyn Kernel,
    group: &Group,
    disks: &[Disk],
    before: &Numbers,
) -> Result<(), Failure> {
    let smaller = Numbers::of(kernel, group, disks).smaller_than(before);
    if smaller.is_empty() {
        return Ok(());
    }
    let causes = smaller.iter().map(Smaller::to_string);
    let advice = format!(
        "Initiators would lose what is at the end. Have this node read the size: \
         echo 1 > /sys/block/NAME/device/rescan, and multipathd resize map NAME. If the disk \
         was made smaller on purpose: understudy accept {}",
        group.name
    );
    Err(Failure::of(Kind::Node, KEEP, causes).advise(advice))
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.wwnn)?;
        for (i, (number, known)) in self.luns.iter().enumerate() {
            let before = if i == 0 { " " } else { "," };
            write!(f, "{before}{number}:{:08x}", known.serial)?;
            if let Some(sectors) = known.sectors {
                write!(f, ":{sectors}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Numbers {
    /// The part of the text that cannot be parsed.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (wwnn, luns) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let wwnn = wwnn.parse().map_err(|_| wwnn.to_owned())?;
        let lun = |word: &str| {
            let mut parts = word.split(':');
            let number = parts.next()?.parse().ok()?;
            let serial = u32::from_str_radix(parts.next()?, 16).ok()?;
            let sectors = parts.next().map(str::parse).transpose().ok()?;
            parts.next().is_none().then_some((number, Known { serial, sectors }))
        };
        let words = luns.split(',').filter(|word| !word.is_empty());
        let luns = words.map(|word| lun(word).ok_or_else(|| word.to_owned()));
        Ok(Self { wwnn, luns: luns.collect::<Result<_, _>>()? })
    }
}

/// Returns a sentence for each LUN that is exported with another disk than the configured
/// one.
pub(crate) fn misplaced(group: &Group, disks: &[Disk], export: &Export) -> Vec<String> {
    let words = |disk: &Disk| {
        let path = lio::backstore_of(group.wwnn, disk)?;
        let there = export.backstore(&path).filter(|there| there.enabled)?;
        let moved = there.serial != disk.unit_serial(group.wwnn);
        moved.then(|| {
            let (slot, its) = (disk.slot, there.device.display());
            format!("{slot} is {its}, and configured as {}", disk.device)
        })
    };
    disks.iter().filter_map(words).collect()
}

/// The title of the step that compares the disks behind LUN numbers.
pub const KEEP: &str = "keep the disks behind LUN numbers";
/// Advice on how to put another disk behind a LUN number.
pub const OUT_THEN_IN: &str = "Remove the number from disks first, and have initiators \
                               forget it. Then add it with its new disk in a second \
                               change";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "20:00:00:25:b5:00:00:0a 0:0000000a:2048,7:0000000b";

    #[test]
    fn what_is_printed_is_read() {
        let read: Numbers = TEXT.parse().unwrap();
        assert_eq!(read.to_string(), TEXT);
        let none: Numbers = "20:00:00:25:b5:00:00:0a\n".parse().unwrap();
        assert_eq!((none.luns.len(), none.moved_since(&read).len()), (0, 0));
        for wrong in [
            "",
            "x 0:1",
            "20:00:00:25:b5:00:00:0a 0",
            "20000025b500000a 0:x",
            "20000025b500000a 0:1:x",
            "20000025b500000a 0:1:2:3",
        ] {
            assert!(wrong.parse::<Numbers>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_disk_that_has_grown_is_not_smaller() {
        let before: Numbers = TEXT.parse().unwrap();
        let smaller = |luns: &str| {
            let now: Numbers = format!("20:00:00:25:b5:00:00:0a {luns}").parse().unwrap();
            now.smaller_than(&before)
        };
        assert_eq!(smaller("0:0000000a:2048,7:0000000b:8"), []);
        assert_eq!(smaller("0:0000000a:4096,7:0000000b:8"), []);
        assert_eq!(smaller("0:0000000a,8:0000000b:8"), []);
        let grown = |luns: &str| {
            let now: Numbers = format!("20:00:00:25:b5:00:00:0a {luns}").parse().unwrap();
            now.has_grown_since(&before)
        };
        assert!(grown("0:0000000a:4096,7:0000000b"));
        assert!(!grown("0:0000000a:2048,7:0000000b"));
        for other in ["0:0000000a:4096", "0:0000000c:4096,7:0000000b"] {
            assert!(!grown(other), "{other}");
        }
        assert!(!grown("0:0000000a:4096,8:0000000b"));
        let mut now: Numbers =
            "20:00:00:25:b5:00:00:0a 0:0000000a:8,7:0000000c".parse().unwrap();
        now.keep_sizes(&before);
        assert_eq!(now.to_string(), "20:00:00:25:b5:00:00:0a 0:0000000a:2048,7:0000000c");
        let one = Smaller { lun: 0, was: 2048, is: 2047 };
        assert_eq!(smaller("0:0000000a:2047,7:0000000b:8"), [one]);
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
