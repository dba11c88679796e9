//! The sleep of the server, and what ends it.

use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use understudy_fabric::program::ServerError;

use super::Server;

/// A file descriptor that poll has reported.
#[derive(Clone, Copy)]
pub(super) enum Ready {
    Signal,
    Stdin,
    GuestSocket,
    Guest,
    Cable,
    Control,
    Peer(usize),
}

impl Server {
    /// Sleeps until there is something to do. Returns what that is.
    pub(super) fn wait(&self) -> Result<Vec<(Ready, PollFlags)>, ServerError> {
        let (input, output) = (PollFlags::POLLIN, PollFlags::POLLOUT);
        let and_output = |behind: bool| if behind { input | output } else { input };
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
        // A slot has one card: the next guest waits in the listener's backlog.
        match &self.guest {
            None => {
                what.push(Ready::GuestSocket);
                fds.push(PollFd::new(self.guest_socket.as_fd(), input));
            }
            Some(guest) => {
                // What it asks waits until it has read what it was answered.
                let events = if guest.is_behind() { output } else { input };
                what.push(Ready::Guest);
                fds.push(PollFd::new(guest.as_fd(), events));
            }
        }
        if let Some(stream) = &self.cable.stream {
            what.push(Ready::Cable);
            let behind = !self.cable.outbox.is_empty();
            fds.push(PollFd::new(stream.as_fd(), and_output(behind)));
        }
        for (index, peer) in self.peers.iter().enumerate() {
            what.push(Ready::Peer(index));
            fds.push(PollFd::new(peer.stream().as_fd(), and_output(peer.is_behind())));
        }
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let ready = what.into_iter().zip(events);
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    /// Returns the time until the next deadline. Without one the sleep has no end.
    fn timeout(&self) -> PollTimeout {
        let deadlines = [self.hba.deadline(), self.cable.deadline(), self.capture_due];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return PollTimeout::NONE;
        };
        let wait = next.saturating_sub(self.started.elapsed());
        // Rounded up: waking a moment too early would only mean waking twice.
        let millis = wait.as_millis().saturating_add(1);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }
}
