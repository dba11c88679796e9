//! `demo`: a node loses its power under load, shown to somebody who has never seen it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde::Serialize;
use understudy_lab::accel::Accel;
use understudy_lab::lab::Lab;
use understudy_lab::scenario::world::{COMMAND, ahead};
use understudy_lab::scenario::{LAST, Seen, Story, World, play};
use understudy_lab::{Error, Result, chart, install, paths, progress, report, timeline};

const OPENING: &str = "
Two storage nodes, array-a and array-b, each serve a group of four disks over Fibre
Channel; a host writes and reads all eight, and checks every block. Then array-b
loses its power.
";

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    pause_s: f64,
    io_errors: u64,
    lost_writes: u64,
    node_before: String,
    node_after: String,
    fcid_before: String,
    fcid_after: String,
    agent_start_ms: Option<u64>,
    agent_stop_ms: Option<u64>,
    kvm: bool,
}

/// Runs the demonstration.
pub fn run() -> Result<ExitCode> {
    println!("{OPENING}");
    let world = World::on(Lab::start()?, install::built)?;
    println!("\nbefore:\n{}", owners(&world)?);
    let over = AtomicBool::new(false);
    let played = thread::scope(|scope| {
        let host = world.lab.host()?;
        chart::draw(scope, host, &world.luns()?, &over);
        let played = play(&world, |story| {
            if let Some((_, what)) = story.events.last() {
                progress::note(&format!("        ▶ {what}"));
                if *what == LAST {
                    over.store(true, Ordering::SeqCst);
                }
                if *what == "taken over" {
                    // While the table is made the picture stands still, for a moment.
                    let table = owners(&world).unwrap_or_default();
                    table.lines().for_each(progress::note);
                }
            }
        });
        over.store(true, Ordering::SeqCst);
        played
    });
    if played.is_err() {
        eprintln!("the logs are in {}", world.lab.folders().logs.display());
    }
    let (seen, story) = played?;
    println!("\nafter:\n{}", owners(&world)?);
    conclude(&world, &seen, &story)
}

/// Returns a table of the node that serves each group, by the fabric, and of the node
/// that owns each disk, by the disk.
fn owners(world: &World) -> Result<String> {
    let mut table = format!(
        "  {:<8} {:<24} {:<9} {:<9} {}\n",
        "group", "port name", "served by", "address", "disks reserved by"
    );
    for group in &world.groups {
        let (node, fcid) = world.serving(group)?;
        let disks: Vec<_> = group.disks().into_iter().map(|disk| disk.name).collect();
        let script = format!(
            "cd /sys/kernel/config/target/core/iblock_0
             for d in {}; do grep -o 'iqn[^ ,]*' $d/pr/res_holder; done | sort | uniq -c",
            disks.join(" ")
        );
        let holders = world.lab.host()?.run(&script, COMMAND)?;
        let holders = holders.lines().filter_map(|line| {
            let (count, name) = line.trim().split_once(' ')?;
            Some(format!("{} ({count})", name.rsplit(':').next()?))
        });
        let holders: Vec<_> = holders.collect();
        let (name, wwpn) = (group.name, group.wwpn());
        table += &format!(
            "  {name:<8} {wwpn:<24} {node:<9} {fcid:<9} {}\n",
            holders.join(", ")
        );
    }
    Ok(table)
}

fn conclude(world: &World, seen: &Seen, story: &Story) -> Result<ExitCode> {
    let [_, group] = &world.groups;
    let pause = seen.pause.ok_or_else(|| Error::other("nothing moved"))?;
    let took = |node: &str, what: &str| -> Option<u64> {
        let script = format!(
            "grep -ao 'vport({}) [a-z]*: INFO: {what} in [0-9]* ms' \
             /var/log/pacemaker/pacemaker.log | tail -n 1",
            group.name
        );
        let said = world.node(node).ok()?.run(&script, COMMAND).ok()?;
        said.trim().strip_suffix(" ms")?.rsplit(' ').next()?.parse().ok()
    };
    let report = Report {
        scenario: "power-cut",
        pause_s: pause,
        io_errors: seen.load.io_errors,
        lost_writes: seen.load.lost_writes,
        node_before: story.before.0.clone(),
        node_after: story.after.0.clone(),
        fcid_before: story.before.1.clone(),
        fcid_after: story.after.1.clone(),
        agent_start_ms: took(group.partner, "taken over"),
        agent_stop_ms: took(group.partner, "released"),
        kvm: world.lab.accel() == Accel::Kvm,
    };
    let folder = paths::workspace().join("target/demo");
    report::write(&folder.join("report.json"), &report)?;
    let events: Vec<_> = on_hosts_clock(world, story)?;
    paths::write(
        &folder.join("timeline.svg"),
        timeline::svg(&seen.load.completions, &events),
    )?;
    println!("{}", table(&report));
    println!("picture: target/demo/timeline.svg   figures: target/demo/report.json");
    let clean = report.io_errors + report.lost_writes == 0;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the events, with times on the clock of the initiator, which timed the
/// requests.
fn on_hosts_clock(world: &World, story: &Story) -> Result<Vec<(u64, &'static str)>> {
    let ahead = ahead(world.lab.host()?)?;
    let shift = |at: u64| at.saturating_add_signed(ahead);
    Ok(story.events.iter().map(|(at, what)| (shift(*at), *what)).collect())
}

fn table(report: &Report) -> String {
    let ms = |ms: Option<u64>| ms.map_or("-".into(), |ms| format!("{ms} ms"));
    let rows = [
        ("longest pause at the initiator", format!("{:.1} s", report.pause_s)),
        ("I/O errors", report.io_errors.to_string()),
        ("lost writes", report.lost_writes.to_string()),
        ("served by", format!("{} -> {}", report.node_before, report.node_after)),
        ("address (FCID)", format!("{} -> {}", report.fcid_before, report.fcid_after)),
        ("the agent's takeover", ms(report.agent_start_ms)),
        ("the agent's release (giveback)", ms(report.agent_stop_ms)),
    ];
    rows.iter().map(|(what, value)| format!("  {what:<32} {value}\n")).collect()
}
