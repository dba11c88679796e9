//! The program around the fabric: sockets, clock and signals in one poll loop.

mod nodes;
mod peers;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signalfd::SignalFd;

use crate::console::Peer;
use crate::fabric::{Config, Fabric};
use crate::journal::Journal;
use crate::link::Inbox;
use crate::pcap::Capture;
use crate::port::LinkId;
use crate::program::{self, ServerError};
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
        let signals = program::signals()?;

        let journal = Journal::create(events.as_deref());
        let journal =
            journal.map_err(|e| ServerError::file(events.unwrap_or_default(), e))?;
        let create = |path: &PathBuf| {
            Capture::create(path, &config.links, usize::MAX)
                .map_err(|e| ServerError::file(path.clone(), e))
        };
        let capture = capture.as_ref().map(create).transpose()?;
        let listen =
            |path: PathBuf| Socket::listen(&path).map_err(|e| ServerError::file(path, e));
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
                    Ready::Stdin => self.done |= program::stdin_has_closed(),
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
        Ok(self.wires.sync()?)
    }

    fn excuse_stalled(&mut self, now: Duration) {
        for link in (0..self.sources.len()).map(LinkId) {
            if self.wires.is_stalled(link) {
                self.fabric.excuse(link, now);
            }
        }
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
            self.wires.sync()?;
        } else if self.capture_due.is_none() && self.wires.is_dirty() {
            self.capture_due = Some(now + CAPTURE_DELAY);
        }
        Ok(())
    }
}
