//! The ports and disks of a group, each parsed from one word of the configuration.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::device_name::DeviceName;
use super::slot::Slot;
use crate::text::quoted;
use crate::wwn::{Wwn, WwnError};

/// A virtual port of a group, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The port name (WWPN), by which initiators know the port.
    pub wwpn: Wwn,
    /// The names of the fabric that the port must appear in; empty if any fabric will do.
    /// One fabric may have several names, because a port calls it by the switch next to
    /// the port.
    pub fabrics: Vec<Wwn>,
}

impl PortSpec {
    /// Returns whether the port may appear in the fabric with this name.
    pub(crate) fn goes_to(&self, fabric: Wwn) -> bool {
        self.fabrics.is_empty() || self.fabrics.contains(&fabric)
    }

    /// Returns the names of the port's fabric, for people: `A or B`.
    pub(crate) fn fabrics_in_words(&self) -> String {
        let names: Vec<_> = self.fabrics.iter().map(Wwn::to_string).collect();
        names.join(" or ")
    }
}

/// Parses a port: `WWPN`, or `WWPN@FABRIC|FABRIC`.
impl FromStr for PortSpec {
    type Err = WwnError;

    fn from_str(word: &str) -> Result<Self, WwnError> {
        let (wwpn, fabrics) = match word.split_once('@') {
            Some((wwpn, fabrics)) => {
                (wwpn, fabrics.split('|').map(str::parse).collect::<Result<_, _>>()?)
            }
            None => (word, Vec::new()),
        };
        Ok(Self { wwpn: wwpn.parse()?, fabrics })
    }
}

/// A disk of a group, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// The disk's place in the group.
    #[serde(rename = "lun")]
    pub slot: Slot,
    /// How the configuration names the disk.
    pub device: DeviceName,
}

/// The largest LUN number. Larger ones need an addressing method that LIO does not
/// decode.
const LUN_MAX: u16 = 16383;

/// Parses a disk: `LUN=DEVICE`.
impl FromStr for DiskSpec {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (lun, device) = word.split_once('=').ok_or_else(|| {
            let word = quoted(word);
            format!("{word} is not LUN=DEVICE, for instance 0=/dev/disk/by-id/wwn-0x6001")
        })?;
        let lun =
            lun.parse::<u16>().ok().filter(|lun| *lun <= LUN_MAX).ok_or_else(|| {
                let (lun, word) = (quoted(lun), quoted(word));
                format!("{lun} in {word} is not a LUN number from 0 to {LUN_MAX}")
            })?;
        Ok(Self { slot: Slot::Lun(lun), device: device.parse()? })
    }
}
