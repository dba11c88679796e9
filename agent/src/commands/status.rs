//! `understudy status`: a table for people, JSON for programs, and an exit code.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use understudy_core::budget::Budget;
use understudy_core::fabric::PhysicalPort;
use understudy_core::kernel::{Kernel, RealKernel};
use understudy_core::registry::Role;
use understudy_core::verbs::status as look;
use understudy_core::verbs::status::{Lun, Owner, Physical, Served, Service, Status};

use crate::exit::Code;

/// For disks to answer.
const TIME: Duration = Duration::from_secs(20);
/// Between two looks.
const AGAIN: Duration = Duration::from_secs(2);

/// Prints it, with or without end. The code says whether this node is healthy.
pub fn status(
    kernel: &RealKernel,
    node: &str,
    options: impl Iterator<Item = String>,
) -> Code {
    let (mut json, mut watch) = (false, false);
    for option in options {
        match option.as_str() {
            "--json" => json = true,
            "--watch" => watch = true,
            other => {
                return complain(
                    &format!("status: {other} is neither --json nor --watch"),
                    Code::Arguments,
                );
            }
        }
    }
    if !kernel.may_act() {
        return complain("status: only root may look at the target", Code::Permission);
    }
    let paint = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    loop {
        let budget = Budget::new(kernel, TIME);
        let now = match look::status(kernel, node, budget) {
            Ok(now) => now,
            Err(failure) => return complain(&failure.to_string(), Code::Failed),
        };
        let text = match json {
            true => serde_json::to_string_pretty(&now).unwrap_or_default() + "\n",
            false => table(&now, kernel.wall(), paint),
        };
        let clear = if watch && paint { "\x1b[H\x1b[J" } else { "" };
        let printed = std::io::stdout().write_all((clear.to_owned() + &text).as_bytes());
        let code = if now.is_healthy() { Code::Success } else { Code::Failed };
        // Whoever reads may have gone.
        if printed.is_err() || !watch {
            return code;
        }
        kernel.sleep(AGAIN);
    }
}

fn complain(why: &str, code: Code) -> Code {
    let _ = writeln!(std::io::stderr(), "understudy: {why}");
    code
}

/// The table, 80 columns at most; `wall` is the time of day.
fn table(status: &Status, wall: u64, paint: bool) -> String {
    let mut text = format!("node {}\n", status.node);
    text += &line(&["physical port", "fabric", "state", "speed", "vports"], &PHYSICAL);
    for Physical { port, speed } in &status.physical_ports {
        let PhysicalPort { wwpn, fabric, state, vports_in_use, vports_free, .. } = port;
        let fabric = fabric.map_or("-".into(), |fabric| fabric.to_string());
        let vports = format!("{vports_in_use} of {}", vports_in_use + vports_free);
        let cells = [&wwpn.to_string(), &fabric, state, speed, &vports];
        let row = line(&cells.map(String::as_str), &PHYSICAL);
        text += &painted(&row, if state == "Online" { None } else { Some(RED) }, paint);
    }
    if status.groups.is_empty() {
        text += "\nno group is served here\n";
    }
    status.groups.iter().for_each(|group| text += &group_table(group, wall, paint));
    text
}

const PHYSICAL: [usize; 5] = [25, 25, 11, 10, 9];
const LUN: [usize; 4] = [6, 10, 42, 22];
const RED: &str = "31";
const GREEN: &str = "32";

fn group_table(group: &Served, wall: u64, paint: bool) -> String {
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
        for session in &port.sessions {
            let _ = writeln!(text, "    <- {}  {}", session.initiator, session.state);
        }
    }
    text += &line(&["  LUN", "size", "disk", "owner"], &LUN);
    for lun in &group.luns {
        text += &lun_row(lun);
    }
    let took = group.took.iter().map(|t| format!("{} {}", t.phase, t.ms));
    let took: Vec<_> = took.collect();
    if !took.is_empty() {
        let _ = writeln!(text, "  takeover, ms: {}", took.join(", "));
    }
    for fault in &group.faults {
        text += &painted(&format!("  {fault}\n"), Some(RED), paint);
    }
    text
}

