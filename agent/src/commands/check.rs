//! `understudy check`: would a takeover succeed here, now?

use std::io::Write;

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::action::failure::Failure;
use understudy_core::config::group::{Group, LinkLoss, PortSpec};
use understudy_core::disks::disk;
use understudy_core::disks::identity::{Difference, Identity};
use understudy_core::fc;
use understudy_core::kernel::Kernel;
use understudy_core::lio::numbers::{Numbers, OUT_THEN_IN};
use understudy_core::text::quoted;
use understudy_core::verbs::check as look;
use understudy_core::verbs::check::{Finding, Verdict};

use super::configure::operations;
use super::line::Line;
use super::table::{GREEN, RED, YELLOW, painted, wrapped};
use super::{TIME, complain, json, paint};
use crate::cluster::{self, Configuration, DEFAULT, Timeout, View};
use crate::exit::Code;

/// `configure` is generous: it gives an operation this many times the time that it needs.
const GENEROUS: u64 = 3;
/// A stop that may take this many times what `configure` gives it may outlast an
/// initiator's patience.
const TOO_LONG: u64 = 2;

/// Prints every finding. The code is 0 where a takeover would succeed.
pub fn check(kernel: &dyn Kernel, node: &str, line: &Line) -> Code {
    let findings = match findings(kernel, node, line.word()) {
        Ok(findings) => findings,
        Err(failure) => return complain(&failure.to_string(), Code::Failed),
    };
    let paint = paint();
    let text = match line.has("--json") {
        true => json(&findings),
        false => findings.iter().map(|finding| told(finding, paint)).collect(),
    };
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    // An error is ignored: the reader may have gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if bad { Code::Failed } else { Code::Success }
}

