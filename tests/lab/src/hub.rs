//! The cluster's own network: a hub that gives each datagram of a storage node to all others.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::plan::{Spec, Wire};

/// More than a frame of the cluster's network.
const FRAME: usize = 65536;
/// For how long a guest may have no room for a frame before the frame is lost to it.
const PATIENCE: Duration = Duration::from_millis(5);

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// Returns the socket of a guest's end of the cluster's network.
#[must_use]
pub fn guests_end(run: &Path, guest: &str) -> PathBuf {
    run.join(format!("{guest}.cl"))
}

/// Returns the socket that the guests send to.
#[must_use]
pub fn hubs_end(run: &Path) -> PathBuf {
    run.join("cluster")
}

impl Hub {
    /// Starts a hub for those of the guests that have a port of the cluster's network.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(guests: &[Spec], run: &Path) -> Result<Self> {
        let wired =
            |guest: &&Spec| guest.interfaces.iter().any(|nic| nic.wire == Wire::Cluster);
        let ends = guests.iter().filter(wired).map(|guest| guests_end(run, guest.name));
        let (ends, socket): (Vec<_>, _) = (ends.collect(), hubs_end(run));
        let hub = UnixDatagram::bind(&socket)
            .and_then(|hub| hub.set_write_timeout(Some(PATIENCE)).map(|()| hub))
            .map_err(Error::io("listen on", &socket))?;
        let thread = thread::spawn(move || forward(&hub, &ends));
        Ok(Self { socket, thread: Some(thread) })
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // No guest sends an empty frame: it ends the thread.
        let told = UnixDatagram::unbound().and_then(|end| end.send_to(&[], &self.socket));
        if let Some(thread) = self.thread.take().filter(|_| told.is_ok()) {
            let _ = thread.join();
        }
    }
}

/// Gives each frame to every guest but its sender, until an empty one comes.
fn forward(hub: &UnixDatagram, ends: &[PathBuf]) {
    let mut frame = vec![0; FRAME];
    loop {
        let (length, sender) = match hub.recv_from(&mut frame) {
            Ok((0, _)) => return,
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let Some(frame) = frame.get(..length) else { continue };
        for end in ends.iter().filter(|end| sender.as_pathname() != Some(end)) {
            // One that is off, or has no room, does not get it: as on any network.
            let _ = hub.send_to(frame, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::guests;

    #[test]
    fn a_frame_reaches_all_but_its_sender() {
        let run = tempfile::tempdir().unwrap();
        let hub = Hub::start(&guests(), run.path()).unwrap();
        let end = |guest| {
            let end = UnixDatagram::bind(guests_end(run.path(), guest)).unwrap();
            end.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            end
        };
        let (a, b) = (end("array-a"), end("array-b"));
        a.send_to(b"frame", hubs_end(run.path())).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(b.recv(&mut buffer).unwrap(), 5);
        assert!(a.recv(&mut buffer).is_err(), "its sender has it too");
        drop(hub);
        assert!(a.send_to(b"frame", hubs_end(run.path())).is_err(), "the hub still runs");
    }
}
