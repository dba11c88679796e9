//! `understudy check`: would a takeover succeed here, now?

use std::io::{IsTerminal, Write};

use understudy_core::budget::Budget;
use understudy_core::failure::Failure;
use understudy_core::kernel::RealKernel;
use understudy_core::verbs::check as look;
use understudy_core::verbs::check::{Finding, Verdict};

use super::complain;
use super::configure::operations;
use super::line::Line;
use super::status::TIME;
use super::table::{GREEN, RED, painted, wrapped};
use crate::cluster::{self, View};
use crate::exit::Code;

/// Yellow, for a doubt.
const YELLOW: &str = "33";

/// Prints every finding. The code is 0 where a takeover would succeed.
pub fn check(kernel: &RealKernel, node: &str, line: &Line) -> Code {
    let findings = match findings(kernel, node, line.word()) {
        Ok(findings) => findings,
        Err(failure) => return complain(&failure.to_string(), Code::Failed),
    };
    let paint = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = match line.has("--json") {
        true => serde_json::to_string_pretty(&findings).unwrap_or_default() + "\n",
        false => findings.iter().map(|finding| told(finding, paint)).collect(),
    };
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    // Whoever reads may have gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if bad { Code::Failed } else { Code::Success }
}

fn findings(
    kernel: &RealKernel,
    node: &str,
    resource: &str,
) -> Result<Vec<Finding>, Failure> {
    let view = cluster::view()?;
    let group = super::takeover::group(&view, resource)?;
    let scope = cluster::scope(kernel, &group.id)?;
    let mut findings = look::check(kernel, node, &scope, Budget::new(kernel, TIME));
    findings.extend(fencing(&view));
    if let Ok(group) = &scope.group {
        let configured = cluster::timeouts(&group.name)?;
        findings.extend(times(&configured, group.disks.len()));
        let degraded = group.link_loss == understudy_core::group::LinkLoss::Degraded;
        let told = view.node(node).and_then(|node| node.ports_online);
        if degraded && told.is_none() {
            findings.push(Finding::doubtful(
                "link loss",
                "nothing would move the group: ocf:understudy:fcport does not run here",
                "Run it as a clone, with its rules (understudy configure), or set \
                 link_loss=fail",
            ));
        }
    }
    Ok(findings)
}

fn fencing(view: &View) -> Option<Finding> {
    if view.fencing {
        return None;
    }
    let advice = "Configure it and try it: without it two nodes may write one disk";
    Some(Finding::bad("fencing", "it is off", advice))
}

/// Times that are shorter than what fits the number of LUNs.
fn times(configured: &[(String, u64)], luns: usize) -> Vec<Finding> {
    /// What Pacemaker gives an operation that has no time of its own.
    const DEFAULT: u64 = 20;
    let mut findings = Vec::new();
    for wanted in operations(luns).iter().filter(|o| ["start", "stop"].contains(&o.name))
    {
        let its = configured.iter().find(|(name, _)| name == wanted.name);
        let seconds = its.map_or(DEFAULT, |(_, seconds)| *seconds);
        let name = wanted.name;
        if seconds * 3 < u64::from(wanted.timeout) {
            findings.push(Finding::doubtful(
                "times",
                format!("{name} may take {seconds} s, with {luns} LUNs"),
                format!("op {name} timeout={}s", wanted.timeout),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("times", format!("enough for {luns} LUNs")));
    }
    findings
}

fn told(finding: &Finding, paint: bool) -> String {
    let (word, colour) = match finding.verdict {
        Verdict::Good => ("ok", GREEN),
        Verdict::Doubtful => ("doubt", YELLOW),
        Verdict::Bad => ("BAD", RED),
    };
    let head = painted(&format!("{word:<6}"), Some(colour), paint);
    let mut text = format!("{head}{:<13}", finding.what);
    text += &wrapped(&finding.found, 19);
    if !finding.advice.is_empty() {
        text += &format!("{:19}{}", "", wrapped(&format!("-> {}", finding.advice), 22));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_are_doubtful() {
        let doubts = |configured: &[(String, u64)], luns| {
            let found = times(configured, luns);
            found.into_iter().filter(|f| f.verdict == Verdict::Doubtful).count()
        };
        assert_eq!(doubts(&[], 4), 0);
        assert_eq!(doubts(&[], 1024), 2);
        assert_eq!(doubts(&[("stop".into(), 60)], 1024), 1);
    }

    #[test]
    fn a_finding_fits_and_says_what_to_do() {
        let long = "word ".repeat(40);
        let text = told(&Finding::bad("disks", &long, &long), false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("BAD   disks        word"), "{text}");
        assert!(text.contains("\n                   -> word"), "{text}");
    }
}
