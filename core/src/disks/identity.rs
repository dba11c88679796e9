//! What initiators see of a group's LUNs, in a form short enough to send to another node.
//! If two nodes presented different disks under one port name, initiators would take one
//! disk for another.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::config::group::Group;
use crate::digest::fnv128;
use crate::disks::disk::{self, Disk};
use crate::kernel::{self, Kernel, paths};
use crate::wwn::Wwn;

/// What initiators see of one LUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lun {
    /// A digest of the unit serial number, from which the NAA identifier comes.
    serial: u32,
    /// The size of a block in bytes; 0 if the disk does not report it.
    block: u32,
    /// The size of the disk in units of 512 bytes; 0 if the disk does not report it.
    sectors: u64,
    /// A digest of the limits that LIO takes from this node's path to the disk, because
    /// they cannot be set in LIO. `None` if they are not known.
    limits: Option<u16>,
}

/// The attributes in `Lun::limits`. Initiators see them as the largest and the best
/// transfer (VPD page B0) and the write cache (mode page 8, VPD page 86).
const LIMITS: [&str; 4] = [
    "queue/max_hw_sectors_kb",
    "queue/minimum_io_size",
    "queue/optimal_io_size",
    "queue/write_cache",
];

/// The LUNs of a group, as a node presents them, or would present them. As text it is a
/// list of `LUN:SERIAL:BLOCK:SECTORS:LIMITS`, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity(BTreeMap<u16, Lun>);

/// A way in which two nodes would present a LUN differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The LUN is on only one of the nodes, or is a different disk on each. The text says
    /// which.
    Another(String),
    /// Only the size differs. A takeover reads the size again, so it will be mended.
    Size(String),
    /// Only limits differ that LIO takes from the node's own path to the disk.
    Limits(String),
}

impl Identity {
    /// Returns what this node presents of a group, or would present: the LUNs whose disks
    /// are on this node.
    pub fn of(kernel: &dyn Kernel, group: &Group) -> Self {
        let disks = disk::find_any(kernel, &group.disks);
        let lun =
            |disk: Disk| Some((disk.slot.lun()?, Lun::of(kernel, &disk, group.wwnn)));
        Self(disks.into_iter().filter_map(lun).collect())
    }

    /// Returns how the LUNs of another node differ from those of this one.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        for (number, here) in &self.0 {
            let Some(there) = other.0.get(number) else {
                found.push(Difference::Another(format!("LUN {number} is not there")));
                continue;
            };
            if (here.serial, here.block) != (there.serial, there.block) {
                let (its, other) = (here.words(), there.words());
                let what = format!("LUN {number} is {its}, there {other}");
                found.push(Difference::Another(what));
                continue;
            }
            if here.sectors != there.sectors {
                let (its, other) = (here.sectors, there.sectors);
                let what = format!("LUN {number} has {its} sectors, there {other}");
                found.push(Difference::Size(what));
            }
            if here.limits.zip(there.limits).is_some_and(|(its, other)| its != other) {
                found.push(Difference::Limits(format!("LUN {number}")));
            }
        }
        let only_there = other.0.keys().filter(|number| !self.0.contains_key(number));
        let only_there = only_there.map(|n| format!("LUN {n} is there alone"));
        found.extend(only_there.map(Difference::Another));
        found
    }
}

impl Lun {
    fn of(kernel: &dyn Kernel, disk: &Disk, wwnn: Wwn) -> Self {
        let number = |attribute| {
            let path = paths::block(&disk.name, attribute);
            kernel::attribute(kernel, &path).ok().and_then(|text| text.parse().ok())
        };
        let block = number("queue/logical_block_size").unwrap_or(0);
        let limit = |attribute: &&str| {
            kernel::attribute(kernel, &paths::block(&disk.name, attribute)).ok()
        };
        // If one of the limits cannot be read, all of them count as unknown.
        let limits: Option<Vec<String>> = LIMITS.iter().map(limit).collect();
        let digest = |limits: Vec<String>| {
            fnv128(&limits.iter().map(String::as_str).collect::<Vec<_>>()) as u16
        };
        Self {
            serial: fnv128(&[&disk.unit_serial(wwnn)]) as u32,
            block: u32::try_from(block).unwrap_or(0),
            sectors: number("size").unwrap_or(0),
            limits: limits.map(digest),
        }
    }

    fn words(self) -> String {
        format!("{:08x} in blocks of {}", self.serial, self.block)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (number, lun)) in self.0.iter().enumerate() {
            let Lun { serial, block, sectors, limits } = lun;
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{number}:{serial:08x}:{block}:{sectors}")?;
            if let Some(limits) = limits {
                write!(f, ":{limits:04x}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Identity {
    /// The part of the text that cannot be parsed.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lun = |word: &str| {
            let mut parts = word.split(':');
            let mut next = || parts.next();
            let number = next()?.parse().ok()?;
            let serial = u32::from_str_radix(next()?, 16).ok()?;
            let (block, sectors) = (next()?.parse().ok()?, next()?.parse().ok()?);
            let limits = match next() {
                Some(word) => Some(u16::from_str_radix(word, 16).ok()?),
                None => None,
            };
            next().is_none().then_some((number, Lun { serial, block, sectors, limits }))
        };
        let words = text.split(',').filter(|word| !word.is_empty());
        let luns = words.map(|word| lun(word).ok_or_else(|| word.to_owned()));
        luns.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str =
        "0:0000000a:512:2048:00ff,1:0000000b:512:2048:00ff,7:0000000c:4096:8";

    #[test]
    fn what_is_printed_is_read() {
        let read: Identity = HERE.parse().unwrap();
        assert_eq!(read.to_string(), HERE);
        assert_eq!("".parse(), Ok(Identity::default()));
        for wrong in [
            "0",
            "0:xyz:512:1",
            "0:a:512",
            "0:a:512:1:x",
            "0:a:512:1:2:3",
            "70000:a:512:1",
        ] {
            assert_eq!(wrong.parse::<Identity>(), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn a_size_alone_is_another_thing_than_another_disk() {
        let here: Identity = HERE.parse().unwrap();
        assert_eq!(here.differences(&here), []);
        let there = "0:0000000a:512:4096:00fe,1:0000000f:512:2048,9:0000000c:4096:8";
        let said = here.differences(&there.parse().unwrap());
        let words = |s: &str| s.to_owned();
        assert_eq!(
            said,
            [
                Difference::Size(words("LUN 0 has 2048 sectors, there 4096")),
                Difference::Limits(words("LUN 0")),
                Difference::Another(words(
                    "LUN 1 is 0000000b in blocks of 512, there 0000000f in blocks of 512"
                )),
                Difference::Another(words("LUN 7 is not there")),
                Difference::Another(words("LUN 9 is there alone")),
            ]
        );
    }
}
