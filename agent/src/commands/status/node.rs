//! What this node serves, as a table.

use std::fmt::Write as _;

use understudy_core::fc::{PhysicalPort, PortState};
use understudy_core::run_files::registry::Role;
use understudy_core::verbs::status::{Lun, Physical, Served, Service, Session, Status};

use crate::commands::table::{GREEN, RED, line, painted};

/// Returns the table, 80 columns at most. `wall` is the time of day; `all` lists what is
/// long.
pub fn table(status: &Status, wall: u64, paint: bool, all: bool) -> String {
    let mut text = format!("node {}\n", status.node);
    text += &line(&["physical port", "fabric", "state", "speed", "vports"], &PHYSICAL);
    for Physical { port, speed, .. } in &status.physical_ports {
        let PhysicalPort { wwpn, fabric, state, vports_in_use, vports_free, .. } = port;
        let fabric = fabric.map_or("-".into(), |fabric| fabric.to_string());
        let vports = format!("{vports_in_use} of {}", vports_in_use + vports_free);
        let wwpn = wwpn.to_string();
        let cells = [wwpn.as_str(), &fabric, state.word(), speed, &vports];
        let row = line(&cells, &PHYSICAL);
        let colour = if *state == PortState::Online { None } else { Some(RED) };
        text += &painted(&row, colour, paint);
    }
    if status.groups.is_empty() {
        text += "\nno group is served here\n";
    }
    for group in &status.groups {
        text += &group_table(group, wall, paint, all);
    }
    text
}

const PHYSICAL: [usize; 5] = [25, 25, 11, 10, 9];
const LUN: [usize; 4] = [6, 10, 42, 22];
/// How long a list may be. A longer one is summed up in a line, with what is wrong in it.
const MANY: usize = 16;

fn group_table(group: &Served, wall: u64, paint: bool, all: bool) -> String {
    let role = match group.role {
        Role::Native => "native",
        Role::Guest => "guest",
    };
    let (word, colour) =
        if group.faults.is_empty() { ("healthy", GREEN) } else { ("FAILED", RED) };
    let since = span(wall.saturating_sub(group.since));
    let mut text = format!(
        "\ngroup {}, {role}, for {since}: {}\n",
        group.group,
        painted(word, Some(colour), paint)
    );
    for port in &group.ports {
        let fcid = port.fcid.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "  port {}  {} on {} as {fcid}",
            port.wwpn, port.state, port.host
        );
        let is_online = |session: &&Session| session.state.is(&PortState::Online);
        let (online, other): (Vec<_>, Vec<_>) = port.sessions.iter().partition(is_online);
        let (told, listed) = if all || port.sessions.len() <= MANY {
            (0, online.into_iter().chain(other).collect())
        } else {
            (online.len(), other)
        };
        if told > 0 {
            let _ = writeln!(text, "    <- {told} initiators  Online");
        }
        for session in listed {
            let _ = writeln!(text, "    <- {}  {}", session.initiator, session.state);
        }
    }
    let is_well = |lun: &&Lun| lun.service == Service::Serving && lun.owner.is_well();
    let (well, other): (Vec<_>, Vec<_>) = group.luns.iter().partition(is_well);
    let listed: Vec<_> = if all || group.luns.len() <= MANY {
        group.luns.iter().collect()
    } else {
        let bytes: u64 = well.iter().filter_map(|lun| lun.bytes).sum();
        let _ =
            writeln!(text, "  {} LUNs, {}, as they should be", well.len(), size(bytes));
        other
    };
    if !listed.is_empty() {
        text += &line(&["  LUN", "size", "disk", "owner"], &LUN);
    }
    listed.into_iter().for_each(|lun| text += &lun_row(lun));
    let took = group.took.iter().map(|t| format!("{} {}", t.phase, t.ms));
    let took: Vec<_> = took.collect();
    if !took.is_empty() {
        let _ = writeln!(text, "  takeover, ms: {}", took.join(", "));
    }
    let shown = if all { group.faults.len() } else { MANY };
    for fault in group.faults.iter().take(shown) {
        text += &painted(&format!("  {fault}\n"), Some(RED), paint);
    }
    match group.faults.len().saturating_sub(shown) {
        0 => {}
        more => {
            let _ = writeln!(text, "  and {more} more; --all lists them");
        }
    }
    text
}

