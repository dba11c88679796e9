//! `test`: the scenarios, all of them, or those that are named, in that order and as often.

use std::process::ExitCode;

use understudy_lab::scenario::{self, SCENARIOS, World};
use understudy_lab::{Error, Result, paths, report};

/// Runs them; fails when one of them does.
pub fn run(names: &[&str]) -> Result<ExitCode> {
    let named = |name: &&str| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == *name);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            let all = all.join(", ");
            Error::other(format!("no scenario {name}; there are: {all}"))
        })
    };
    let mut wanted = names.iter().map(named).collect::<Result<Vec<_>>>()?;
    if wanted.is_empty() {
        wanted = SCENARIOS.to_vec();
    }
    let world = World::start()?;
    let mut rows = Vec::new();
    for scenario in wanted {
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
    let all = rows.iter().all(|row| row.ok);
    println!("\n{}", report::table(&rows));
    let failed = rows.iter().filter(|row| !row.ok).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    report::write(&paths::workspace().join("target/test/report.json"), &rows)?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
