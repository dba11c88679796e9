//! `down`: ends the lab.

use std::process::ExitCode;

use understudy_lab::Result;
use understudy_lab::supervise::Ask;

use super::client;

pub fn run() -> Result<ExitCode> {
    if client::connect().is_err() {
        eprintln!("the lab is not up");
    } else {
        client::ask(&Ask::Down)?;
    }
    Ok(ExitCode::SUCCESS)
}
