//! `up`: starts the lab and waits until it is ready.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use understudy_lab::{Error, Result};

use super::client;

pub fn run() -> Result<ExitCode> {
    if client::connect().is_ok() {
        eprintln!("the lab is up already");
        return Ok(ExitCode::SUCCESS);
    }
    let own = std::env::current_exe().map_err(Error::io("find", "the lab's binary"))?;
    let mut owner = Command::new(&own)
        .arg("supervise")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io("run", &own))?;
    let mut said = String::new();
    if let Some(output) = owner.stdout.take() {
        let _ = BufReader::new(output).read_line(&mut said);
    }
    if said.trim() == "ready" {
        return Ok(ExitCode::SUCCESS);
    }
    let _ = owner.wait();
    Ok(ExitCode::FAILURE)
}
