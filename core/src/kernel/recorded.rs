//! A recording of what a kernel was asked for and what it answered, so that the simulated
//! one can be asked the same. A line of JSON for each [`Kernel::run`](super::Kernel::run).

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Instant;
use super::op::{Chain, ChainResult};

/// A call of [`Kernel::run`](super::Kernel::run) and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// When it was begun, on the kernel door's clock.
    pub begun: Instant,
    /// What was asked for.
    pub chains: Vec<Chain>,
    /// What was answered, a result for each chain.
    pub results: Vec<ChainResult>,
}

impl Recorded {
    /// Appends this call to a file. A failure is only logged: an agent works as well
    /// without its recording.
    pub fn append(&self, file: &Path) {
        let line = serde_json::to_string(self).map_err(std::io::Error::other);
        let written = line.and_then(|line| {
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o600);
            options.open(file)?.write_all((line + "\n").as_bytes())
        });
        if let Err(error) = written {
            log::warn!("recording to {}: {error}", file.display());
        }
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().enumerate();
        lines
            .map(|(n, line)| {
                serde_json::from_str(line).map_err(|e| format!("line {}: {e}", n + 1))
            })
            .collect()
    }
}
