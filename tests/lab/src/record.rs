//! The record of the scenarios that have passed with the source as it is. A run of all
//! scenarios can go on from there.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::paths;
use crate::report::{self, Row};

/// The record, kept in `target/test/passed.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The number of the source whose scenarios passed.
    source: u64,
    rows: Vec<Row>,
}

impl Record {
    /// Returns a record in which nothing has passed.
    #[must_use]
    pub fn new() -> Self {
        Self { source: source(), rows: Vec::new() }
    }

    /// Returns the saved record, or an empty one if the source has changed since.
    #[must_use]
    pub fn read() -> Self {
        Self::of(&paths::read(&file()).unwrap_or_default(), source())
    }

    /// Returns the record that a text holds, or an empty one if it is another source's.
    fn of(text: &str, source: u64) -> Self {
        let kept: Option<Self> = serde_json::from_str(text).ok();
        let new = Self { source, rows: Vec::new() };
        kept.filter(|kept| kept.source == source).unwrap_or(new)
    }

    /// Returns the scenarios that have passed, in that order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns whether a scenario has passed.
    #[must_use]
    pub fn has(&self, scenario: &str) -> bool {
        self.rows.iter().any(|row| row.scenario == scenario)
    }

    /// Takes note of a run of a scenario, and saves the record. What the latest run of a
    /// scenario saw counts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&mut self, row: &Row) -> Result<()> {
        self.take(row);
        report::write(&file(), self)
    }

    /// Forgets every scenario: a block that is lost may be any scenario's.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_all(&mut self) -> Result<()> {
        self.rows.clear();
        report::write(&file(), self)
    }

    fn take(&mut self, row: &Row) {
        self.rows.retain(|before| before.scenario != row.scenario);
        self.rows.extend(row.ok.then(|| row.clone()));
    }
}

fn file() -> PathBuf {
    paths::workspace().join("target/test/passed.json")
}

/// Returns a number that stands for the source: its commit, and what differs from that.
/// Without git the number differs each time.
fn source() -> u64 {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(paths::workspace())
            .args(arguments)
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        Some(output.stdout)
    };
    let mut hasher = DefaultHasher::new();
    match (git(&["rev-parse", "HEAD"]), git(&["diff", "HEAD"])) {
        (Some(commit), Some(changes)) => (commit, changes).hash(&mut hasher),
        _ => std::time::SystemTime::now().hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ok: bool) -> Row {
        Row {
            scenario: "power-cut".into(),
            ok,
            pause_s: Some(13.8),
            io_errors: 0,
            lost_writes: 0,
            seconds: 90.0,
            error: None,
        }
    }

    #[test]
    fn the_latest_run_of_a_scenario_counts() {
        let mut record = Record { source: 7, rows: Vec::new() };
        for ok in [true, true, false, true] {
            record.take(&row(ok));
            assert_eq!(record.rows.len(), usize::from(ok));
        }
    }

    #[test]
    fn what_has_passed_counts_for_its_own_source_alone() {
        let text =
            serde_json::to_string(&Record { source: 7, rows: vec![row(true)] }).unwrap();
        assert!(Record::of(&text, 7).has("power-cut"));
        assert!(!Record::of(&text, 7).has("fc-link-cut"));
        assert!(!Record::of(&text, 8).has("power-cut"));
        assert!(!Record::of("{", 7).has("power-cut"));
    }
}