fn findings(
    kernel: &dyn Kernel,
    node: &str,
    resource: &str,
) -> Result<Vec<Finding>, Failure> {
    let view = cluster::view()?;
    let id = &view.group(resource)?.id;
    let configuration = Configuration::read(node)?;
    let configured = configuration.group(id)?;
    let scope = configuration.scope(kernel, configured, node, || Some(&view))?;
    let action = Action::new(kernel, node, Budget::new(kernel, TIME));
    let mut findings = look::check(&action, &scope);
    findings.extend(fencing(&view));
    findings.extend(configuration.fences_by_keys().map(by_keys));
    findings.extend(configured.home().and_then(|home| nowhere(&view, home)));
    if let Ok(group) = &scope.group {
        let on = view.resource(id).and_then(|its| its.nodes.iter().find(|n| *n != node));
        if let Some(on) = on {
            let there = cluster::identity_of(id, on);
            findings.extend(parity(&Identity::of(kernel, group), on, there.as_deref()));
            findings.extend(guard(kernel, group, on));
        }
        findings.extend(alone(&configuration.shared(kernel, group)));
        findings.extend(moved(kernel, group, cluster::numbers_of(id)));
        findings.extend(times(|name| configured.timeout(name), group.disks.len()));
        let degraded = group.link_loss == LinkLoss::Degraded;
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

/// Returns the finding that a group's home is none of the cluster's nodes, where that is
/// so.
fn nowhere(view: &View, home: &str) -> Option<Finding> {
    if view.node(home).is_some() {
        return None;
    }
    let found = format!("{} is no node of the cluster", quoted(home));
    let advice = "The group is at home nowhere: set its parameter home to a node's name";
    Some(Finding::doubtful("home", found, advice))
}

/// Returns a finding for each name and disk that another group of the cluster has as well.
fn alone(shared: &[String]) -> Vec<Finding> {
    const WHAT: &str = "others";
    if shared.is_empty() {
        let found = "no other group has any of its names or disks";
        return vec![Finding::good(WHAT, found)];
    }
    let advice = "Give each group names and disks of its own: this one is refused where the \
                  other has begun, and the other where this one has";
    shared.iter().map(|what| Finding::bad(WHAT, what, advice)).collect()
}

/// Returns findings on whether initiators would find here what they know from the node
/// that serves the group.
fn parity(here: &Identity, on: &str, there: Option<&str>) -> Vec<Finding> {
    const WHAT: &str = "identity";
    let there = match there.map(str::parse::<Identity>) {
        Some(Ok(there)) => there,
        Some(Err(part)) => {
            let found = format!("{on} says {}, which makes no sense", quoted(&part));
            let advice = "Have both nodes run the same version";
            return vec![Finding::doubtful(WHAT, found, advice)];
        }
        None => {
            let found = format!("{on} does not say what it presents");
            let advice = "Its monitor of level 10 does: op monitor interval=61s \
                          timeout=40s OCF_CHECK_LEVEL=10";
            return vec![Finding::doubtful(WHAT, found, advice)];
        }
    };
    let differences = here.differences(&there);
    if differences.is_empty() {
        return vec![Finding::good(WHAT, format!("every LUN as {on} presents it"))];
    }
    let finding = |difference| match difference {
        Difference::Another(what) => Finding::bad(
            WHAT,
            what,
            "Initiators would take it for another disk: see that both nodes see the same \
             disks",
        ),
        Difference::Size(what) => {
            Finding::doubtful(WHAT, what, "A takeover reads the size anew")
        }
        Difference::Limits(what) => Finding::doubtful(
            WHAT,
            format!("{what} has another largest or best transfer, or write cache, there"),
            "Initiators would see it: give both nodes the same way to the disks; see \
             /sys/block/*/queue",
        ),
    };
    differences.into_iter().map(finding).collect()
}

/// Returns a finding for each port of a group that another node serves and this one does not
/// see: it could not tell that a name is alive elsewhere.
fn guard(kernel: &dyn Kernel, group: &Group, on: &str) -> Vec<Finding> {
    const WHAT: &str = "guard";
    let advice = "Have the switch let this node's physical ports see the group's ports: zone \
                  them together, unless they are qla2xxx's (docs/fabrics.md). Without it a \
                  start does not notice that another node still serves";
    let blind = group.ports.iter().filter_map(|PortSpec { wwpn, .. }| {
        let seen = fc::logged_in_elsewhere(kernel, *wwpn);
        let found = match seen {
            Ok(Some(_)) => return None,
            Ok(None) => format!("{wwpn}, which {on} serves, cannot be seen from here"),
            Err(error) => error.to_string(),
        };
        Some(Finding::doubtful(WHAT, found, advice))
    });
    let blind: Vec<_> = blind.collect();
    match blind.is_empty() {
        true => vec![Finding::good(WHAT, format!("the ports are seen at {on}"))],
        false => blind,
    }
}

fn fencing(view: &View) -> Option<Finding> {
    if view.fencing {
        return None;
    }
    let advice = "Configure it and try it: without it two nodes may write one disk";
    Some(Finding::bad("fencing", "it is off", advice))
}

/// Returns the finding that LUN numbers have other disks than initiators know, if they have.
fn moved(
    kernel: &dyn Kernel,
    group: &Group,
    before: Result<Option<Numbers>, Failure>,
) -> Option<Finding> {
    let before = match before {
        Ok(before) => before?,
        Err(failure) => {
            let advice = "A start fails as long as the cluster does not say this";
            return Some(Finding::bad("LUN numbers", failure.to_string(), advice));
        }
    };
    let disks = disk::find_any(kernel, &group.disks);
    let now = Numbers::of(kernel, group, &disks);
    let (moved, smaller) = (now.moved_since(&before), now.smaller_than(&before));
    if moved.is_empty() {
        let smaller = smaller.first()?.to_string();
        let advice = "A start asks the disk first. If it stays so the start is refused: have this \
                      node read the size again";
        return Some(Finding::doubtful("LUN sizes", smaller, advice));
    }
    let all: Vec<_> = moved.iter().map(u16::to_string).collect();
    let found = format!("another disk than before is behind LUN {}", all.join(", "));
    let advice = format!("{OUT_THEN_IN}; or see understudy accept {}", group.name);
    Some(Finding::bad("LUN numbers", found, &advice))
}

/// Returns the finding that a fence device may want the disks for itself.
fn by_keys(id: &str) -> Finding {
    let found = format!("{id} keeps nodes apart by keys on disks");
    let advice = "Leave the groups' disks out of its devices: a disk with its keys is not \
                  taken over. Fence by power";
    Finding::doubtful("fencing", found, advice)
}

/// Returns findings on the times of start and stop. A time may be too short for the
/// number of LUNs. A stop may take so long that, should it fail, initiators do not wait
/// for the fence and the start that follow.
fn times(configured: impl Fn(&str) -> Timeout, luns: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    for wanted in operations(luns).iter().filter(|o| ["start", "stop"].contains(&o.name))
    {
        let name = wanted.name;
        let seconds = match configured(name) {
            Timeout::Seconds(seconds) => seconds,
            unclear => {
                findings.push(unclear_time(name, &unclear, wanted.timeout));
                continue;
            }
        };
        if seconds < u64::from(wanted.timeout) / GENEROUS {
            let found = format!("{name} may take {seconds} s, with {luns} LUNs");
            let advice = format!("op {name} timeout={}s", wanted.timeout);
            findings.push(Finding::doubtful("times", found, &advice));
        } else if name == "stop" && seconds > u64::from(wanted.timeout) * TOO_LONG {
            let found =
                format!("stop may take {seconds} s; then come a fence and a start");
            let advice = format!(
                "Linux initiators wait 60 s (dev_loss_tmo): op stop timeout={}s, or \
                 have them wait longer",
                wanted.timeout
            );
            findings.push(Finding::doubtful("times", found, &advice));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("times", format!("enough for {luns} LUNs")));
    }
    findings
}

/// Returns the finding that the configuration does not plainly say how long an operation
/// may take.
fn unclear_time(name: &str, timeout: &Timeout, wanted: u32) -> Finding {
    let found = match timeout {
        Timeout::NoTime(text) => {
            let text = quoted(text);
            format!("{name}: {text} is no time to Pacemaker, which takes {DEFAULT} s")
        }
        _ => format!("{name} has its time by rules or references: not judged"),
    };
    let advice = format!("Give it a time of its own: op {name} timeout={wanted}s");
    Finding::doubtful("times", found, &advice)
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
    fn short_times_and_a_long_stop_are_doubtful() {
        let doubts = |configured: &[(&str, u64)], luns| {
            let time = |name: &str| {
                let given = configured.iter().find(|(its, _)| *its == name);
                Timeout::Seconds(given.map_or(DEFAULT, |(_, time)| *time))
            };
            let found = times(time, luns);
            found.into_iter().filter(|f| f.verdict == Verdict::Doubtful).count()
        };
        assert_eq!(doubts(&[], 4), 0);
        assert_eq!(doubts(&[], 1024), 1);
        assert_eq!(doubts(&[("start", 124), ("stop", 10)], 1024), 1);
        assert_eq!(doubts(&[("start", 124), ("stop", 60)], 1024), 0);
        assert_eq!(doubts(&[("start", 60), ("stop", 60)], 4), 1);
    }

    #[test]
    fn a_time_that_is_none_is_doubtful() {
        let found = |timeout: Timeout| {
            let found = times(|_| timeout.clone(), 4);
            assert!(found.iter().all(|f| f.verdict == Verdict::Doubtful), "{found:?}");
            found.into_iter().map(|finding| finding.found).collect::<Vec<_>>().join("\n")
        };
        let words = found(Timeout::NoTime("PT3M".into()));
        let wanted = "stop: 'PT3M' is no time to Pacemaker, which takes 20 s";
        assert!(words.contains(wanted), "{words}");
        assert!(found(Timeout::NotJudged).contains("not judged"));
    }

    #[test]
    fn what_the_owner_presents_is_compared() {
        let here = "0:0000000a:512:2048".parse().unwrap();
        let of = |there: Option<&str>| {
            let mut found = parity(&here, "array-a", there);
            assert_eq!(found.len(), 1, "{found:?}");
            found.remove(0).verdict
        };
        assert_eq!(of(Some("0:0000000a:512:2048")), Verdict::Good);
        assert_eq!(of(Some("0:0000000a:512:4096")), Verdict::Doubtful);
        assert_eq!(of(Some("0:0000000a:512:2048:0001")), Verdict::Good);
        assert_eq!(of(Some("0:0000000b:512:2048")), Verdict::Bad);
        assert_eq!(of(Some("?")), Verdict::Doubtful);
        assert_eq!(of(None), Verdict::Doubtful);
    }

    #[test]
    fn a_home_that_is_no_node_is_doubtful() {
        let mon = r#"<pacemaker-result><nodes><node name="array-a" online="true"/>
            </nodes></pacemaker-result>"#;
        let view = View::parse(mon).unwrap();
        assert_eq!(nowhere(&view, "Array-A"), None);
        let found = nowhere(&view, "array-x").unwrap();
        assert_eq!(found.found, "'array-x' is no node of the cluster");
    }

    #[test]
    fn what_another_group_has_too_is_in_the_way() {
        let shared = ["port 20:01:00:25:b5:00:00:0a is group-b's too".to_owned()];
        let found = alone(&shared);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].verdict, &found[0].found), (Verdict::Bad, &shared[0]));
        assert_eq!(alone(&[])[0].verdict, Verdict::Good);
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
