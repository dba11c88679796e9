//! A guest's QLogic HBA: a process that QEMU reaches over a socket. The process begins just
//! before the guest has power, and ends when the guest loses it.

use std::path::PathBuf;
use std::process::Command;

use crate::child::{self, Owned};
use crate::error::Result;
use crate::fabric::binary;
use crate::paths;
use crate::plan::{Folders, Hba, hba_socket};

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
