//! The sleep of the server, and what ends it.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::port::LinkId;

use crate::program::ServerError;

use super::Server;

/// A file descriptor that poll has reported.
#[derive(Clone, Copy)]
pub(super) enum Ready {
    Signal,
    Stdin,
    Link(usize),
    Control,
    Peer(usize),
}

impl Server {
    /// Sleeps until there is something to do. Returns what that is.
    pub(super) fn wait(&self) -> Result<Vec<(Ready, PollFlags)>, ServerError> {
        let (input, output) = (PollFlags::POLLIN, PollFlags::POLLOUT);
        let stdin = io::stdin();
        let mut what = vec![Ready::Signal, Ready::Control];
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), input),
            PollFd::new(self.control.as_fd(), input),
        ];
        if self.until_stdin_closes {
            what.push(Ready::Stdin);
            fds.push(PollFd::new(stdin.as_fd(), input));
        }
        for (index, source) in self.sources.iter().enumerate() {
            what.push(Ready::Link(index));
            // A cable has one end: the next node waits in the listener's backlog.
            fds.push(match &source.node {
                None => PollFd::new(source.socket.as_fd(), input),
                Some(node) => {
                    let behind =
                        self.wires.wires.get(index).map(|w| !w.outbox.is_empty());
                    let stalled = self.wires.is_stalled(LinkId(index));
                    let write =
                        if behind == Some(true) { output } else { PollFlags::empty() };
                    let read = if stalled { PollFlags::empty() } else { input };
                    PollFd::new(node.as_fd(), read | write)
                }
            });
        }
        for (index, peer) in self.peers.iter().enumerate() {
            what.push(Ready::Peer(index));
            let write = if peer.is_behind() { output } else { PollFlags::empty() };
            fds.push(PollFd::new(peer.stream().as_fd(), input | write));
        }
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        Ok(what
            .into_iter()
            .zip(events)
            .filter(|(_, events)| !events.is_empty())
            .collect())
    }

    /// Returns the time until the fabric's next deadline or the capture's.
    fn timeout(&self) -> PollTimeout {
        let next = self.fabric.deadline().min(self.capture_due.unwrap_or(Duration::MAX));
        let wait = next.saturating_sub(self.wires.now());
        // Rounded up: waking a moment too early would only mean waking twice.
        let millis = wait.as_millis().saturating_add(1);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }
}
