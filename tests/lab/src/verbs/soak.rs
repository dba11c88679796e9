//! `soak`: the long run of mixed faults, of every kind or of some.

use std::process::ExitCode;

use understudy_lab::scenario::{FAULTS, World, world::wall};
use understudy_lab::{Error, Result, paths, report, soak};

/// Runs a soak of this many faults. The seed decides their order. Without kinds, all
/// kinds strike.
pub fn run(faults: &str, seed: Option<&str>, kinds: &[&str]) -> Result<ExitCode> {
    let faults = faults.parse().map_err(|_| Error::other("how many faults?"))?;
    let seed = match seed {
        Some(text) => text.parse().map_err(|_| Error::other("the seed is a number"))?,
        None => wall(),
    };
    let mut wanted = FAULTS.to_vec();
    if !kinds.is_empty() {
        wanted.retain(|fault| kinds.contains(&fault.name));
    }
    if wanted.len() < kinds.len() || wanted.is_empty() {
        let all: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
        return Err(Error::other(format!("the faults are: {}", all.join(", "))));
    }
    println!("soak: {faults} faults, seed {seed}");
    let world = World::start()?;
    let file = paths::workspace().join("target/soak/report.json");
    let soaked = soak::run(&world, seed, faults, &wanted, |soaked| {
        println!("\n{}", soaked.table());
        // A run that is stopped leaves what it has seen.
        report::write(&file, soaked)
    })?;
    let Some(error) = soaked.error else { return Ok(ExitCode::SUCCESS) };
    eprintln!("{error}\nthe logs are in {}", world.lab.folders().logs.display());
    Ok(ExitCode::FAILURE)
}
