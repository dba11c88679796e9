//! Starting and ending a keeper. A keeper outlives the process that starts it, so it is a
//! program of its own, in a session of its own: this very program, told to keep.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::op::{Done, Op};
use super::{Cause, KernelError};

/// The command of this program that runs a keeper. Its arguments are the device and the
/// directory.
pub const COMMAND: &str = "keep";
/// What a keeper prints once LIO may write. Any other output says why LIO cannot.
pub const READY: &str = "ready\n";

/// Starts a keeper, unless one runs and answers.
pub fn keep(device: &Path, at: &Path, op: &Op) -> Result<Done, KernelError> {
    let failed = |e: std::io::Error| op.failed(Cause::of(&e));
    if answers(at).is_ok() {
        return Ok(Done::Unchanged);
    }
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
    // It closes its output when it is ready, or ends.
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

/// Checks that a keeper answers.
pub fn hear(at: &Path, op: &Op) -> Result<Done, KernelError> {
    answers(at).map(|()| Done::Unchanged).map_err(|cause| op.failed(cause))
}

/// Ends a keeper, one that does not answer too: the kernel gives up what it waits for from
/// it (`fuse_umount_begin`).
pub fn end(at: &Path, op: &Op) -> Result<Done, KernelError> {
    let was = unmount(at).map_err(|errno| op.failed(Cause::Errno(errno as i32)))?;
    match fs::remove_dir(at) {
        Ok(()) => Ok(Done::Changed),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(was),
        Err(e) => Err(op.failed(Cause::of(&e))),
    }
}

/// Succeeds if a keeper's file system is mounted at a directory. Any other directory is
/// on the file system of its parent.
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

/// Takes away whatever is mounted at a directory.
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
