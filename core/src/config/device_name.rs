//! Names of disks, as people write them in the configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::quoted;

/// The name of a disk in the configuration. All nodes share the configuration, so the
/// name has to work on each of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// A path under /dev that survives a reboot.
    Path(PathBuf),
    /// The world-wide identifier that the device reports, such as `naa.6001405...`.
    Wwid(String),
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Wwid(wwid) => f.write_str(wwid),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(inside) = text.strip_prefix("/dev/") {
            let steps_out = inside.split('/').any(|part| matches!(part, "" | "." | ".."));
            // The path will be written into LIO's `control` file, where a comma ends a
            // value.
            let ends = |c: char| matches!(c, ',' | '\\') || c.is_control();
            if steps_out || text.len() > 255 || text.contains(ends) {
                return Err(format!("{} is not a plain path under /dev", quoted(text)));
            }
            if volatile(inside) {
                return Err(format!(
                    "'{text}' may name another disk after a reboot, or on the partner; use \
                     its path under /dev/disk/by-id or its WWID"
                ));
            }
            return Ok(Self::Path(text.into()));
        }
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        if text.len() >= 8 && text.len() <= 128 && text.chars().all(plain) {
            return Ok(Self::Wwid(text.to_owned()));
        }
        Err(format!("{} is neither a path under /dev nor a WWID", quoted(text)))
    }
}

impl TryFrom<String> for DeviceName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

/// Returns whether a name under /dev may belong to another disk after a reboot or on the
/// partner. Such names are numbered in the order of discovery, by the kernel or by a
/// program of one node. Names made from labels and UUIDs on the disk are no better,
/// because initiators write those.
fn volatile(name: &str) -> bool {
    const NUMBERED: [&str; 11] = [
        "nvme", "dm-", "md", "zd", "rbd", "nbd", "loop", "ram", "zram", "mmcblk", "pmem",
    ];
    const LETTERED: [&str; 5] = ["sd", "vd", "hd", "xvd", "emcpower"];
    const FOLDERS: [&str; 4] =
        ["block/", "disk/by-diskseq/", "disk/by-label/", "disk/by-uuid/"];
    let rest = |prefix: &&str| name.strip_prefix(*prefix);
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let lettered =
        |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric());
    NUMBERED.iter().filter_map(rest).any(numbered)
        || LETTERED.iter().filter_map(rest).any(lettered)
        || FOLDERS.iter().filter_map(rest).next().is_some()
}

impl DeviceName {
    /// Returns the reason why another disk may have this name on another node, or at
    /// another time; `None` for a name that only one disk can have.
    #[must_use]
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        let Self::Path(path) = self else { return None };
        let text = path.to_str()?.strip_prefix("/dev/")?;
        let friendly = |name: &str| {
            let letters = name.strip_prefix("mpath");
            letters.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_lowercase()))
        };
        if text.starts_with("disk/by-path/") {
            return Some("it names a place, and any disk may be there");
        }
        text.strip_prefix("mapper/")
            .is_some_and(friendly)
            .then_some("each node's multipath deals such names out by itself")
    }
}
