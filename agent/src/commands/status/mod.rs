//! `understudy status`: a table for people, JSON for programs, and an exit code.

mod cluster;
pub mod node;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;
use understudy_core::budget::Budget;
use understudy_core::failure::Failure;
use understudy_core::kernel::{Kernel, RealKernel};
use understudy_core::verbs::status as look;

use super::complain;
use super::line::Line;
use crate::exit::Code;
use cluster::ClusterStatus;

/// For disks to answer.
pub const TIME: Duration = Duration::from_secs(20);
/// Between two looks.
const AGAIN: Duration = Duration::from_secs(2);

/// Prints it, with or without end. The code says whether all that it is about is healthy.
pub fn status(kernel: &RealKernel, node: &str, line: &Line) -> Code {
    let watch = line.has("--watch");
    let paint = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    loop {
        let (text, is_healthy) = match look_once(kernel, node, line, paint) {
            Ok(seen) => seen,
            Err(failure) => return complain(&failure.to_string(), Code::Failed),
        };
        let clear = if watch && paint { "\x1b[H\x1b[J" } else { "" };
        let printed = std::io::stdout().write_all((clear.to_owned() + &text).as_bytes());
        // Whoever reads may have gone.
        if printed.is_err() || !watch {
            return if is_healthy { Code::Success } else { Code::Failed };
        }
        kernel.sleep(AGAIN);
    }
}

/// What is printed, and whether all of it is healthy.
fn look_once(
    kernel: &RealKernel,
    node: &str,
    line: &Line,
    paint: bool,
) -> Result<(String, bool), Failure> {
    let json = line.has("--json");
    if line.has("--cluster") {
        let now = ClusterStatus::look()?;
        let text = if json { pretty(&now) } else { now.table(paint) };
        return Ok((text, now.is_healthy()));
    }
    let now = look::status(kernel, node, Budget::new(kernel, TIME))?;
    let text = match json {
        true => pretty(&now),
        false => node::table(&now, kernel.wall(), paint, line.has("--all")),
    };
    Ok((text, now.is_healthy()))
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
