//! The program `nft`. It carries out a script as a whole or not at all, and answers
//! questions in JSON.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::kernel::op::{Done, Op};
use crate::kernel::{Cause, KernelError};

/// Processes of `nft` that were started in advance and wait for their input. If none
/// comes, they end with the process that started them, and do nothing.
struct Ready {
    started: Mutex<Vec<Child>>,
    arguments: &'static [&'static str],
    /// How many are started in advance.
    count: usize,
}

static SCRIPTS: Ready =
    Ready { started: Mutex::new(Vec::new()), arguments: &["-f", "-"], count: 2 };
static QUESTIONS: Ready =
    Ready { started: Mutex::new(Vec::new()), arguments: &["-j", "-f", "-"], count: 1 };

/// Starts `nft` in advance. Most of its time is its start, and later initiators would
/// wait for that.
pub(crate) fn ready(op: &Op) -> Result<Done, KernelError> {
    for place in [&SCRIPTS, &QUESTIONS] {
        let mut started = place.started.lock().unwrap_or_else(PoisonError::into_inner);
        while started.len() < place.count {
            started.push(place.start().map_err(|e| op.failed(Cause::of(&e)))?);
        }
    }
    Ok(Done::Changed)
}

/// Carries out a script.
pub(crate) fn change(script: &str, op: &Op) -> Result<Done, KernelError> {
    SCRIPTS.say(script, op)?;
    Ok(Done::Changed)
}

/// Returns the answers to questions, a line of JSON for each.
pub(crate) fn ask(questions: &str, op: &Op) -> Result<String, KernelError> {
    QUESTIONS.say(questions, op)
}

impl Ready {
    fn start(&self) -> std::io::Result<Child> {
        Command::new("nft")
            .args(self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Gives an input to a waiting process, or to a new one, and returns its output.
    fn say(&self, input: &str, op: &Op) -> Result<String, KernelError> {
        let failed = |e: std::io::Error| op.failed(Cause::of(&e));
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut nft = started.map_or_else(|| self.start(), Ok).map_err(failed)?;
        // The input is dropped, and so closed, at the end of this block. nft waits for
        // that.
        if let Some(mut stdin) = nft.stdin.take() {
            stdin.write_all(input.as_bytes()).map_err(failed)?;
        }
        let output = nft.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let status = output.status.to_string();
        let said = said.lines().next().unwrap_or(&status);
        Err(op.failed(Cause::Device(format!("nft: {said}"))))
    }
}
