//! What programs of this kind have in common: why they cannot go on, and what ends them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Why the server cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file or socket cannot be made.
    #[error("{path}: {source}")]
    File {
        /// The path of the file or socket.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
    /// The event log or the capture cannot be written, so the run would prove nothing.
    #[error("event log or capture: {0}")]
    Record(#[from] io::Error),
    /// A system call failed that does not fail in practice.
    #[error("{0}")]
    System(#[from] nix::Error),
}

impl ServerError {
    /// Returns the error for a file or socket that cannot be made.
    pub fn file(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::File { path: path.as_ref().to_owned(), source }
    }
}

/// Returns a descriptor that SIGTERM and SIGINT make readable. From here on they do nothing
/// else.
pub fn signals() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Reads from standard input, and returns whether it has closed.
pub fn stdin_has_closed() -> bool {
    let mut scratch = [0; 512];
    let result = io::stdin().lock().read(&mut scratch);
    matches!(result, Ok(0) | Err(_))
}
