//! `test`: runs the scenarios of the first rank, or all, or those that are named, in the
//! order of their names on the command line.

use std::process::ExitCode;

use understudy_lab::record::Record;
use understudy_lab::report::Row;
use understudy_lab::scenario::{self, Rank, SCENARIOS, Scenario, World};
use understudy_lab::{Error, Result, paths, progress, report};

/// Runs the scenarios of the first rank.
pub fn first() -> Result<ExitCode> {
    let first = SCENARIOS.into_iter().filter(|scenario| scenario.rank == Rank::First);
    conclude(&play(first.collect(), &mut Record::read())?)
}

/// Runs every scenario. Leaves out those that have passed with this source, in any run,
/// unless `anew` is true.
pub fn all(anew: bool) -> Result<ExitCode> {
    let mut record = if anew { Record::new() } else { Record::read() };
    let passed = record.rows().len();
    if passed > 0 {
        progress::note(&format!(
            "{passed} passed before, on this source: going on (--anew begins again)"
        ));
    }
    let mut left = SCENARIOS.to_vec();
    left.retain(|scenario| !record.has(scenario.name));
    let rows = if left.is_empty() { Vec::new() } else { play(left, &mut record)? };
    let failed = rows.into_iter().filter(|row| !row.ok);
    let all: Vec<_> = record.rows().iter().cloned().chain(failed).collect();
    conclude(&all)
}

/// Runs the scenarios of these names.
pub fn named(names: &[&str]) -> Result<ExitCode> {
    let named = |name: &&str| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == *name);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            let all = all.join(", ");
            Error::other(format!("no scenario {name}; there are: {all}"))
        })
    };
    let wanted = names.iter().map(named).collect::<Result<Vec<_>>>()?;
    conclude(&play(wanted, &mut Record::read())?)
}

/// Plays scenarios in a lab of their own, up to the first that fails, and keeps the record.
/// A lab that is not whole would make the next one fail through no fault of its own.
fn play(scenarios: Vec<Scenario>, record: &mut Record) -> Result<Vec<Row>> {
    let world = World::start()?;
    let (mut rows, mut left) = (Vec::new(), scenarios.into_iter());
    while let Some(first) = left.next() {
        let second = if first.aside { left.next() } else { None };
        let together: Vec<_> = [first].into_iter().chain(second).collect();
        let came = scenario::run(&world, &together);
        came.iter().try_for_each(|row| record.note(row))?;
        let failed: Vec<_> = came.iter().filter(|row| !row.ok).collect();
        let all_well = failed.is_empty();
        for row in failed {
            let logs = &world.lab.folders().logs;
            eprintln!("what was seen is in {}", logs.display());
            eprintln!("again, alone: {} test {}", own_name()?, row.scenario);
        }
        rows.extend(came);
        if !all_well {
            return Ok(rows);
        }
    }
    let read_back = scenario::everything_read_back(&world);
    if !read_back.ok {
        record.forget_all()?;
    }
    rows.push(read_back);
    Ok(rows)
}

/// Returns the name by which this program is called from the workspace.
fn own_name() -> Result<String> {
    let own = std::env::current_exe().map_err(Error::io("find", "the lab's binary"))?;
    let short = own.strip_prefix(paths::workspace()).unwrap_or(&own);
    Ok(short.display().to_string())
}

/// Prints the results, and saves them.
fn conclude(rows: &[Row]) -> Result<ExitCode> {
    println!("\n{}", report::table(rows));
    let failed = rows.iter().filter(|row| !row.ok).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    // The reasons are printed again, after the table: of a long run only the last lines
    // are kept.
    print!("{}", report::reasons(rows));
    report::write(&paths::workspace().join("target/test/report.json"), &rows)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
