//! The results of the scenarios: a table for people, JSON for programs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::paths;

/// The result of a scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// Whether the scenario passed.
    pub ok: bool,
    /// The longest pause of a group that moved, as the initiator saw it.
    pub pause_s: Option<f64>,
    /// I/O errors at the initiator.
    pub io_errors: u64,
    /// Acknowledged writes that were not found again.
    pub lost_writes: u64,
    /// How long the scenario took.
    pub seconds: f64,
    /// Why the scenario did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Returns the table, 80 columns at most.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<22} {:>6} {:>9} {:>10} {:>12} {:>9}\n",
        "scenario", "", "pause s", "I/O errors", "lost writes", "seconds"
    );
    for row in rows {
        let pause = row.pause_s.map_or("-".into(), |pause| format!("{pause:.1}"));
        text += &format!(
            "{:<22} {:>6} {pause:>9} {:>10} {:>12} {:>9.0}\n",
            row.scenario,
            if row.ok { "ok" } else { "FAILED" },
            row.io_errors,
            row.lost_writes,
            row.seconds
        );
    }
    text
}

/// Returns why scenarios failed, a paragraph for each; nothing where all passed.
#[must_use]
pub fn reasons(rows: &[Row]) -> String {
    let failed = rows.iter().filter(|row| !row.ok);
    let reason = |row: &Row| {
        let error = row.error.as_deref().unwrap_or("no reason was given");
        format!("\n{}: {error}\n", row.scenario)
    };
    failed.map(reason).collect()
}

/// Writes a value as JSON.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::other(error.to_string()))?;
    paths::write(path, text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_the_last_lines_alone_learns_why() {
        let row = |scenario: &str, error: Option<&str>| Row {
            scenario: scenario.into(),
            ok: error.is_none(),
            pause_s: None,
            io_errors: 0,
            lost_writes: 0,
            seconds: 1.0,
            error: error.map(str::to_owned),
        };
        let rows = [row("power-cut", Some("1 I/O error")), row("grown", None)];
        assert_eq!(reasons(&rows), "\npower-cut: 1 I/O error\n");
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let row = Row {
            scenario: "move-and-giveback".into(),
            ok: false,
            pause_s: Some(123.4),
            io_errors: 0,
            lost_writes: 12345,
            seconds: 1234.5,
            error: None,
        };
        assert!(table(&[row]).lines().all(|line| line.chars().count() <= 80));
    }
}
