//! The cluster's own network: a hub, which gives a frame to the guest that it is
//! addressed to, or to all guests but the sender.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::plan::{Spec, Wire};

/// Size of the buffer for a frame, which is larger than any frame of this network.
const FRAME: usize = 65536;
/// How long a guest may have no room for a frame. Then the guest does not get that frame.
const PATIENCE: Duration = Duration::from_millis(5);

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// A guest's end of the cluster's network.
#[derive(Debug)]
struct End {
    socket: PathBuf,
    mac: Vec<u8>,
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
    /// Starts a hub for the guests that have an interface on the cluster's network.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(guests: &[Spec], run: &Path) -> Result<Self> {
        let end = |guest: &Spec| {
            let nic = guest.interfaces.iter().find(|nic| nic.wire == Wire::Cluster)?;
            Some(End { socket: guests_end(run, guest.name), mac: bytes(&nic.mac) })
        };
        let ends: Vec<End> = guests.iter().filter_map(end).collect();
        let socket = hubs_end(run);
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

/// Returns a hardware address as bytes.
fn bytes(mac: &str) -> Vec<u8> {
    mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// Passes frames on until an empty one comes. Each goes to the guest that it is addressed
/// to, or to every guest but its sender.
fn forward(hub: &UnixDatagram, ends: &[End]) {
    let mut frame = vec![0; FRAME];
    loop {
        let (length, sender) = match hub.recv_from(&mut frame) {
            Ok((0, _)) => return,
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let Some(frame) = frame.get(..length) else { continue };
        let for_one = ends.iter().any(|end| frame.starts_with(&end.mac));
        let gets = |end: &&End| {
            sender.as_pathname() != Some(&end.socket)
                && (!for_one || frame.starts_with(&end.mac))
        };
        for end in ends.iter().filter(gets) {
            // One that is off, or has no room, does not get it: as on any network.
            let _ = hub.send_to(frame, &end.socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{STORAGE_NODES, guests, reserve};

    fn end(run: &Path, guest: &str) -> UnixDatagram {
        let end = UnixDatagram::bind(guests_end(run, guest)).unwrap();
        end.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        end
    }

    #[test]
    fn a_frame_for_one_reaches_it_alone() {
        let run = tempfile::tempdir().unwrap();
        let _hub = Hub::start(&[guests(), reserve()].concat(), run.path()).unwrap();
        let [a, b, c] = STORAGE_NODES.map(|guest| end(run.path(), guest));
        let to_b = [0x52, 0x54, 0, 0x75, 2, 2, 0];
        a.send_to(&to_b, hubs_end(run.path())).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(b.recv(&mut buffer).unwrap(), to_b.len());
        assert!(c.recv(&mut buffer).is_err(), "another has it too");
    }

    #[test]
    fn a_frame_for_nobody_known_reaches_all_but_its_sender() {
        let run = tempfile::tempdir().unwrap();
        let hub = Hub::start(&guests(), run.path()).unwrap();
        let (a, b) = (end(run.path(), "array-a"), end(run.path(), "array-b"));
        a.send_to(b"frame", hubs_end(run.path())).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(b.recv(&mut buffer).unwrap(), 5);
        assert!(a.recv(&mut buffer).is_err(), "its sender has it too");
        drop(hub);
        assert!(a.send_to(b"frame", hubs_end(run.path())).is_err(), "the hub still runs");
    }
}
