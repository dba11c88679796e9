//! QEMU, which comes with the image, so that every machine has the same one. It is started by
//! the loader that came with it, because it and its libraries are newer than what the machine
//! itself may have.

use std::path::PathBuf;
use std::process::Command;

/// QEMU in an unpacked image.
#[derive(Debug, Clone)]
pub struct Emulator {
    folder: PathBuf,
}

impl Emulator {
    /// Returns the QEMU that is unpacked in a folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns a command that runs a machine. Arguments that are added say which.
    #[must_use]
    pub fn machine(&self) -> Command {
        let mut command = self.program("qemu-system-x86_64");
        for firmware in ["qemu", "seabios"] {
            command.arg("-L").arg(self.folder.join("share").join(firmware));
        }
        command
    }

    /// Returns a command that makes disks.
    #[must_use]
    pub fn img(&self) -> Command {
        self.program("qemu-img")
    }

    fn program(&self, name: &str) -> Command {
        let libraries = self.folder.join("lib");
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries);
        command.arg(self.folder.join("bin").join(name));
        command
    }
}
