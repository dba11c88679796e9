//! The bench's figures for people: a page of tables, and a summary.

use std::fmt::Write as _;

use super::{LUNS, Report, Row};

/// Returns the page docs/bench.md. `machine` says what it ran on.
#[must_use]
pub fn document(report: &Report, machine: &str) -> String {
    let mut page = format!(
        "# What a group costs\n\n\
         A start and a stop of a group take time, most of it for each LUN. This page\n\
         compares that time with what the kernel alone needs, and with other agents.\n\n\
         `make bench` measured the figures and wrote this page. {machine}\n\
         Look at the ratios: the seconds differ on another machine. Every figure is a\n\
         median of {} rounds in one run, on RAM disks, without an initiator.\n\n\
         ![Start and stop against LUNs](scale.svg)\n\n\
         - `understudy`, or \"ours\": a start, a monitor and a stop of the agent.\n\
         - `limit`: only the kernel operations of a start and a stop, side by side, with\n  \
         expedited grace periods.\n\
         - `64-initiators`: the agent once more, with 64 initiators in the group, and\n  \
         `understudy status`.\n\
         - `qla2xxx`: the agent on the stock qla2xxx, with an emulated HBA.\n\
         - `rtslib`: `targetctl restore` and `clear`, over iSCSI.\n\
         - `iscsi-agents`: `ocf:heartbeat:iSCSITarget`, and an `iSCSILogicalUnit` for\n  \
         each LUN.\n\
         - `dummy`: `ocf:pacemaker:Dummy`, which has no LUNs.\n",
        super::ROUNDS
    );
    page += "\n## Start and stop, seconds\n\n\
             \"x limit\" is ours divided by the limit, \"x ours\" is rtslib divided by ours.\n\n";
    for (i, cells) in whole(report).into_iter().enumerate() {
        let _ = writeln!(page, "| {} |", cells.join(" | "));
        if i == 0 {
            page += &format!("|{}\n", " --: |".repeat(cells.len()));
        }
    }
    page += "\n## Each action\n\n";
    page +=
        "| contender | LUNs | action | ms | least | most | CPU ms | processes | MiB |\n";
    page += "| :-- | --: | :-- | --: | --: | --: | --: | --: | --: |\n";
    for row in &report.rows {
        let Row { contender, luns, action, median_ms, min_ms, max_ms, cpu_ms, .. } = row;
        let (processes, mebibytes) = (row.processes, row.peak_kib as f64 / 1024.0);
        let _ = writeln!(
            page,
            "| {contender} | {luns} | {action} | {median_ms:.0} | {min_ms:.0} | \
             {max_ms:.0} | {cpu_ms:.0} | {processes} | {mebibytes:.1} |"
        );
    }
    if !report.remarks.is_empty() {
        page.push('\n');
    }
    for remark in &report.remarks {
        let _ = writeln!(page, "- {remark}");
    }
    page
}

/// Returns how long start and stop take together, as a table for a terminal.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::from("start and stop, seconds\n");
    for cells in whole(report) {
        let cells: String = cells.iter().map(|cell| format!("{cell:>11}")).collect();
        let _ = writeln!(text, "{}", cells.trim_end());
    }
    for remark in &report.remarks {
        let _ = writeln!(text, "{remark}");
    }
    text
}

/// Returns a row for each number of LUNs, its headings first.
fn whole(report: &Report) -> Vec<[String; 7]> {
    let headings = ["LUNs", "limit", "ours", "x limit", "rtslib", "x ours", "agents"];
    let row = |luns: usize| {
        let both = |name| report.both(name, luns);
        let (limit, ours) = (both("limit"), both("understudy"));
        let (rtslib, agents) = (both("rtslib"), both("iscsi-agents"));
        let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        [
            luns.to_string(),
            seconds(limit),
            seconds(ours),
            factor(ratio(ours, limit)),
            seconds(rtslib),
            factor(ratio(rtslib, ours)),
            seconds(agents),
        ]
    };
    std::iter::once(headings.map(String::from)).chain(LUNS.map(row)).collect()
}

fn seconds(ms: Option<f64>) -> String {
    ms.map_or("-".into(), |ms| format!("{:.2}", ms / 1000.0))
}

fn factor(ratio: Option<f64>) -> String {
    ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_start_and_stop_together() {
        let row = |contender, action, median_ms| Row {
            contender,
            luns: 16,
            action,
            median_ms,
            min_ms: 0.0,
            max_ms: 0.0,
            cpu_ms: 0.0,
            processes: 2,
            peak_kib: 2048,
            rounds: 5,
        };
        let rows = vec![
            row("limit", "start", 1000.0),
            row("limit", "stop", 1000.0),
            row("understudy", "start", 1200.0),
            row("understudy", "stop", 1500.0),
        ];
        let report = Report { rows, remarks: vec!["so".into()] };
        let page = document(&report, "Here.");
        assert!(page.contains("| 16 | 2.00 | 2.70 | 1.35 | - | - | - |"), "{page}");
        assert!(page.ends_with("\n- so\n"));
        let text = summary(&report);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
