//! The messages between the lab and the load generator: one JSON value a line, over the
//! generator's standard input and output. Many questions may be open, told apart by their
//! id.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How hard the load presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// As hard as it can.
    Full,
    /// In bursts, each as deep as the queue: two emulating processors have to do something
    /// beside it that is long, as to boot a node.
    Bursts,
}

/// A disk as the initiator reaches it now. What is known of its content goes by the WWID
/// that the kernel has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The group that serves it.
    pub group: String,
    /// The kernel's name for it: `sda`, `dm-0`.
    pub device: String,
}

/// A question or an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the lab.
    pub id: u64,
    /// The question itself.
    pub ask: Ask,
}

/// What the lab may ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Press on these disks and on no others. When it is answered, no request to another
    /// disk is under way and no other disk is open.
    Press {
        /// The disks.
        disks: Vec<Disk>,
        /// How hard.
        pace: Pace,
        /// Requests at a time to each disk.
        depth: u32,
    },
    /// Answered when every disk under load has completed this many more requests.
    Flow {
        /// Requests of each disk.
        requests: usize,
    },
    /// Read back what was written to the disks under load: every block, or those that
    /// were not read since.
    ReadBack {
        /// Whether it is every block.
        all: bool,
    },
    /// Write some blocks of a disk that is not under load there, and read them back.
    Probe {
        /// The disk.
        disk: Disk,
        /// The first mebibyte.
        from: u64,
    },
    /// Say what was seen since the last account, and write down when each request ended.
    Account {
        /// Where to: a file for each disk.
        folder: PathBuf,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub id: u64,
    /// What was seen, or why it cannot be done.
    pub answer: Result<Account, String>,
}

/// What the generator has seen since the last account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Requests that failed.
    pub io_errors: u64,
    /// Blocks that did not hold what was written to them last.
    pub lost_writes: u64,
    /// Blocks that were read and held it.
    pub verified: u64,
    /// The first errors and losses, in words.
    pub troubles: Vec<String>,
}
