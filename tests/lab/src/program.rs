//! Programs of this machine that run to their end.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::child;
use crate::error::{Error, Result};
use crate::paths;

/// How much of a log explains a failure.
const TAIL: usize = 15;

/// Runs a program with its output in a log file; a failure carries the log's last lines.
///
/// # Errors
/// It cannot be started, or fails.
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

/// What a failed start says, with the remedy for the usual reason.
pub(crate) fn missing(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "not installed: run the lab's setup first".to_owned()
    } else {
        error.to_string()
    }
}
