//! A guest's BMC, through which the cluster fences.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use serde::{Deserialize, Serialize};

use crate::child::{self, Owned};
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::plan::Folders;
use crate::{paths, program};

/// The name that the cluster logs in with.
pub const USER: &str = "fence";
/// The password that goes with [`USER`].
pub const PASSWORD: &str = "understudy";

/// A BMC that listens on the machine's loopback.
#[derive(Debug)]
pub struct Bmc {
    _server: Owned,
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Port(u16),
    Power(Request),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Request {
    Get,
    On,
    Off,
    Cycle,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    On(bool),
    Done(bool),
}

impl Bmc {
    /// Starts the BMC of `guest`.
    ///
    /// # Errors
    /// The server does not start.
    pub fn start(guest: &Guest, folders: &Folders) -> Result<Self> {
        let failed = |reason: String| Error::Program {
            program: format!("BMC of {}", guest.name()),
            reason,
        };
        let log = folders.log(&format!("{}.bmc", guest.name()));
        let err = std::fs::File::create(&log).map_err(Error::io("create", &log))?;
        // Debian's own Python: pyghmi is Debian's package.
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(paths::sources().join("src/bmc.py"))
            .args([USER, PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(err);
        let mut server =
            child::spawn(command).map_err(|e| failed(program::missing(&e)))?;
        let streams = server.streams();
        let (Some(output), Some(mut input)) =
            (streams.stdout.take(), streams.stdin.take())
        else {
            return Err(failed("no standard streams".to_owned()));
        };
        let mut said = BufReader::new(output)
            .lines()
            .map_while(|line| line.ok())
            .filter_map(|line| serde_json::from_str::<Said>(&line).ok());
        let Some(Said::Port(port)) = said.next() else {
            return Err(failed(paths::tail(&log, 5)));
        };
        let guest = guest.clone();
        thread::spawn(move || {
            for request in said {
                let Said::Power(request) = request else { continue };
                let Ok(mut line) = serde_json::to_vec(&obey(&guest, request)) else {
                    continue;
                };
                line.push(b'\n');
                if input.write_all(&line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { _server: server, port })
    }

    /// Returns the UDP port of the BMC.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn obey(guest: &Guest, request: Request) -> Answer {
    if request != Request::Get {
        log::info!("{}: BMC: power {request:?}", guest.name());
    }
    let on = || match guest.power_on() {
        Ok(()) => true,
        Err(error) => {
            log::error!("{error}");
            false
        }
    };
    match request {
        Request::Get => Answer::On(guest.is_on()),
        Request::On => Answer::Done(on()),
        Request::Off => {
            guest.power_off();
            Answer::Done(true)
        }
        Request::Cycle => {
            guest.power_off();
            Answer::Done(on())
        }
    }
}
