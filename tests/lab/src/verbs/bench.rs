//! `bench`: what a group costs its node, beside other agents. `bench-pause`: what an
//! initiator waits for.

use std::process::ExitCode;
use std::time::Duration;

use understudy_lab::accel::Accel;
use understudy_lab::bench::{self, pause};
use understudy_lab::image::Image;
use understudy_lab::{Error, Result, paths, report};

/// How many minutes the contenders that start processes for each LUN may take, unless the
/// command line says it.
const MINUTES: &str = "60";

/// Measures what start, monitor and stop cost. `minutes` bounds the slowest contenders.
/// Writes the page if all contenders have run.
pub fn run(minutes: Option<&str>, names: &[&str]) -> Result<ExitCode> {
    let minutes = minutes.unwrap_or(MINUTES).parse::<u64>();
    let minutes = minutes.map_err(|_| Error::other("how many minutes?"))?;
    let folder = paths::workspace().join("target/bench");
    // A run that is stopped leaves what it has seen.
    let done = bench::run(Duration::from_secs(minutes * 60), names, |so_far| {
        report::write(&folder.join("report.json"), &so_far.rows)
    })?;
    println!("\n{}", bench::summary(&done));
    println!("figures: target/bench/report.json");
    if names.is_empty() {
        let docs = paths::workspace().join("docs");
        paths::write(&docs.join("bench.md"), bench::document(&done, &machine()?))?;
        let picture = bench::draw(&done)?;
        for place in [&docs, &folder] {
            paths::write(&place.join("scale.svg"), &picture)?;
        }
        println!("page: docs/bench.md");
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures what an initiator waits for, with groups of these sizes, or of all sizes if
/// none is given. Writes the page if all sizes were measured.
pub fn pause(sizes: &[&str]) -> Result<ExitCode> {
    let folder = paths::workspace().join("target/bench");
    let given: Vec<u16> = sizes.iter().filter_map(|luns| luns.parse().ok()).collect();
    if given.len() < sizes.len() {
        return Err(Error::other("how many LUNs? Numbers, please"));
    }
    let all = pause::SIZES.as_slice();
    let sizes = if given.is_empty() { all } else { &given };
    let pauses =
        pause::run(sizes, |so_far| report::write(&folder.join("pause.json"), &so_far))?;
    if given.is_empty() {
        let picture = bench::stack(&pauses)?;
        let docs = paths::workspace().join("docs");
        for place in [&docs, &folder] {
            paths::write(&place.join("pause.svg"), &picture)?;
        }
        paths::write(&docs.join("pause.md"), pause::document(&pauses, &machine()?))?;
        println!("page: docs/pause.md");
    }
    println!("\n{}", pause::table(&pauses));
    println!("figures: target/bench/pause.json");
    Ok(ExitCode::SUCCESS)
}

fn machine() -> Result<String> {
    let how = match Accel::probe(&Image::get()?.emulator()) {
        Accel::Kvm => "under KVM",
        Accel::Tcg => "under emulation",
    };
    Ok(format!("Guests, Debian 13 with one processor each, ran\n{how}."))
}
