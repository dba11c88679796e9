//! What can be done to the kernel, as plain values: printed in a plan, counted in a
//! test, sent to the process that does it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::error::value_part;
use super::reservation::{Key, Reservation};
use super::state::Record;
use super::{Cause, KernelError, paths};
use crate::wwn::Wwn;

/// An operation. Each is idempotent: if it is done already, it succeeds. Those that
/// notice say so by [`Done::Unchanged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Make a directory (and, in configfs, the object that it stands for).
    MakeDir(PathBuf),
    /// Remove a directory.
    RemoveDir(PathBuf),
    /// Make a symbolic link.
    Link {
        /// The link.
        at: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// Remove a symbolic link.
    Unlink(PathBuf),
    /// Write an attribute, in one `write(2)`: a driver that takes less than all of it
    /// has failed, and the rest must not be sent as a value of its own.
    Write {
        /// The attribute.
        path: PathBuf,
        /// All of what is written.
        text: String,
    },
    /// Write an attribute that not every kernel has. Without the attribute, do nothing.
    WriteIfAny {
        /// The attribute.
        path: PathBuf,
        /// All of what is written.
        text: String,
    },
    /// Write several attributes of a directory, one after the other. For many attributes
    /// that costs less than an operation for each.
    WriteAll {
        /// The directory.
        dir: PathBuf,
        /// Names below it, and what is written.
        values: Vec<(String, String)>,
    },
    /// Check by each path that a disk still is what the kernel found there.
    Identify(PathBuf),
    /// Read the registered keys and the reservation of a disk.
    ReadReservation(PathBuf),
    /// Register a key where this node has none. If it has one, the disk reports a
    /// conflict, so that no key is replaced unseen.
    Join {
        /// The block device.
        disk: PathBuf,
        /// The new key.
        key: Key,
    },
    /// Register a key by every path, replacing any that this node has there.
    Register {
        /// The block device.
        disk: PathBuf,
        /// The new key.
        key: Key,
    },
    /// Register by one path the key that is registered there: a path that is not registered
    /// with it, and a disk that was taken from this node, report a conflict.
    Confirm {
        /// The block device.
        disk: PathBuf,
        /// The key that this node has registered.
        key: Key,
    },
    /// Give up this node's registration, and with it a reservation that it holds.
    Unregister {
        /// The block device.
        disk: PathBuf,
        /// The key that is registered now.
        key: Key,
    },
    /// Take the reservation, Write Exclusive, Registrants Only.
    Reserve {
        /// The block device.
        disk: PathBuf,
        /// The key that this node has registered.
        key: Key,
    },
    /// Remove another's registration, abort its commands, and take its reservation if
    /// it held one.
    PreemptAndAbort {
        /// The block device.
        disk: PathBuf,
        /// The key that this node has registered.
        key: Key,
        /// The key to remove.
        other: Key,
    },
    /// Have multipathd register each path of a multipath device that comes or comes back,
    /// until this node gives its registration up.
    KeepPaths {
        /// The multipath device.
        disk: PathBuf,
        /// The key that this node is about to register.
        key: Key,
    },
    /// Check that multipathd of this node takes keys from us.
    HearMultipathd,
    /// Read the first bytes of a disk, past every cache.
    ReadDisk(PathBuf),
    /// Have the kernel notice that a disk has grown. A disk that does not say how large
    /// it is counts as not grown.
    Rescan(PathBuf),
    /// Get nftables ready, so that what they are asked for is done at once.
    ReadyNft,
    /// Drop commands to a port of software FCoE for the next moment.
    Bar {
        /// The network interface.
        link: String,
        /// The port's name.
        wwpn: Wwn,
        /// The port's address.
        fcid: u32,
    },
    /// Lift the bar of a port, and remove what it needed.
    LiftBar(Wwn),
    /// Have the account of an interface answer for a port of software FCoE that is about to
    /// appear.
    BeginAccount {
        /// The network interface by which frames come.
        link: String,
        /// The network interface by which they leave.
        out: String,
        /// The port's name.
        wwpn: Wwn,
    },
    /// Read the account of an interface.
    ReadAccount(String),
    /// End what the account of an interface has of a port that is gone.
    EndAccount {
        /// The network interface.
        link: String,
        /// The port's name.
        wwpn: Wwn,
        /// The address that the port had.
        fcid: u32,
    },
    /// Have the kernel expedite its RCU grace periods, for this process.
    Expedite,
    /// Restore `rcu_expedited` to its earlier value, unless another process of ours still
    /// needs expedited grace periods.
    Relax,
    /// Read all that a state device has.
    LoadState(PathBuf),
    /// Start a keeper of a state device, unless one runs: a process that lasts, in whose
    /// directory LIO writes what initiators register and reserve.
    Keep {
        /// The state device.
        device: PathBuf,
        /// The directory.
        at: PathBuf,
    },
    /// Check that the keeper of a directory answers.
    HearKeeper(PathBuf),
    /// End the keeper of a directory, and take the directory away.
    EndKeeper(PathBuf),
    /// Send an ECHO to a remote port, by its bsg device, and wait for the answer.
    Echo(PathBuf),
    /// Log a port out of its fabric and nothing else, by its bsg device. If the fabric
    /// does not answer that is no error: it learns in its own time that the port has
    /// gone.
    LogOut {
        /// The bsg device of its host.
        device: PathBuf,
        /// The port's name.
        wwpn: Wwn,
        /// The port's address.
        fcid: u32,
    },
}

