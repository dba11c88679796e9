//! The guests' image: stock Debian, built once. It is cached under a key that is made of
//! everything that goes into it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};

use crate::emulator::Emulator;
use crate::error::{Error, Result};
use crate::plan::System;
use crate::{paths, program, progress};

/// A finished image.
#[derive(Debug, Clone)]
pub struct Image {
    folder: PathBuf,
    /// A lock that keeps others from removing the image while a lab uses it.
    _used: Arc<Flock<File>>,
}

impl Image {
    /// Returns the path of a system's kernel.
    #[must_use]
    pub fn kernel(&self, system: System) -> PathBuf {
        self.of(system).join("vmlinux")
    }

    /// Returns the path of a system's initramfs.
    #[must_use]
    pub fn initramfs(&self, system: System) -> PathBuf {
        self.of(system).join("initramfs")
    }

    fn of(&self, system: System) -> PathBuf {
        match system {
            System::Debian { .. } => self.folder.clone(),
            System::NvmeTarget => self.folder.join("nvme"),
        }
    }

    /// Returns the path of the root file system, which is never written to.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.ext4")
    }

    /// Returns the QEMU that runs the guests.
    #[must_use]
    pub fn emulator(&self) -> Emulator {
        Emulator::new(self.folder.join("qemu"))
    }

    /// Returns the cached image, and builds it first if it is not there.
    ///
    /// # Errors
    /// The build fails.
    pub fn get() -> Result<Self> {
        let recipe = paths::sources().join("image");
        let cache = paths::cache()?;
        let name = format!("image-{:016x}", key(&recipe)?);
        let folder = cache.join(&name);
        if let Some(used) = lock(&folder, FlockArg::LockSharedNonblock) {
            return Ok(Self { folder, _used: Arc::new(used) });
        }
        paths::make(&cache)?;
        remove_old(&cache)?;
        let step = progress::step("image: Debian 13 with its kernel");
        let building = cache.join(format!("building-{}", std::process::id()));
        paths::make(&building)?;
        // Namespaces of its own: mmdebstrap binds the machine's /dev and /sys into the new
        // root, and a build that is killed must leave neither mounts nor processes.
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .arg(recipe.join("build"))
            .arg(&building);
        let log = paths::lab().join("logs/image");
        if let Err(error) = program::run(command, &log) {
            paths::remove(&building)?;
            return Err(error);
        }
        fs::rename(&building, &folder).map_err(Error::io("rename to", &folder))?;
        step.done("");
        let used = lock(&folder, FlockArg::LockSharedNonblock)
            .ok_or_else(|| Error::other(format!("{} is gone again", folder.display())))?;
        Ok(Self { folder, _used: Arc::new(used) })
    }
}

fn lock(folder: &Path, how: FlockArg) -> Option<Flock<File>> {
    let file = File::open(folder).ok()?;
    Flock::lock(file, how).ok()
}

/// Removes images of other recipes that nobody uses, and what a killed build has left.
fn remove_old(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache).map_err(Error::io("list", cache))? {
        let entry = entry.map_err(Error::io("list", cache))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let dead = name
            .strip_prefix("building-")
            .is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        let path = entry.path();
        let unused = name.starts_with("image-")
            && lock(&path, FlockArg::LockExclusiveNonblock).is_some();
        if dead || unused {
            paths::remove(&path)?;
        }
    }
    Ok(())
}

fn key(recipe: &Path) -> Result<u64> {
    let mut files: Vec<PathBuf> = fs::read_dir(recipe)
        .and_then(|entries| entries.map(|e| Ok(e?.path())).collect())
        .map_err(Error::io("list", recipe))?;
    files.sort();
    let mut key = 0xcbf2_9ce4_8422_2325;
    for file in files {
        let bytes = fs::read(&file).map_err(Error::io("read", &file))?;
        key = fnv(key, file.file_name().unwrap_or_default().as_encoded_bytes());
        key = fnv(key, &bytes.len().to_le_bytes());
        key = fnv(key, &bytes);
    }
    Ok(key)
}

/// Returns the FNV-1a hash of bytes, which is the same on every machine and with every
/// compiler.
fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
