//! Starting and ending the keeper, the process that stores initiators' reservations. It
//! outlives the process that starts it. So it is started as a program of its own, in its
//! own session: this same program, with the command `keep`.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::op::{Done, Op};
use super::{Cause, KernelError};

/// The command of this program that runs a keeper. Its arguments are the state disk and
/// the keeper's directory.
pub const COMMAND: &str = "keep";
/// What a keeper prints once LIO may write. Any other output is the reason why LIO may
/// not.
pub const READY: &str = "ready\n";

/// Starts a keeper, unless one is running and answers.
pub(crate) fn keep(device: &Path, at: &Path, op: &Op) -> Result<Done, KernelError> {
    let failed = |e: std::io::Error| op.failed(Cause::of(&e));
    if answers(at).is_ok() {
        return Ok(Done::Unchanged);
    }
    // A keeper that has died leaves its mount, and the directory cannot be used before
    // that is gone.
    unmount(at).map_err(|errno| op.failed(Cause::Errno(errno as i32)))?;
    fs::create_dir_all(at).map_err(failed)?;
    let mut keeper = Command::new("/proc/self/exe")
        .arg(COMMAND)
        .args([device, at])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut said = String::new();
    // The keeper closes its output when it is ready, or when it ends.
    if let Some(mut output) = keeper.stdout.take() {
        output.read_to_string(&mut said).map_err(failed)?;
    }
    if said == READY {
        return Ok(Done::Changed);
    }
    let _ = keeper.wait();
    let why = match said.trim() {
        "" => "it ended without a word",
        why => why,
    };
    Err(op.failed(Cause::Device(why.to_owned())))
}

/// Checks that a keeper serves this directory and answers.
pub(crate) fn hear(at: &Path, op: &Op) -> Result<Done, KernelError> {
    answers(at).map(|()| Done::Unchanged).map_err(|cause| op.failed(cause))
}

/// Ends a keeper, even one that does not answer. The kernel then aborts its requests to
/// the keeper (`fuse_umount_begin`).
pub(crate) fn end(at: &Path, op: &Op) -> Result<Done, KernelError> {
    let was = unmount(at).map_err(|errno| op.failed(Cause::Errno(errno as i32)))?;
    match fs::remove_dir(at) {
        Ok(()) => Ok(Done::Changed),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(was),
        Err(e) => Err(op.failed(Cause::of(&e))),
    }
}

/// Checks that a keeper's file system is mounted at a directory. An ordinary directory
/// has its parent's file system.
fn answers(at: &Path) -> Result<(), Cause> {
    let file_system = |path: &Path| {
        let found = nix::sys::statfs::statfs(path);
        found.map(|found| found.filesystem_type()).map_err(|e| Cause::Errno(e as i32))
    };
    match file_system(at)? {
        nix::sys::statfs::FUSE_SUPER_MAGIC => Ok(()),
        _ => Err(Cause::Device("no keeper is there".into())),
    }
}

/// Unmounts everything that is mounted at a directory.
fn unmount(at: &Path) -> Result<Done, Errno> {
    let mut done = Done::Unchanged;
    loop {
        match umount2(at, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH) {
            Ok(()) => done = Done::Changed,
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(done),
            Err(errno) => return Err(errno),
        }
    }
}
