//! The end of the lab by Ctrl-C or `kill`. The kernel ends the lab's children with it.
//! What would remain is removed here.

use std::path::PathBuf;
use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::error::{Error, Result};
use crate::paths;

static LEFTOVERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Handles SIGINT, SIGTERM and SIGHUP. `main` calls this first, because threads that
/// already run would not be covered.
///
/// # Errors
/// The kernel refuses.
pub fn handle() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().map_err(|e| Error::other(format!("block signals: {e}")))?;
    thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            eprintln!("\nstopped by {signal}");
            clean_up();
            process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

/// Remembers `path`, which is removed if a signal ends the lab.
pub fn remove_at_end(path: PathBuf) {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner).push(path);
}

fn clean_up() {
    for path in LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = paths::remove(&path);
    }
}
