//! Recordings of requests to a kernel and its answers. The simulated kernel is given the
//! requests and must give the same answers. A recording has a line of JSON for each
//! [`Kernel::run`](super::Kernel::run).

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Instant;
use super::op::{Chain, ChainResult};

/// A call of [`Kernel::run`](super::Kernel::run), with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// When the call began, on the kernel door's clock.
    pub begun: Instant,
    /// The chains that were to be carried out.
    pub chains: Vec<Chain>,
    /// The answer: a result for each chain.
    pub results: Vec<ChainResult>,
}

impl Recorded {
    /// Appends this call to a recording. A failure is only logged, because the agent does
    /// not need the recording.
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

    /// Parses a recording.
    ///
    /// # Errors
    /// In words: the number of the line that cannot be parsed, and why.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().enumerate();
        lines
            .map(|(n, line)| {
                serde_json::from_str(line).map_err(|e| format!("line {}: {e}", n + 1))
            })
            .collect()
    }
}
