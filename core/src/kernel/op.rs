//! Operations on the kernel, as plain values. They are printed in a plan, counted in a
//! test, and sent to the process that carries them out.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::error::value_part;
use super::reservation::{Key, Reservation};
use super::state::Record;
use super::{Cause, KernelError, paths};
use crate::wwn::Wwn;

/// An operation on the kernel. Each can be repeated: if it was done already, it succeeds.
/// Operations that notice this report [`Done::Unchanged`].
///
/// The list is exhaustive, so that a kernel that lacks an operation does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Make a directory (and, in configfs, the object that it stands for).
    MakeDir(PathBuf),
    /// Remove a directory.
    RemoveDir(PathBuf),
    /// Make a symbolic link.
    Link {
        /// The path of the link.
        at: PathBuf,
        /// The path that the link leads to.
        to: PathBuf,
    },
    /// Remove a symbolic link.
    Unlink(PathBuf),
    /// Write an attribute in one `write(2)`. If the driver takes only a part, the
    /// operation fails: the rest, sent by itself, would be another value.
    Write {
        /// The attribute.
        path: PathBuf,
        /// The whole text to write.
        text: String,
    },
    /// Write an attribute that not every kernel has. If it does not exist, do nothing.
    WriteIfAny {
        /// The attribute.
        path: PathBuf,
        /// The whole text to write.
        text: String,
    },
    /// Write several attributes in one directory, one after the other. That is cheaper
    /// than an operation for each.
    WriteAll {
        /// The directory.
        dir: PathBuf,
        /// The attributes' names, each with the text to write.
        values: Vec<(String, String)>,
    },
    /// Check, by each path, that a disk still is the one that the kernel found there.
    Identify(PathBuf),
    /// Read the registered keys and the reservation of a disk.
    ReadReservation(PathBuf),
    /// Register a key on a disk on which this node has none. If it has one, the disk
    /// reports a conflict, so that no key is replaced unseen.
    Join {
        /// The block device.
        disk: PathBuf,
        /// The new key.
        key: Key,
    },
    /// Register a key by every path, in place of any that this node has on the disk.
    Register {
        /// The block device.
        disk: PathBuf,
        /// The new key.
        key: Key,
    },
    /// Register the key again by one path that already has it. The disk reports a
    /// conflict if the path has no such key, or if another node has taken the disk.
    Confirm {
        /// The block device.
        disk: PathBuf,
        /// The key that this node has registered.
        key: Key,
    },
    /// Give up this node's registration, and any reservation that it holds.
    Unregister {
        /// The block device.
        disk: PathBuf,
        /// The key that is registered now.
        key: Key,
    },
    /// Take the reservation, of type Write Exclusive, Registrants Only.
    Reserve {
        /// The block device.
        disk: PathBuf,
        /// The key that this node has registered.
        key: Key,
    },
    /// Remove another node's registration, abort its commands, and take its reservation
    /// if it held one.
    PreemptAndAbort {
        /// The block device.
        disk: PathBuf,
        /// The key that this node has registered.
        key: Key,
        /// The key to remove.
        other: Key,
    },
    /// Make multipathd register each path of a multipath device that comes or comes back,
    /// until this node unregisters.
    KeepPaths {
        /// The multipath device.
        disk: PathBuf,
        /// The key that this node is about to register.
        key: Key,
    },
    /// Check that this node's multipathd accepts keys from understudy.
    HearMultipathd,
    /// Read the first bytes of a disk from the disk itself, past every cache.
    ReadDisk(PathBuf),
    /// Make the kernel read a disk's size again if the disk has grown. A disk that does
    /// not report its size counts as not grown.
    Rescan(PathBuf),
    /// Start `nft` in advance, so that the next requests to nftables take effect at once.
    ReadyNft,
    /// Drop new commands to a port of software FCoE for a few seconds.
    Bar {
        /// The network interface.
        link: String,
        /// The port's name (WWPN).
        wwpn: Wwn,
        /// The port's FC address.
        fcid: u32,
    },
    /// Lift the bar of a port, and remove its table.
    LiftBar(Wwn),
    /// Begin to count the commands for a port of software FCoE that is about to appear,
    /// in the account of its interface.
    BeginAccount {
        /// The network interface by which frames come in.
        link: String,
        /// The network interface by which frames leave.
        out: String,
        /// The port's name (WWPN).
        wwpn: Wwn,
    },
    /// Read the account of a network interface.
    ReadAccount(String),
    /// Remove a port that has gone from the account of its interface.
    EndAccount {
        /// The network interface.
        link: String,
        /// The port's name (WWPN).
        wwpn: Wwn,
        /// The FC address that the port had.
        fcid: u32,
    },
    /// Turn on expedited RCU grace periods. This process needs them until [`Op::Relax`].
    Expedite,
    /// Restore `rcu_expedited` to its earlier value, unless another understudy process
    /// still needs expedited grace periods.
    Relax,
    /// Read everything that is saved on a state disk.
    LoadState(PathBuf),
    /// Start a keeper for a state disk, unless one is running. A keeper is a lasting
    /// process that serves a directory. LIO writes there what initiators register and
    /// reserve.
    Keep {
        /// The state disk.
        device: PathBuf,
        /// The keeper's directory.
        at: PathBuf,
    },
    /// Check that the keeper of this directory answers.
    HearKeeper(PathBuf),
    /// End the keeper of this directory, and remove the directory.
    EndKeeper(PathBuf),
    /// Send an ECHO to a remote port, through its bsg device, and wait for the answer.
    Echo(PathBuf),
    /// Log a port out of its fabric through its bsg device, without turning it off. If
    /// the fabric does not answer, that is no error: it will notice in its own time that
    /// the port has gone.
    LogOut {
        /// The bsg device of the port's host.
        device: PathBuf,
        /// The port's name (WWPN).
        wwpn: Wwn,
        /// The port's FC address.
        fcid: u32,
    },
}

/// The verb that stands for [`Op::Unregister`] in an error.
pub(crate) const UNREGISTER: &str = "unregister";

impl Op {
    /// Returns the verb, the path and the value of this operation, for a sentence or an
    /// error.
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

    /// Returns the error that this operation failed with this cause.
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
/// Operations that build on one another. Each begins only after the one before it has
/// succeeded.
pub type Chain = Vec<Op>;

/// The outcome of an operation that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// The operation changed the kernel's state.
    Changed,
    /// The operation changed nothing, because it was done already, or because it only
    /// asks.
    Unchanged,
    /// The answer to [`Op::ReadReservation`].
    Reservation(Reservation),
    /// The answer to [`Op::LoadState`].
    State(Vec<Record>),
    /// The answer to [`Op::ReadAccount`].
    Account(Account),
}

impl Done {
    /// Returns whether this is the answer to [`Op::ReadReservation`].
    pub(crate) fn is_reservation(&self) -> bool {
        matches!(self, Self::Reservation(_))
    }
}

/// The outcome of a chain. After a failure no further operation is begun.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChainResult {
    /// The outcome of each operation that succeeded, in order.
    pub done: Vec<Done>,
    /// The failure that ended the chain early.
    pub failed: Option<KernelError>,
}

impl ChainResult {
    /// Returns the outcome of the last operation, or the failure that ended the chain.
    pub fn into_last(self) -> Result<Done, KernelError> {
        match (self.failed, self.done.into_iter().next_back()) {
            (Some(error), _) => Err(error),
            (None, last) => Ok(last.unwrap_or(Done::Unchanged)),
        }
    }
}
