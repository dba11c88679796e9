//! Progress for the person who waits: a line for each step, with the time that it took.
//! On a terminal, the step that is under way shows its time as it runs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The greatest width of a line, in columns.
const COLUMNS: usize = 80;

/// A step that is under way. A step that is dropped without [`Step::done`] has failed.
#[derive(Debug)]
pub struct Step {
    name: String,
    began: Instant,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
    over: bool,
}

/// Begins a step.
#[must_use]
pub fn step(name: impl Into<String>) -> Step {
    let name = name.into();
    let began = Instant::now();
    let ticker = io::stderr().is_terminal().then(|| tick(name.clone(), began));
    Step { name, began, ticker, over: false }
}

/// Prints a line that is no step.
pub fn note(text: &str) {
    let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    eprintln!("{clear}{}", fit(text, COLUMNS));
}

/// Runs `work` as one step.
///
/// # Errors
/// The error of `work`.
pub fn during<T, E>(
    name: impl Into<String>,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let step = step(name);
    let result = work()?;
    step.done("");
    Ok(result)
}

impl Step {
    /// Ends a step that has succeeded. `remark` is printed after its time.
    pub fn done(mut self, remark: &str) {
        self.end("ok", remark);
    }

    fn end(&mut self, word: &str, remark: &str) {
        self.over = true;
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            let _ = ticker.join();
        }
        let line = line(&self.name, word, self.began.elapsed(), remark);
        let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{clear}{line}");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.over {
            self.end("FAILED", "");
        }
    }
}

fn tick(name: String, began: Instant) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = channel::<()>();
    let ticker = thread::spawn(move || {
        loop {
            let text = line(&name, "..", began.elapsed(), "");
            let mut out = io::stderr().lock();
            let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
            drop(out);
            let next = stopped.recv_timeout(Duration::from_millis(500));
            if next != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    (stop, ticker)
}

fn line(name: &str, word: &str, took: Duration, remark: &str) -> String {
    let mut line =
        format!("{:<42} {word:>6} {:>6.1} s", fit(name, 42), took.as_secs_f64());
    if !remark.is_empty() {
        let _ = write!(line, "  {remark}");
    }
    fit(&line, COLUMNS)
}

fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(columns - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let line = line(&"x".repeat(200), "ok", Duration::from_secs(1), &"y".repeat(99));
        assert_eq!(line.chars().count(), COLUMNS);
    }
}
