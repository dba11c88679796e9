//! `power`: switches a guest's power, as its BMC would.

use std::process::ExitCode;

use understudy_lab::Result;
use understudy_lab::supervise::Ask;

use super::client;

pub fn run(guest: &str, on: bool) -> Result<ExitCode> {
    client::ask(&Ask::Power { guest: guest.to_owned(), on })?;
    Ok(ExitCode::SUCCESS)
}