fn lun_row(lun: &Lun) -> String {
    let owner = match lun.owner {
        Owner::ThisNode => "this node",
        Owner::Another => "another",
        Owner::Nobody => "nobody",
        Owner::NotReserved => "not reserved",
        Owner::Unknown => "unknown",
    };
    let service = match lun.service {
        Service::Serving => "",
        Service::Quiesced => ", quiesced",
        Service::Absent => ", absent",
    };
    let size = lun.bytes.map_or("-".into(), size);
    let number = format!("{:>5}", lun.lun);
    let owner = format!("{owner}{service}");
    line(&[&number, &size, &short(&lun.device.to_string()), &owner], &LUN)
}

/// Cells in columns of these widths, of which each ends with a space.
fn line(cells: &[&str], widths: &[usize]) -> String {
    let cell = |(cell, width): (&&str, &usize)| format!("{cell:<width$}");
    let line: String = cells.iter().zip(widths).map(cell).collect();
    line.trim_end().to_owned() + "\n"
}

/// A name's end tells more than its begin.
fn short(name: &str) -> String {
    const WIDTH: usize = 40;
    let length = name.chars().count();
    if length <= WIDTH {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length - (WIDTH - 1)).collect();
    format!("…{end}")
}

fn painted(text: &str, colour: Option<&str>, paint: bool) -> String {
    match colour {
        Some(colour) if paint => format!("\x1b[{colour}m{text}\x1b[0m"),
        _ => text.to_owned(),
    }
}

/// Bytes, in the largest unit that leaves a number.
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

/// Seconds, in the two largest units.
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
mod tests {
    use super::*;
    use understudy_core::verbs::status::{Port, Session};

    fn node() -> Status {
        let name = |text: &str| text.parse().unwrap();
        let lun = |lun, device: &str, service, owner| Lun {
            lun,
            device: understudy_core::group::DeviceName::Path(device.into()),
            node: "/dev/sdb".into(),
            bytes: Some(64 << 20),
            service,
            owner,
            key: None,
        };
        let long = format!("/dev/disk/by-id/{}", "x".repeat(60));
        Status {
            node: "array-a".into(),
            physical_ports: vec![Physical {
                port: PhysicalPort {
                    host: "host2".into(),
                    wwpn: name("20:00:52:54:00:75:01:01"),
                    fabric: Some(name("10:00:00:00:00:00:00:01")),
                    state: "Online".into(),
                    vports_in_use: 2,
                    vports_free: 252,
                    driver: "fcoe".into(),
                },
                speed: "10 Gbit".into(),
            }],
            groups: vec![Served {
                group: "group-a".into(),
                role: Role::Guest,
                since: 1000,
                wwnn: name("20:00:75:64:00:00:00:0a"),
                ports: vec![Port {
                    wwpn: name("20:01:75:64:00:00:00:0a"),
                    state: "Active".into(),
                    host: "host2".into(),
                    fcid: Some("0x010203".into()),
                    sessions: vec![Session {
                        initiator: name("20:00:52:54:00:75:03:01"),
                        state: "Online".into(),
                    }],
                }],
                luns: vec![
                    lun(0, "/dev/disk/by-id/a", Service::Serving, Owner::ThisNode),
                    lun(16383, &long, Service::Quiesced, Owner::NotReserved),
                ],
                took: Vec::new(),
                faults: vec!["LUN 16383 turns commands away".into()],
            }],
        }
    }

    #[test]
    fn the_table_fits_and_says_what_is_wrong() {
        let text = table(&node(), 1000 + 3725, false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("group group-a, guest, for 1 h 2 min: FAILED\n"), "{text}");
        assert!(text.contains("\n  LUN 16383 turns commands away\n"), "{text}");
        assert!(text.contains("    0 64 MiB    /dev/disk/by-id/a "), "{text}");
        assert!(!text.contains('\x1b'));
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