fn lun_row(lun: &Lun) -> String {
    let mut owner = lun.owner.words().to_owned();
    if lun.service != Service::Serving {
        owner = format!("{owner}, {}", lun.service.words());
    }
    let size = lun.bytes.map_or("-".into(), size);
    let number = format!("{:>5}", lun.lun);
    line(&[&number, &size, &short(&lun.device.to_string()), &owner], &LUN)
}

/// Returns the end of a long name, which says more than its beginning.
fn short(name: &str) -> String {
    const WIDTH: usize = 40;
    let length = name.chars().count();
    if length <= WIDTH {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length - (WIDTH - 1)).collect();
    format!("…{end}")
}

/// Returns a number of bytes in the largest unit that leaves a number.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let unit = UNITS.get(unit).unwrap_or(&"");
    if value.fract() == 0.0 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Returns a number of seconds in its two largest units.
fn span(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(parts.len() - 1);
    let told = parts.iter().skip(first).take(2).map(|(n, unit)| format!("{n} {unit}"));
    told.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    pub fn node() -> Status {
        let lun = |lun, device: &str, service: &str, owner: &str| {
            json!({
                "lun": lun,
                "device": device,
                "node": "/dev/sdb",
                "bytes": 64 << 20,
                "service": service,
                "owner": owner,
                "key": null,
            })
        };
        let long = format!("/dev/disk/by-id/{}", "x".repeat(60));
        let status = json!({
            "node": "array-a",
            "physical_ports": [{
                "host": "host2",
                "wwpn": "20:00:52:54:00:75:01:01",
                "fabric": "10:00:00:00:00:00:00:01",
                "state": "Online",
                "vports_in_use": 2,
                "vports_free": 252,
                "driver": "fcoe",
                "speed": "10 Gbit",
            }],
            "groups": [{
                "group": "group-a",
                "role": "guest",
                "since": 1000,
                "wwnn": "20:00:75:64:00:00:00:0a",
                "ports": [{
                    "wwpn": "20:01:75:64:00:00:00:0a",
                    "state": "Active",
                    "host": "host2",
                    "fcid": "0x010203",
                    "sessions": [{
                        "initiator": "20:00:52:54:00:75:03:01",
                        "state": "Online",
                    }],
                }],
                "luns": [
                    lun(0, "/dev/disk/by-id/a", "serving", "this-node"),
                    lun(16383, &long, "quiesced", "not-reserved"),
                ],
                "took": [],
                "faults": ["LUN 16383 turns commands away"],
            }],
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn the_table_fits_and_says_what_is_wrong() {
        let text = table(&node(), 1000 + 3725, false, false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("group group-a, guest, for 1 h 2 min: FAILED\n"), "{text}");
        assert!(text.contains("\n  LUN 16383 turns commands away\n"), "{text}");
        assert!(text.contains("    0 64 MiB    /dev/disk/by-id/a "), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_thousand_luns_are_a_line_and_what_is_wrong() {
        let mut node = node();
        let group = &mut node.groups[0];
        let [well, bad] = group.luns.clone().try_into().unwrap();
        group.luns = vec![well; 1024];
        (0..).zip(&mut group.luns).for_each(|(number, lun)| lun.lun = number);
        group.luns.push(bad);
        let session = group.ports[0].sessions[0].clone();
        group.ports[0].sessions = vec![session; 64];
        let text = table(&node, 2000, false, false);
        assert!(text.lines().count() < 20, "{text}");
        assert!(text.contains("  1024 LUNs, 64 GiB, as they should be\n"), "{text}");
        assert!(text.contains("\n16383 "), "{text}");
        assert!(text.contains("    <- 64 initiators  Online\n"), "{text}");
        assert!(table(&node, 2000, false, true).lines().count() > 1088);
    }

    #[test]
    fn programs_get_words_that_do_not_change() {
        let json = serde_json::to_value(node()).unwrap();
        let group = json.pointer("/groups/0").unwrap();
        assert_eq!(group["role"], "guest");
        assert_eq!(group["luns"][1]["owner"], "not-reserved");
        assert_eq!(group["luns"][1]["service"], "quiesced");
        assert_eq!(json["physical_ports"][0]["wwpn"], "20:00:52:54:00:75:01:01");
    }

    #[test]
    fn numbers_are_read_by_people() {
        assert_eq!(size(1536 * 1024), "1.5 MiB");
        assert_eq!(size(512), "512 B");
        assert_eq!(span(0), "0 s");
        assert_eq!(span(90_061), "1 d 1 h");
    }
}
