//! A lab that stays up. A process of its own owns it, and is reached through a socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::channel::Event;
use crate::error::{Error, Result};
use crate::lab::Lab;
use crate::paths;
use crate::plan::SIDES;
use crate::wire::{End, Report, Request};

/// The first line that a client sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Report what there is in the lab: [`Status`].
    Status,
    /// End the lab.
    Down,
    /// Switch a guest's power on or off.
    Power {
        /// The guest.
        guest: String,
        /// Whether the power is on afterwards.
        on: bool,
    },
    /// Plug or pull a guest's cable.
    Link {
        /// The guest.
        guest: String,
        /// The interface, by its name in the guest.
        interface: String,
        /// Whether the cable is plugged in afterwards.
        up: bool,
    },
    /// Run a program. Then [`Request`]s and [`Report`]s follow, with any id.
    Run {
        /// The guest.
        guest: String,
        /// The program and its arguments.
        argv: Vec<String>,
    },
}

/// The answer to an [`Ask`], except to [`Ask::Run`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The request was carried out.
    Done,
    /// The request was not carried out, for this reason.
    Failed(String),
    /// The state of the lab.
    Status(Status),
}

/// The state of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The state of each guest.
    pub guests: Vec<GuestStatus>,
    /// The fabrics' control sockets.
    pub fabrics: Vec<PathBuf>,
    /// The folder of the logs.
    pub logs: PathBuf,
}

/// The state of a guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuestStatus {
    /// The guest's name.
    pub name: String,
    /// Whether the guest has power.
    pub on: bool,
    /// Whether the guest takes commands.
    pub up: bool,
    /// How often the guest has been powered on.
    pub boots: u32,
}

/// Returns the path of the lab's socket. It is in the run folder, because it must be
/// short.
#[must_use]
pub fn socket() -> PathBuf {
    let link = paths::lab().join("run");
    std::fs::read_link(&link).unwrap_or(link).join("lab")
}

/// Serves clients until one of them ends the lab.
///
/// # Errors
/// The socket cannot be made.
pub fn serve(lab: Arc<Lab>) -> Result<()> {
    let path = socket();
    let listener = UnixListener::bind(&path).map_err(Error::io("listen on", &path))?;
    let (down, wait) = mpsc::channel();
    let server = Arc::clone(&lab);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(|stream| stream.ok()) {
            let (lab, down) = (Arc::clone(&server), down.clone());
            thread::spawn(move || {
                if let Err(error) = client(&lab, stream, &down) {
                    log::debug!("client: {error}");
                }
            });
        }
    });
    if let Ok(mut stream) = wait.recv() {
        // The lab ends here, even if somebody still holds a reference to it.
        lab.stop();
        let _ = answer(&mut stream, &Answer::Done);
    }
    Ok(())
}

fn client(
    lab: &Lab,
    mut stream: UnixStream,
    down: &mpsc::Sender<UnixStream>,
) -> Result<()> {
    let io = || Error::io("talk to", "a client");
    let mut lines = BufReader::new(stream.try_clone().map_err(io())?).lines();
    let first = lines.next().transpose().map_err(io())?.unwrap_or_default();
    let ask: Ask = serde_json::from_str(&first)
        .map_err(|error| Error::other(format!("not understood: {error}")))?;
    let result = match ask {
        Ask::Down => {
            let _ = down.send(stream);
            return Ok(());
        }
        Ask::Run { guest, argv } => return run(lab, &guest, argv, lines, stream),
        Ask::Status => return answer(&mut stream, &Answer::Status(status(lab))),
        Ask::Power { guest, on } => lab.guest(&guest).and_then(|guest| {
            if on {
                guest.power_on()
            } else {
                guest.power_off();
                Ok(())
            }
        }),
        Ask::Link { guest, interface, up } => {
            lab.guest(&guest).and_then(|guest| guest.set_link(&interface, up))
        }
    };
    let said = match result {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(error.to_string()),
    };
    answer(&mut stream, &said)
}

fn answer(stream: &mut UnixStream, value: &impl Serialize) -> Result<()> {
    let mut line =
        serde_json::to_vec(value).map_err(|error| Error::other(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(Error::io("answer", "a client"))
}

fn status(lab: &Lab) -> Status {
    let guests = lab
        .guests()
        .iter()
        .map(|guest| GuestStatus {
            name: guest.name().to_owned(),
            on: guest.is_on(),
            up: guest.boot().is_some(),
            boots: guest.boots(),
        })
        .collect();
    let fabrics = SIDES.map(|side| lab.fabric(side).control().clone()).to_vec();
    Status { guests, fabrics, logs: lab.folders().logs.clone() }
}

fn run(
    lab: &Lab,
    guest: &str,
    argv: Vec<String>,
    lines: impl Iterator<Item = std::io::Result<String>> + Send,
    mut stream: UnixStream,
) -> Result<()> {
    let running = match lab.guest(guest) {
        Ok(guest) => guest.spawn_argv(argv, None),
        Err(error) => {
            let end = End::Failed(error.to_string());
            return answer(&mut stream, &Report::Ended { id: 0, end });
        }
    };
    let control = running.control();
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for line in lines.map_while(|line| line.ok()) {
                match serde_json::from_str(&line) {
                    Ok(Request::Input { text, .. }) => control.input(text),
                    Ok(Request::Kill { signal, .. }) => control.kill(signal),
                    _ => {}
                }
            }
            gone.store(true, Ordering::SeqCst);
            control.kill(nix::sys::signal::Signal::SIGHUP as i32);
        });
        let result = loop {
            let Some(event) = running.next(Duration::from_millis(200)) else {
                if gone.load(Ordering::SeqCst) {
                    break Ok(());
                }
                continue;
            };
            let (report, over) = match event {
                Event::Out(text) => (Report::Out { id: 0, text }, false),
                Event::Err(text) => (Report::Err { id: 0, text }, false),
                Event::Ended(end) => (Report::Ended { id: 0, end }, true),
            };
            let sent = answer(&mut stream, &report);
            if over || sent.is_err() {
                break sent;
            }
        };
        let _ = stream.shutdown(std::net::Shutdown::Both);
        result
    })
}
