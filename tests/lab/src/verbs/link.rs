//! `link`: plugs or pulls a guest's cable.

use std::process::ExitCode;

use understudy_lab::Result;
use understudy_lab::supervise::Ask;

use super::client;

pub fn run(guest: &str, interface: &str, up: bool) -> Result<ExitCode> {
    let (guest, interface) = (guest.to_owned(), interface.to_owned());
    client::ask(&Ask::Link { guest, interface, up })?;
    Ok(ExitCode::SUCCESS)
}
