//! The program around the HBA: sockets, clock and signals in one poll loop.

mod cable;
mod peers;
mod wait;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signalfd::SignalFd;
use understudy_fabric::addr::Mac;
use understudy_fabric::console::Peer;
use understudy_fabric::journal::Journal;
use understudy_fabric::pcap::Capture;
use understudy_fabric::program::{self, ServerError};
use understudy_fabric::socket::Socket;

use crate::control::Event;
use crate::firmware::{Hba, Switches};
use crate::pci::{Client, Function, ProtocolError};
use crate::wire::{self, Names};

use cable::Cable;
use wait::Ready;

/// How long a frame may wait before it is in the capture file.
const CAPTURE_DELAY: Duration = Duration::from_millis(200);

/// What the server is told to do.
#[derive(Debug)]
pub struct Setup {
    /// The names of the physical port.
    pub names: Names,
    /// The HBA's own Ethernet address.
    pub enode: Mac,
    /// Where the guest's QEMU connects.
    pub socket: PathBuf,
    /// The socket of the fabric's link.
    pub fabric: Option<PathBuf>,
    /// Where the control socket listens.
    pub control: PathBuf,
    /// Where events are written.
    pub journal: Option<PathBuf>,
    /// Where frames are captured.
    pub capture: Option<PathBuf>,
    /// How many bytes of a frame are captured at most.
    pub snap: usize,
    /// How firmware behaves where no source tells.
    pub switches: Switches,
    /// Whether the program ends when its standard input closes.
    pub until_stdin_closes: bool,
}

/// The running program.
#[derive(Debug)]
pub struct Server {
    hba: Hba,
    function: Function,
    guest_socket: Socket,
    guest: Option<Client>,
    cable: Cable,
    /// Whether the control socket lets light through.
    light: bool,
    control: Socket,
    peers: Vec<Peer>,
    journal: Journal<Event>,
    capture: Option<Capture>,
    capture_due: Option<Duration>,
    signals: SignalFd,
    until_stdin_closes: bool,
    started: Instant,
    epoch: Duration,
    done: bool,
}

impl Server {
    /// Listens on all sockets. From here on SIGTERM and SIGINT end [`Self::run`].
    pub fn start(setup: Setup) -> Result<Self, ServerError> {
        let signals = program::signals()?;

        let Setup { names, enode, switches, journal, capture, snap, .. } = setup;
        let log = Journal::create(journal.as_deref());
        let log = log.map_err(|e| ServerError::file(journal.unwrap_or_default(), e))?;
        let links = ["fabric".to_owned()];
        let create = |path: &PathBuf| {
            Capture::create(path, &links, snap).map_err(|e| ServerError::file(path, e))
        };
        let capture = capture.as_ref().map(create).transpose()?;
        let listen =
            |path: PathBuf| Socket::listen(&path).map_err(|e| ServerError::file(path, e));
        Ok(Self {
            hba: Hba::new(names, switches, wire::Options::new(enode, names.wwnn)),
            function: Function::default(),
            guest_socket: listen(setup.socket)?,
            guest: None,
            cable: Cable::new(setup.fabric),
            light: true,
            control: listen(setup.control)?,
            peers: Vec::new(),
            journal: log,
            capture,
            capture_due: None,
            signals,
            until_stdin_closes: setup.until_stdin_closes,
            started: Instant::now(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            done: false,
        })
    }

    /// Serves until it is asked to end.
    pub fn run(&mut self) -> Result<(), ServerError> {
        while !self.done {
            self.connect_cable();
            let ready = self.wait()?;
            let now = self.started.elapsed();
            self.hba.set_now(now);
            for (ready, events) in ready {
                match ready {
                    Ready::Signal => self.done = true,
                    Ready::Stdin => self.done |= program::stdin_has_closed(),
                    Ready::GuestSocket => self.admit_guest(),
                    Ready::Guest => self.serve_guest(),
                    Ready::Cable => self.serve_cable(events)?,
                    Ready::Control => self.admit_peer(),
                    Ready::Peer(peer) => self.serve_peer(peer),
                }
            }
            self.hba.tick();
            self.flush(now)?;
        }
        for peer in &mut self.peers {
            peer.follow(self.journal.after(0));
            // A client that has gone does not wait for a last reply.
            let _ = peer.finish();
        }
        if let Some(capture) = &mut self.capture {
            capture.flush()?;
        }
        Ok(())
    }

    fn admit_guest(&mut self) {
        if let Some(stream) = self.guest_socket.accept() {
            log::info!("a guest has connected");
            self.guest = Some(Client::new(stream));
        }
    }

    fn serve_guest(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        let flushed = guest.flush().map_err(ProtocolError::from);
        let served =
            flushed.and_then(|()| guest.serve(&mut self.function, &mut self.hba));
        let alive = served.unwrap_or_else(|error| {
            log::error!("guest: {error}");
            false
        });
        if !alive {
            log::info!("the guest has gone");
            self.guest = None;
            self.function.disconnect();
            self.hba.power_off();
        }
    }

    /// Brings out what this turn of the loop has produced. The log is first, so that no
    /// frame and no interrupt comes before the event that it follows from.
    fn flush(&mut self, now: Duration) -> Result<(), ServerError> {
        let t = (self.epoch + now).as_secs_f64();
        for report in self.hba.take_reports() {
            self.journal.record(|seq| Event { seq, t, report })?;
        }
        if self.hba.take_interrupt() {
            self.function.interrupts.raise();
        }
        self.send_frames(now)?;
        for peer in &mut self.peers {
            peer.follow(self.journal.after(0));
            peer.flush();
        }
        self.peers.retain(|peer| !peer.is_closed());
        if let Some(capture) = &mut self.capture {
            if self.capture_due.is_some_and(|due| now >= due) {
                self.capture_due = None;
                capture.flush()?;
            } else if self.capture_due.is_none() && capture.is_dirty() {
                self.capture_due = Some(now + CAPTURE_DELAY);
            }
        }
        Ok(())
    }
}
