//! The last commanded move of each group, on the node where it was commanded: for how
//! long nobody served the group. `understudy metrics` reports it. The files are below
//! /run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::failure::{Failure, Kind};
use crate::kernel::{Kernel, paths};

/// A commanded move of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The group's name: that of its Pacemaker resource.
    pub group: String,
    /// The node that the group moved to.
    pub node: String,
    /// For how many milliseconds nobody served the group, by the cluster's account.
    pub away_ms: u64,
}

/// Remembers a move as the last one of its group.
///
/// # Errors
/// When the file cannot be written.
pub fn remember(kernel: &dyn Kernel, moved: &Move) -> Result<(), Failure> {
    let step = "remember the move";
    let text = serde_json::to_string(moved)
        .map_err(|error| Failure::new(Kind::Failed, step, error))?;
    kernel
        .store(&path(&moved.group), &(text + "\n"))
        .map_err(|error| Failure::kernel(step, &[error]))
}

/// Returns the last move of each group that was commanded on this node. Files that cannot
/// be read are left out, because nothing depends on them.
pub fn all(kernel: &dyn Kernel) -> Vec<Move> {
    let names = kernel.list(Path::new(paths::MOVES)).unwrap_or_default();
    let read = |name: String| {
        let text = kernel.load(&Path::new(paths::MOVES).join(name)).ok()?;
        serde_json::from_str(&text).ok()
    };
    names.into_iter().filter_map(read).collect()
}

/// Returns the path of a group's file. A resource's name is an XML ID, so it has no
/// slash.
fn path(group: &str) -> PathBuf {
    Path::new(paths::MOVES).join(format!("{group}.json"))
}
