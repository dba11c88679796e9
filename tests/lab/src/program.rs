//! Programs on this machine that run to their end.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::child;
use crate::error::{Error, Result};
use crate::paths;

/// How many lines of a log go into the error, if the program fails.
const TAIL: usize = 15;

/// Runs a program, with its output in a log file. An error has the last lines of that
/// log.
///
/// # Errors
/// The program cannot be started, or fails.
pub fn run(mut command: Command, log: &Path) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |reason: String| Error::Program { program: program.clone(), reason };
    if let Some(folder) = log.parent() {
        paths::make(folder)?;
    }
    let out = File::create(log).map_err(Error::io("create", log))?;
    let err = out.try_clone().map_err(Error::io("create", log))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut running = child::spawn(command).map_err(|e| failed(missing(&e)))?;
    let status = running.streams().wait().map_err(|e| failed(e.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let tail = paths::tail(log, TAIL);
    Err(failed(format!("{status}; the end of {}:\n{tail}", log.display())))
}

/// Returns words for a program that cannot be started. If it is missing, they say how to
/// install it.
pub(crate) fn missing(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "not installed: run the lab's setup first".to_owned()
    } else {
        error.to_string()
    }
}
