//! `status`: what there is in the lab now.

use std::process::ExitCode;

use understudy_lab::Result;
use understudy_lab::supervise::{Answer, Ask};

use super::client;

pub fn run() -> Result<ExitCode> {
    if let Answer::Status(status) = client::ask(&Ask::Status)? {
        for guest in &status.guests {
            let power = if guest.on { "on" } else { "off" };
            let up = if guest.up { "takes commands" } else { "" };
            println!("{:<8} {power:<4} boot {}  {up}", guest.name, guest.boots);
        }
        for fabric in &status.fabrics {
            println!("fabric   {}", fabric.display());
        }
        println!("logs     {}", status.logs.display());
    }
    Ok(ExitCode::SUCCESS)
}
