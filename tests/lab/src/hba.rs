//! A guest's QLogic HBA: a process that QEMU reaches over a socket. The process begins just
//! before the guest has power, and ends when the guest loses it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use understudy_hba::control::{Reply, Request};

use crate::capture;
use crate::child::{self, Owned};
use crate::error::{Error, Result};
use crate::fabric::binary;
use crate::paths;
use crate::plan::{Folders, Hba, hba_socket};

/// How long an HBA may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many bytes of a frame an HBA captures: the headers, and a login whole.
const SNAP: &str = "256";

/// Powers an HBA on for one boot of its guest.
///
/// # Errors
/// The HBA is not ready.
pub fn start(hba: Hba, guest: &str, boot: u32, folders: &Folders) -> Result<Owned> {
    let (device, console) = (device(folders, guest), console(folders, guest));
    paths::remove(&device)?;
    paths::remove(&console)?;
    let mut command = Command::new(binary("understudy-hba")?);
    command.arg("--socket").arg(device).arg("--control").arg(console);
    command.arg("--fabric").arg(hba_socket(&folders.run, guest));
    command.args(["--wwpn", &hba.wwpn(), "--wwnn", &hba.wwnn()]);
    command.arg("--log").arg(folders.log(&format!("{guest}.{boot}.hba.events")));
    command.arg("--pcap").arg(capture::of_hba(folders, guest, boot));
    command.args(["--snap", SNAP]);
    child::ready(command, &folders.log(&format!("{guest}.{boot}.hba")))
}

/// Returns the socket by which QEMU has the HBA as a PCI device.
#[must_use]
pub fn device(folders: &Folders, guest: &str) -> PathBuf {
    folders.socket(&format!("{guest}.vfio"))
}

/// Returns the HBA's control socket.
#[must_use]
pub fn console(folders: &Folders, guest: &str) -> PathBuf {
    folders.socket(&format!("{guest}.hba"))
}

/// Turns the light at a guest's HBA on or off, as if its cable was plugged or pulled.
///
/// # Errors
/// The HBA does not answer, or refuses.
pub fn set_light(folders: &Folders, guest: &str, on: bool) -> Result<()> {
    ask(folders, guest, &Request::Light { on })
}

/// Has an HBA carry out a request.
fn ask(folders: &Folders, guest: &str, request: &Request) -> Result<()> {
    let console = console(folders, guest);
    let io = || Error::io("use", &console);
    let mut line = serde_json::to_string(request).map_err(not_json)?;
    line.push('\n');
    let mut stream = UnixStream::connect(&console).map_err(io())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(io())?;
    stream.write_all(line.as_bytes()).map_err(io())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(io())?;
    let reply: Reply = serde_json::from_str(&answer).map_err(not_json)?;
    match reply.error {
        Some(error) => Err(Error::other(format!("{guest}: HBA: {error}"))),
        None => Ok(()),
    }
}

fn not_json(error: serde_json::Error) -> Error {
    Error::other(format!("HBA: {error}"))
}
