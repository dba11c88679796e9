//! `test`: the scenarios, all but the long ones, or those that are named.

use std::process::ExitCode;

use understudy_lab::scenario::{self, SCENARIOS, World};
use understudy_lab::{Error, Result, paths, report};

/// Runs them; fails when one of them does.
pub fn run(names: &[&str]) -> Result<ExitCode> {
    let known = |name: &&str| SCENARIOS.iter().any(|scenario| scenario.name == *name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let all = all.join(", ");
        return Err(Error::other(format!("no scenario {name}; there are: {all}")));
    }
    let world = World::start()?;
    let mut rows = Vec::new();
    for scenario in SCENARIOS {
        let wanted = if names.is_empty() {
            !scenario.long
        } else {
            names.contains(&scenario.name)
        };
        if wanted {
            let row = scenario::run(&world, scenario);
            let ok = row.ok;
            rows.push(row);
            if !ok {
                world.lab.collect_logs();
                let logs = &world.lab.folders().logs;
                eprintln!("the rest is in {}", logs.display());
                // A lab that is not whole would fail the next one for no fault of its.
                break;
            }
        }
    }
    let all = rows.iter().all(|row| row.ok);
    println!("\n{}", report::table(&rows));
    let failed = rows.iter().filter(|row| !row.ok).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    report::write(&paths::workspace().join("target/test/report.json"), &rows)?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
