//! `understudy targetctl`: what targetcli's service does in place of `targetctl`, which
//! removes every target of the node, a served group's too.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use understudy_core::kernel::{Kernel, paths};
use understudy_core::situation::neighbours::{Saved, in_use};

use super::complain;
use super::line::Line;
use crate::exit::Code;

/// The program that is run in the end.
const PROGRAM: &str = "targetctl";

/// Restores or clears LIO's configuration, unless something of a group is here.
pub fn targetctl(kernel: &dyn Kernel, _: &str, line: &Line) -> Code {
    let verb = line.word();
    if !matches!(verb, "restore" | "clear") {
        return complain("targetctl: restore or clear, no other word", Code::Arguments);
    }
    let in_use = in_use(kernel);
    if !in_use.is_empty() {
        return say(&format!("nothing was changed: {}", in_use.join(", ")));
    }
    let mut program = Command::new(PROGRAM);
    program.arg(verb);
    let saved = Saved::read(kernel).filter(|_| verb == "restore");
    if let Some(text) = saved.and_then(|saved| saved.without_groups()) {
        let others = Path::new(paths::SAVED_OTHERS);
        if let Err(error) = kernel.store(others, &text) {
            return complain(&format!("targetctl: {error}"), Code::Failed);
        }
        say("what was saved of groups is left out: they are Pacemaker's");
        program.arg(others);
    }
    match program.status() {
        Ok(status) if status.success() => Code::Success,
        Ok(status) => complain(&format!("{PROGRAM} {verb}: {status}"), Code::Failed),
        Err(error) => complain(&format!("{PROGRAM}: {error}"), Code::Failed),
    }
}

/// Prints in a line, for the unit's journal, what was not done.
fn say(what: &str) -> Code {
    let _ = writeln!(std::io::stdout(), "understudy: {what}");
    Code::Success
}
