//! `setup`: installs the Debian packages that the lab needs.

use std::process::{Command, ExitCode};

use understudy_lab::{Error, Result, paths};

pub fn run() -> Result<ExitCode> {
    let script = paths::sources().join("setup");
    let status = Command::new(&script).status().map_err(Error::io("run", &script))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
