//! A Fibre Channel fabric: a process of its own, with a socket for each guest's port.

use std::path::PathBuf;
use std::process::Command;

use understudy_fabric::wwn::Wwn;

use crate::child::{self, Owned};
use crate::error::{Error, Result};
use crate::plan::{Folders, Side, Spec};

/// A running fabric.
#[derive(Debug)]
pub struct Fabric {
    _process: Owned,
    control: PathBuf,
    events: PathBuf,
}

impl Fabric {
    /// Starts the fabric; the guests' sockets are there when this returns.
    ///
    /// # Errors
    /// The fabric is not ready in time.
    pub fn start(side: Side, guests: &[Spec], folders: &Folders) -> Result<Self> {
        let name = side.name();
        let control = folders.socket(name);
        let events = folders.log(&format!("{name}.events"));
        let log = folders.log(name);
        let mut command = Command::new(binary("understudy-fabric")?);
        command.arg("--control").arg(&control).arg("--events").arg(&events);
        command.args(["--duplicate-wwpn", "refuse", "--fabric-name", side.wwn()]);
        for (link, socket) in guests.iter().flat_map(|g| g.links(side, &folders.run)) {
            command.arg("--link").arg(format!("{link}={}", socket.display()));
        }
        let process = child::ready(command, &log)?;
        Ok(Self { _process: process, control, events })
    }

    /// Returns the fabric's control socket.
    #[must_use]
    pub fn control(&self) -> &PathBuf {
        &self.control
    }

    /// Returns the fabric's event log, which has one JSON value in each line.
    #[must_use]
    pub fn events(&self) -> &PathBuf {
        &self.events
    }
}

/// Returns a port name, as the fabric's type.
///
/// # Errors
/// The text is no name.
pub fn wwn(text: &str) -> Result<Wwn> {
    text.parse().map_err(|_| Error::other(format!("{text} is no WWPN")))
}

/// Returns a binary of the workspace, built beside the one that runs.
///
/// # Errors
/// The binary is not there.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(Error::io("find", "the lab's binary"))?;
    // A test's binary is one folder further down.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::other(format!("{name} is not built: cargo build -p {}", package(name)))
        })
}

fn package(binary: &str) -> &str {
    if binary.starts_with("understudy-lab") { "understudy-lab" } else { binary }
}