/// The verb of [`Op::Unregister`], in an error.
pub const UNREGISTER: &str = "unregister";

impl Op {
    /// Returns the verb, the place and the value, for a sentence or for an error.
    fn parts(&self) -> (&'static str, &Path, Option<String>) {
        match self {
            Self::MakeDir(path) => ("mkdir", path, None),
            Self::RemoveDir(path) => ("rmdir", path, None),
            Self::Link { at, to } => ("link", at, Some(to.display().to_string())),
            Self::Unlink(path) => ("unlink", path, None),
            Self::Write { path, text } | Self::WriteIfAny { path, text } => {
                ("write", path, Some(text.trim_end().to_owned()))
            }
            Self::WriteAll { dir, values } => {
                let each = values.iter().map(|(name, text)| format!("{name}={text}"));
                ("write in", dir, Some(each.collect::<Vec<_>>().join(" ")))
            }
            Self::Identify(disk) => ("look who is at", disk, None),
            Self::ReadReservation(disk) => ("read reservation of", disk, None),
            Self::Join { disk, key } => ("join", disk, Some(key.to_string())),
            Self::Register { disk, key } => ("register", disk, Some(key.to_string())),
            Self::Confirm { disk, key } => ("confirm", disk, Some(key.to_string())),
            Self::Unregister { disk, key } => (UNREGISTER, disk, Some(key.to_string())),
            Self::Reserve { disk, key } => ("reserve", disk, Some(key.to_string())),
            Self::PreemptAndAbort { disk, key, other } => {
                ("preempt-and-abort", disk, Some(format!("{other} by {key}")))
            }
            Self::KeepPaths { disk, key } => {
                ("have multipathd register the paths of", disk, Some(key.to_string()))
            }
            Self::HearMultipathd => ("ask", Path::new("multipathd"), None),
            Self::ReadDisk(disk) => ("read disk", disk, None),
            Self::Rescan(disk) => ("rescan", disk, None),
            Self::ReadyNft => ("get ready", Path::new("nftables"), None),
            Self::Expedite => ("turn on", Path::new(paths::RCU_EXPEDITED), None),
            Self::Relax => ("put back", Path::new(paths::RCU_EXPEDITED), None),
            Self::LoadState(device) => ("read state device", device, None),
            Self::Keep { device, at } => ("keep", device, Some(at.display().to_string())),
            Self::HearKeeper(at) => ("hear the keeper of", at, None),
            Self::EndKeeper(at) => ("end the keeper of", at, None),
            Self::Echo(port) => ("echo", port, None),
            Self::LogOut { device, wwpn, .. } => {
                ("log out", device, Some(wwpn.to_string()))
            }
            Self::Bar { link, wwpn, fcid } => {
                let port = format!("{wwpn} at {fcid:#08x}");
                ("bar commands on", Path::new(link), Some(port))
            }
            Self::LiftBar(wwpn) => {
                ("lift the bar in", Path::new("nftables"), Some(wwpn.to_string()))
            }
            Self::BeginAccount { link, wwpn, .. } => {
                ("account for commands on", Path::new(link), Some(wwpn.to_string()))
            }
            Self::ReadAccount(link) => {
                ("read the account of commands on", Path::new(link), None)
            }
            Self::EndAccount { link, wwpn, .. } => (
                "end the account of commands on",
                Path::new(link),
                Some(wwpn.to_string()),
            ),
        }
    }

    /// Returns this operation as an error.
    pub fn failed(&self, cause: Cause) -> KernelError {
        let (action, path, value) = self.parts();
        KernelError { action: action.into(), path: path.into(), value, cause }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, path, value) = self.parts();
        write!(f, "{action} {}{}", path.display(), value_part(&value))
    }
}
/// Operations that build on one another: each begins only when the one before it has
/// succeeded.
pub type Chain = Vec<Op>;

/// What an operation that succeeded has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// The operation changed the kernel's state.
    Changed,
    /// Nothing was changed: all was so already, or the operation only looks.
    Unchanged,
    /// What [`Op::ReadReservation`] found.
    Reservation(Reservation),
    /// What [`Op::LoadState`] found.
    State(Vec<Record>),
    /// What [`Op::ReadAccount`] found.
    Account(Account),
}

impl Done {
    /// Returns whether this is what a disk said of its owner.
    pub fn is_reservation(&self) -> bool {
        matches!(self, Self::Reservation(_))
    }
}

/// What became of a chain: a result for each operation that was begun; after a failure
/// none follows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChainResult {
    /// What each operation has done, in their order.
    pub done: Vec<Done>,
    /// The failure that ended the chain early.
    pub failed: Option<KernelError>,
}

impl ChainResult {
    /// Returns the answer of the only, or last, operation, or the failure.
    pub fn into_last(self) -> Result<Done, KernelError> {
        match (self.failed, self.done.into_iter().next_back()) {
            (Some(error), _) => Err(error),
            (None, last) => Ok(last.unwrap_or(Done::Unchanged)),
        }
    }
}
