//! Commands in a guest, over its virtio-serial port: the lab's end.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::qmp::connect;
use crate::wire::{End, Report, Request};

/// Commands in one guest, across all its boots. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Channel {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Counts the QEMU processes of this guest. An end that is noticed late is then not
    /// taken for the end of the next one.
    power: u64,
    port: Option<UnixStream>,
    boot: Option<String>,
    commands: HashMap<u64, Sender<Report>>,
    last_id: u64,
}

/// A command that runs in a guest.
#[derive(Debug)]
pub struct Running {
    channel: Channel,
    id: u64,
    reports: Receiver<Report>,
}

/// What comes next from a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A piece of the command's standard output.
    Out(String),
    /// A piece of the command's standard error.
    Err(String),
    /// The command has ended; nothing comes after this.
    Ended(End),
}

impl Channel {
    /// Follows a new QEMU's socket until that QEMU is gone.
    ///
    /// # Errors
    /// There is no socket in time.
    pub fn attach(&self, socket: &Path) -> Result<()> {
        let stream = connect(socket, Duration::from_secs(30))?;
        let reader = stream.try_clone().map_err(Error::io("use", socket))?;
        let power = {
            let mut state = self.state();
            lose(&mut state);
            state.power += 1;
            state.port = Some(stream);
            state.power
        };
        let channel = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n').map_while(|line| line.ok()) {
                // A power cut may have left half a line in front of the first whole one.
                if let Ok(report) = serde_json::from_slice(&line) {
                    channel.dispatch(power, report);
                }
            }
            let mut state = channel.state();
            if state.power == power {
                lose(&mut state);
            }
        });
        Ok(())
    }

    /// Gives up every command as lost: the guest is gone, or about to go.
    pub fn detach(&self) {
        let mut state = self.state();
        state.power += 1;
        lose(&mut state);
    }

    /// Waits until the guest takes commands. Returns which boot this is.
    ///
    /// # Errors
    /// The guest does not take commands in that time.
    pub fn wait_up(&self, guest: &str, time: Duration) -> Result<String> {
        let deadline = Instant::now() + time;
        let mut state = self.state();
        loop {
            if let Some(boot) = &state.boot {
                return Ok(boot.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = format!("{guest}: takes commands");
                return Err(Error::Timeout { what, after: time });
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Returns the boot that takes commands now, if one does.
    #[must_use]
    pub fn boot(&self) -> Option<String> {
        self.state().boot.clone()
    }

    /// Starts a command. If the guest is not up, the command is lost at once.
    #[must_use]
    pub fn spawn(&self, argv: Vec<String>, timeout: Option<Duration>) -> Running {
        let (sender, reports) = channel();
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        if state.boot.is_some() {
            state.commands.insert(id, sender);
            let timeout_ms =
                timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            send(&mut state, &Request::Run { id, argv, timeout_ms });
        }
        drop(state);
        Running { channel: self.clone(), id, reports }
    }

    fn dispatch(&self, power: u64, report: Report) {
        let mut state = self.state();
        if state.power != power {
            return;
        }
        match &report {
            Report::Hello { boot } => {
                state.commands.clear();
                state.boot = Some(boot.clone());
                self.shared.changed.notify_all();
            }
            Report::Out { id, .. } | Report::Err { id, .. } => {
                if let Some(command) = state.commands.get(id) {
                    let _ = command.send(report);
                }
            }
            Report::Ended { id, .. } => {
                if let Some(command) = state.commands.remove(id) {
                    let _ = command.send(report);
                }
            }
        }
    }

    fn request(&self, request: &Request) {
        send(&mut self.state(), request);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lose(state: &mut State) {
    state.port = None;
    state.boot = None;
    // Dropping the senders is the message.
    state.commands.clear();
}

fn send(state: &mut State, request: &Request) {
    let Ok(mut line) = serde_json::to_vec(request) else { return };
    line.push(b'\n');
    if let Some(port) = &mut state.port {
        if port.write_all(&line).is_err() {
            lose(state);
        }
    }
}

impl Running {
    /// Returns what comes next from the command, or nothing if nothing comes in that
    /// time.
    pub fn next(&self, time: Duration) -> Option<Event> {
        match self.reports.recv_timeout(time) {
            Ok(Report::Out { text, .. }) => Some(Event::Out(text)),
            Ok(Report::Err { text, .. }) => Some(Event::Err(text)),
            Ok(Report::Ended { end, .. }) => Some(Event::Ended(end)),
            Ok(Report::Hello { .. }) | Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Event::Ended(End::Lost)),
        }
    }

    /// Returns a handle to the running command, for any thread.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { channel: self.channel.clone(), id: self.id }
    }

    /// Sends a signal to the command's process group.
    pub fn kill(&self, signal: i32) {
        self.control().kill(signal);
    }
}

/// A handle to a running command.
#[derive(Debug, Clone)]
pub struct Control {
    channel: Channel,
    id: u64,
}

impl Control {
    /// Sends text to the command's standard input. `None` closes that input.
    pub fn input(&self, text: Option<String>) {
        self.channel.request(&Request::Input { id: self.id, text });
    }

    /// Sends a signal to the command's process group.
    pub fn kill(&self, signal: i32) {
        self.channel.request(&Request::Kill { id: self.id, signal });
    }
}
