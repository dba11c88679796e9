//! `understudy status`: a table for people, JSON for programs, and an exit code.

mod cluster;
pub mod node;

use std::io::Write;
use std::time::Duration;

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::action::failure::Failure;
use understudy_core::kernel::Kernel;
use understudy_core::verbs::status as look;

use super::line::Line;
use super::{TIME, complain, json, paint};
use crate::exit::Code;
use cluster::ClusterStatus;

/// Time between two looks with `--watch`.
const AGAIN: Duration = Duration::from_secs(2);

/// Prints the status, once or until it is stopped. The code says whether everything that
/// was printed is healthy.
pub fn status(kernel: &dyn Kernel, node: &str, line: &Line) -> Code {
    let watch = line.has("--watch");
    let paint = paint();
    loop {
        let (text, is_healthy) = match look_once(kernel, node, line, paint) {
            Ok(seen) => seen,
            Err(failure) => return complain(&failure.to_string(), Code::Failed),
        };
        let clear = if watch && paint { "\x1b[H\x1b[J" } else { "" };
        let printed = std::io::stdout().write_all((clear.to_owned() + &text).as_bytes());
        // A failed write ends the watch: the reader may have gone.
        if printed.is_err() || !watch {
            return if is_healthy { Code::Success } else { Code::Failed };
        }
        kernel.sleep(AGAIN);
    }
}

/// Returns what to print, and whether all of it is healthy.
fn look_once(
    kernel: &dyn Kernel,
    node: &str,
    line: &Line,
    paint: bool,
) -> Result<(String, bool), Failure> {
    let programs = line.has("--json");
    if line.has("--cluster") {
        let now = ClusterStatus::look(node)?;
        let text = if programs { json(&now) } else { now.table(paint) };
        return Ok((text, now.is_healthy()));
    }
    let now = look::status(&Action::new(kernel, node, Budget::new(kernel, TIME)))?;
    let text = match programs {
        true => json(&now),
        false => node::table(&now, kernel.wall(), paint, line.has("--all")),
    };
    Ok((text, now.is_healthy()))
}
