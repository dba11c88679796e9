//! Commanded moves, remembered on the node where they were commanded: how long each group
//! was served by nobody when it last moved. It lives under /run, for `understudy metrics`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::failure::{Failure, Kind};
use crate::kernel::{Kernel, paths};

/// A move of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The Pacemaker resource.
    pub group: String,
    /// The node that it moved to.
    pub node: String,
    /// For how many milliseconds it was served by nobody, as the cluster had it.
    pub away_ms: u64,
}

/// Remembers the last move of its group.
///
/// # Errors
/// The file cannot be written.
pub fn remember(kernel: &dyn Kernel, moved: &Move) -> Result<(), Failure> {
    let step = "remember the move";
    let text = serde_json::to_string(moved)
        .map_err(|error| Failure::new(Kind::Failed, step, error))?;
    kernel
        .store(&path(&moved.group), &(text + "\n"))
        .map_err(|error| Failure::kernel(step, &[error]))
}

/// Returns the last move of each group that was commanded here. What cannot be read is
/// left out: nothing depends on it.
pub fn all(kernel: &dyn Kernel) -> Vec<Move> {
    let names = kernel.list(Path::new(paths::MOVES)).unwrap_or_default();
    let read = |name: String| {
        let text = kernel.load(&Path::new(paths::MOVES).join(name)).ok()?;
        serde_json::from_str(&text).ok()
    };
    names.into_iter().filter_map(read).collect()
}

/// Returns the path of a group's last move. A resource's name is an id of XML: it has no
/// slash.
fn path(group: &str) -> PathBuf {
    Path::new(paths::MOVES).join(format!("{group}.json"))
}
