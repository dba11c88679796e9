//! The messages between the lab and the load generator: JSON, one value a line, over the
//! generator's standard input and output. Many questions may be open at a time. Their ids
//! tell them apart.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How hard the load presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// As many requests as the depth allows, all the time.
    Full,
    /// Bursts of requests. Two emulating processors need the time between them for work
    /// that is long, such as a node's boot.
    Bursts,
}

/// A disk, by the device that leads to it now. The generator knows its content by its
/// WWID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The group that serves the disk.
    pub group: String,
    /// The kernel's name for the device, such as `sda` or `dm-0`.
    pub device: String,
}

/// A question or an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// A number that the lab chooses. The reply has it too.
    pub id: u64,
    /// The question itself.
    pub ask: Ask,
}

/// What the lab may ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Press on these disks and on no others. At the answer, no request to another disk
    /// is in flight, and no other disk is open.
    Press {
        /// The disks.
        disks: Vec<Disk>,
        /// How hard the load presses.
        pace: Pace,
        /// How many requests are in flight to each disk.
        depth: u32,
    },
    /// Answer when every disk under load has completed this many more requests.
    Flow {
        /// How many requests each disk must complete.
        requests: usize,
    },
    /// Read back what was written to the disks under load: every block, or only the
    /// blocks that were not read since.
    ReadBack {
        /// Whether every block is read.
        all: bool,
    },
    /// Write some blocks of a disk, in a place that is not under load, and read them
    /// back.
    Probe {
        /// The disk.
        disk: Disk,
        /// The mebibyte at which the first block is.
        from: u64,
    },
    /// Say what was seen since the last account, and write into files when each request
    /// ended.
    Account {
        /// The folder, which gets a file for each disk.
        folder: PathBuf,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The number of the request.
    pub id: u64,
    /// What was seen, or why the request cannot be carried out.
    pub answer: Result<Account, String>,
}

/// What the generator has seen since the last account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Requests that failed.
    pub io_errors: u64,
    /// Blocks that did not hold what was written to them last.
    pub lost_writes: u64,
    /// Blocks that were read and held what was written to them last.
    pub verified: u64,
    /// The first errors and losses, in words.
    pub troubles: Vec<String>,
}
