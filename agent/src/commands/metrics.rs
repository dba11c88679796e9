//! `understudy metrics`: what this node serves, in Prometheus' text format 0.0.4, for the
//! textfile collector of node_exporter.

use std::fmt::{Display, Write as _};

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::fc::{PhysicalPort, PortState, VportState};
use understudy_core::kernel::Kernel;
use understudy_core::run_files::moves::{self, Move};
use understudy_core::verbs::status as look;
use understudy_core::verbs::status::{Lun, Service, Status};

use super::line::Line;
use super::{TIME, complain};
use crate::exit::Code;

/// Prints them. The code is 0 also where something is wrong: that is in the metrics.
pub fn metrics(kernel: &dyn Kernel, node: &str, _: &Line) -> Code {
    match look::status(&Action::new(kernel, node, Budget::new(kernel, TIME))) {
        Ok(status) => crate::print(&text(&status, &moves::all(kernel))),
        Err(failure) => complain(&failure.to_string(), Code::Failed),
    }
}

/// A metric: its name, what it says, and its values with their labels.
struct Metric {
    name: &'static str,
    help: &'static str,
    values: Vec<(String, f64)>,
}

fn text(status: &Status, moves: &[Move]) -> String {
    let mut text = String::new();
    for Metric { name, help, values } in metrics_of(status, moves) {
        let _ = writeln!(text, "# HELP understudy_{name} {help}");
        let _ = writeln!(text, "# TYPE understudy_{name} gauge");
        for (labels, value) in values {
            let _ = writeln!(text, "understudy_{name}{{{labels}}} {value}");
        }
    }
    text
}

fn metrics_of(status: &Status, moves: &[Move]) -> Vec<Metric> {
    let metric = |name, help, values| Metric { name, help, values };
    let groups = &status.groups;
    let ports = || status.physical_ports.iter().map(|physical| &physical.port);
    let port = |port: &PhysicalPort| label(&[("host", &port.host), ("wwpn", &port.wwpn)]);
    let counted = |is: fn(&Lun) -> bool| {
        let count = |group: &look::Served| {
            let luns = group.luns.iter().filter(|lun| is(lun)).count();
            (label(&[("group", &group.group)]), luns as f64)
        };
        groups.iter().map(count).collect::<Vec<_>>()
    };
    let mut virtual_ports = Vec::new();
    let mut sessions = Vec::new();
    let mut phases = Vec::new();
    for group in groups {
        let name = &group.group;
        for port in &group.ports {
            let labels = label(&[("group", name), ("wwpn", &port.wwpn)]);
            virtual_ports.push((labels, flag(port.state.is(&VportState::Active))));
            for session in &port.sessions {
                let initiator = &session.initiator;
                let labels = label(&[
                    ("group", name),
                    ("wwpn", &port.wwpn),
                    ("initiator", initiator),
                ]);
                sessions.push((labels, flag(session.state.is(&PortState::Online))));
            }
        }
        for took in &group.took {
            let labels = label(&[("group", name), ("phase", &took.phase)]);
            phases.push((labels, took.ms as f64 / 1000.0));
        }
    }
    let of_group = |value: fn(&look::Served) -> f64| {
        let pair =
            |group: &look::Served| (label(&[("group", &group.group)]), value(group));
        groups.iter().map(pair).collect::<Vec<_>>()
    };
    vec![
        metric(
            "physical_port_online",
            "Whether a physical port is logged in to its fabric.",
            ports().map(|p| (port(p), flag(p.state == PortState::Online))).collect(),
        ),
        metric(
            "physical_port_vports",
            "Virtual ports that a physical port carries.",
            ports().map(|p| (port(p), f64::from(p.vports_in_use))).collect(),
        ),
        metric(
            "physical_port_vports_free",
            "Virtual ports that a physical port may carry still.",
            ports().map(|p| (port(p), f64::from(p.vports_free))).collect(),
        ),
        metric(
            "group_healthy",
            "Whether a group that is here is served as a whole.",
            of_group(|group| flag(group.faults.is_empty())),
        ),
        metric(
            "group_native",
            "Whether a group that is here is at home.",
            of_group(|group| {
                flag(group.role == understudy_core::run_files::registry::Role::Native)
            }),
        ),
        metric(
            "group_taken_over_timestamp_seconds",
            "When a group's takeover began; it changes with each.",
            of_group(|group| group.since as f64),
        ),
        metric(
            "group_takeover_phase_seconds",
            "Where the time of a group's takeover went.",
            phases,
        ),
        metric(
            "group_pause_seconds",
            "How long a group was served by nobody in its last move commanded here.",
            moves.iter().map(paused).collect(),
        ),
        metric("port_active", "Whether a virtual port is logged in.", virtual_ports),
        metric(
            "session_online",
            "Whether an initiator that may log in to a port is logged in.",
            sessions,
        ),
        metric("luns", "LUNs of a group.", counted(|_| true)),
        metric(
            "luns_serving",
            "LUNs that carry out commands.",
            counted(|lun| lun.service == Service::Serving),
        ),
        metric(
            "luns_owned",
            "LUNs whose disk is this node's, or nobody's to decide.",
            counted(|lun| lun.owner.is_well()),
        ),
    ]
}

fn paused(moved: &Move) -> (String, f64) {
    let labels = label(&[("group", &moved.group), ("node", &moved.node)]);
    (labels, moved.away_ms as f64 / 1000.0)
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn label(pairs: &[(&str, &dyn Display)]) -> String {
    let pair = |(name, value): &(&str, &dyn Display)| {
        let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        format!("{name}=\"{}\"", value.replace('\n', "\\n"))
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::status::node::tests::node;
    use super::*;

    #[test]
    fn each_value_has_its_labels() {
        let moved = Move { group: "group-a".into(), node: "b".into(), away_ms: 2500 };
        let text = text(&node(), &[moved]);
        for line in [
            "understudy_physical_port_online{host=\"host2\",\
             wwpn=\"20:00:52:54:00:75:01:01\"} 1",
            "understudy_group_healthy{group=\"group-a\"} 0",
            "understudy_group_pause_seconds{group=\"group-a\",node=\"b\"} 2.5",
            "understudy_luns{group=\"group-a\"} 2",
            "understudy_luns_serving{group=\"group-a\"} 1",
            "understudy_session_online{group=\"group-a\",\
             wwpn=\"20:01:75:64:00:00:00:0a\",initiator=\"20:00:52:54:00:75:03:01\"} 1",
        ] {
            assert!(text.lines().any(|its| its == line), "{line} in\n{text}");
        }
        // A type for each name, and each name once.
        let types = text.lines().filter(|line| line.starts_with("# TYPE "));
        assert_eq!(types.count(), metrics_of(&node(), &[]).len());
    }

    #[test]
    fn a_label_can_hold_anything() {
        assert_eq!(label(&[("x", &"a\"b\\c\nd")]), r#"x="a\"b\\c\nd""#);
    }
}
