//! The cable to the fabric: a stream socket with a length before each frame, as QEMU's
//! `-netdev stream` has it. A fabric that is not there yet, or has gone, is asked again.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::PollFlags;
use understudy_fabric::link::{Inbox, Outbox};
use understudy_fabric::pcap::Direction;
use understudy_fabric::port::LinkId;
use understudy_fabric::program::ServerError;

use super::Server;

/// How many bytes may wait in the socket's queue before the HBA has to wait.
const HIGH: usize = 64 << 20;
/// How long after a failure the fabric is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// The cable, and what waits on it.
#[derive(Debug)]
pub(super) struct Cable {
    path: Option<PathBuf>,
    pub(super) stream: Option<UnixStream>,
    inbox: Inbox,
    pub(super) outbox: Outbox,
    /// When to connect, while there is no connection.
    pub(super) connect_at: Duration,
}

impl Cable {
    /// Returns a cable that is not connected.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            stream: None,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            connect_at: Duration::ZERO,
        }
    }

    /// Returns when to connect, if there is something to connect to and no connection.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let wanted = self.path.is_some() && self.stream.is_none();
        wanted.then_some(self.connect_at)
    }
}

impl Server {
    /// Connects to the fabric, if that is due.
    pub(super) fn connect_cable(&mut self) {
        let now = self.started.elapsed();
        let due = self.cable.deadline().is_some_and(|due| due <= now);
        let Some(path) = self.cable.path.as_ref().filter(|_| due) else { return };
        let stream = UnixStream::connect(path);
        let stream = stream.and_then(|stream| {
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => {
                log::info!("connected to the fabric");
                self.cable.stream = Some(stream);
                self.hba.set_now(now);
                self.set_light();
            }
            Err(error) => {
                log::debug!("{}: {error}", path.display());
                self.cable.connect_at = now + RETRY;
            }
        }
    }

    /// Tells the HBA whether there is light.
    pub(super) fn set_light(&mut self) {
        self.hba.set_light(self.light && self.cable.stream.is_some());
    }

    /// Takes the frames that have come.
    pub(super) fn serve_cable(&mut self, events: PollFlags) -> Result<(), ServerError> {
        let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
        if !events.intersects(PollFlags::POLLIN | hung_up) {
            return Ok(());
        }
        let now = self.started.elapsed();
        let Some(stream) = &mut self.cable.stream else { return Ok(()) };
        let alive = match self.cable.inbox.fill(stream) {
            Ok(0) => false,
            Ok(_) => loop {
                match self.cable.inbox.next_frame() {
                    Ok(Some(frame)) if self.light => {
                        if let Some(capture) = &mut self.capture {
                            let time = self.epoch + now;
                            let received = Direction::Received;
                            capture.frame(LinkId(0), received, time, frame)?;
                        }
                        self.hba.receive(frame);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break true,
                    Err(error) => {
                        log::error!("fabric: {error}");
                        break false;
                    }
                }
            },
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if !alive {
            log::info!("the fabric has gone");
            self.cable.stream = None;
            self.cable.inbox = Inbox::default();
            // Frames that wait would hold up the driver until there is a fabric again.
            self.cable.outbox = Outbox::default();
            self.cable.connect_at = now + RETRY;
            self.set_light();
        }
        Ok(())
    }

    /// Sends the frames that the HBA has produced.
    pub(super) fn send_frames(&mut self, now: Duration) -> Result<(), ServerError> {
        let full = self.cable.outbox.len() > HIGH;
        let frames = if full { Vec::new() } else { self.hba.take_frames() };
        for frame in frames {
            if self.cable.stream.is_none() || !self.light {
                continue;
            }
            if let Some(capture) = &mut self.capture {
                capture.frame(LinkId(0), Direction::Sent, self.epoch + now, &frame)?;
            }
            self.cable.outbox.push(&frame);
        }
        if let Some(stream) = &mut self.cable.stream {
            if let Err(error) = self.cable.outbox.flush(stream) {
                // The next read says that the fabric is gone.
                log::debug!("fabric: {error}");
            }
        }
        Ok(())
    }
}
