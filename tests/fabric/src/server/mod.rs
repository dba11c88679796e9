//! The program around the fabric: sockets, clock and signals in one poll loop.

mod nodes;
mod peers;
mod wait;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::console::Peer;
use crate::fabric::{Config, Fabric};
use crate::journal::Journal;
use crate::link::Inbox;
use crate::pcap::Capture;
use crate::port::LinkId;
use crate::socket::Socket;
use crate::wires::Wires;

use nodes::Source;
use wait::Ready;

/// How long a frame may wait before it is in the capture file.
const CAPTURE_DELAY: Duration = Duration::from_millis(200);

/// What the server is told to do.
#[derive(Debug)]
pub struct Setup {
    /// The fabric's setup. Its links and `sockets` have the same order.
    pub config: Config,
    /// Where each link listens.
    pub sockets: Vec<PathBuf>,
    /// Where the control socket listens.
    pub control: PathBuf,
    /// Where events are written.
    pub events: Option<PathBuf>,
    /// Where frames are captured.
    pub capture: Option<PathBuf>,
    /// Whether the program ends when its standard input closes.
    pub until_stdin_closes: bool,
}

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
    Record(io::Error),
    /// A system call failed that does not fail in practice.
    #[error("{0}")]
    System(#[from] nix::Error),
}

/// The running program.
pub struct Server {
    fabric: Fabric,
    wires: Wires,
    sources: Vec<Source>,
    control: Socket,
    peers: Vec<Peer>,
    signals: SignalFd,
    until_stdin_closes: bool,
    capture_due: Option<Duration>,
    done: bool,
}

impl Server {
    /// Listens on all sockets. From here on SIGTERM and SIGINT end [`Self::run`].
    pub fn start(setup: Setup) -> Result<Self, ServerError> {
        let Setup { config, sockets, control, events, capture, .. } = setup;
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&signals, flags)?;

        let journal = Journal::create(events.as_deref());
        let journal = journal.map_err(|e| file_error(events.unwrap_or_default(), e))?;
        let create = |path: &PathBuf| {
            Capture::create(path, &config.links).map_err(|e| file_error(path.clone(), e))
        };
        let capture = capture.as_ref().map(create).transpose()?;
        let listen =
            |path: PathBuf| Socket::listen(&path).map_err(|e| file_error(path, e));
        let source = |path| {
            Ok(Source { socket: listen(path)?, node: None, inbox: Inbox::default() })
        };
        let sources: Vec<Source> =
            sockets.into_iter().map(source).collect::<Result<_, ServerError>>()?;
        Ok(Self {
            wires: Wires::new(sources.len(), journal, capture),
            fabric: Fabric::new(config),
            sources,
            control: listen(control)?,
            peers: Vec::new(),
            signals,
            until_stdin_closes: setup.until_stdin_closes,
            capture_due: None,
            done: false,
        })
    }

    /// Serves until it is asked to end.
    pub fn run(&mut self) -> Result<(), ServerError> {
        while !self.done {
            for (ready, events) in self.wait()? {
                match ready {
                    Ready::Signal => self.done = true,
                    Ready::Stdin => self.read_stdin(),
                    Ready::Link(link) => self.serve_link(link, events),
                    Ready::Control => self.admit_peer(),
                    Ready::Peer(peer) => self.serve_peer(peer),
                }
            }
            let now = self.wires.now();
            self.excuse_stalled(now);
            self.wires.idle();
            self.fabric.tick(now, &mut self.wires);
            self.flush(now)?;
        }
        for peer in &mut self.peers {
            peer.follow(self.wires.journal.after(0));
            // A client that has gone does not wait for a last reply.
            let _ = peer.finish();
        }
        self.wires.sync().map_err(ServerError::Record)
    }

    fn excuse_stalled(&mut self, now: Duration) {
        for link in (0..self.sources.len()).map(LinkId) {
            if self.wires.is_stalled(link) {
                self.fabric.excuse(link, now);
            }
        }
    }

    fn read_stdin(&mut self) {
        let mut scratch = [0; 512];
        let result = io::stdin().lock().read(&mut scratch);
        self.done |= matches!(result, Ok(0) | Err(_));
    }

    /// Writes what this turn of the loop has produced, once for all.
    fn flush(&mut self, now: Duration) -> Result<(), ServerError> {
        for (source, wire) in self.sources.iter_mut().zip(&mut self.wires.wires) {
            if let Some(node) = &mut source.node {
                if let Err(error) = wire.outbox.flush(node) {
                    // The next read says that the node is gone.
                    log::debug!("{}: {error}", source.socket.path().display());
                }
            }
        }
        for peer in &mut self.peers {
            peer.follow(self.wires.journal.after(0));
            peer.flush();
        }
        self.peers.retain(|peer| !peer.is_closed());
        if self.capture_due.is_some_and(|due| now >= due) {
            self.capture_due = None;
            self.wires.sync().map_err(ServerError::Record)?;
        } else if self.capture_due.is_none() && self.wires.is_dirty() {
            self.capture_due = Some(now + CAPTURE_DELAY);
        }
        Ok(())
    }
}

fn file_error(path: impl AsRef<Path>, source: io::Error) -> ServerError {
    ServerError::File { path: path.as_ref().to_owned(), source }
}
