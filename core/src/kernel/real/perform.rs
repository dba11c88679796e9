//! Carries out one operation on a tree of files. This is the work of the worker process.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::getppid;

use super::place::{under, write_once};
use super::{account, bar, bsg, multipathd, nft, rcu, size};
use crate::kernel::nexus::{self, Look};
use crate::kernel::op::{Done, Op};
use crate::kernel::{Cause, KernelError, disk, keeper, state};

/// The files below a root directory, for [`nexus`].
struct Files<'a>(&'a Path);

impl Look for Files<'_> {
    fn text(&self, path: &Path) -> Option<String> {
        fs::read_to_string(under(self.0, path)).ok()
    }

    fn names(&self, dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(under(self.0, dir)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Carries out one operation on the kernel below a root directory.
pub(crate) fn perform(root: &Path, op: &Op) -> Result<Done, KernelError> {
    let at = |path: &Path| under(root, path);
    let outcome = |result: std::io::Result<()>, settled: ErrorKind| match result {
        Ok(()) => Ok(Done::Changed),
        Err(e) if e.kind() == settled => Ok(Done::Unchanged),
        Err(e) => Err(op.failed(Cause::of(&e))),
    };
    match op {
        Op::MakeDir(path) => outcome(fs::create_dir(at(path)), ErrorKind::AlreadyExists),
        Op::RemoveDir(path) => outcome(fs::remove_dir(at(path)), ErrorKind::NotFound),
        Op::Unlink(path) => outcome(fs::remove_file(at(path)), ErrorKind::NotFound),
        Op::Link { at: link, to } => {
            let done = outcome(symlink(at(to), at(link)), ErrorKind::AlreadyExists)?;
            if done == Done::Unchanged {
                let found = fs::canonicalize(at(link)).unwrap_or_default();
                if fs::canonicalize(at(to)).ok().as_ref() != Some(&found) {
                    return Err(op.failed(Cause::LeadsTo(found)));
                }
            }
            Ok(done)
        }
        Op::Write { path, text } => write_once(&at(path), text).map_err(|c| op.failed(c)),
        Op::WriteIfAny { path, text } => match write_once(&at(path), text) {
            Err(Cause::Errno(errno)) if errno == Errno::ENOENT as i32 => {
                Ok(Done::Unchanged)
            }
            done => done.map_err(|cause| op.failed(cause)),
        },
        Op::WriteAll { dir, values } => {
            for (name, text) in values {
                let path = dir.join(name);
                write_once(&at(&path), text).map_err(|cause| {
                    Op::Write { path, text: text.clone() }.failed(cause)
                })?;
            }
            Ok(Done::Changed)
        }
        Op::Identify(disk) => {
            let paths = nexus::of(&Files(root), disk);
            nexus::by_paths(op, paths, |path| disk::identify(root, path, op))
        }
        Op::ReadReservation(disk)
        | Op::Join { disk, .. }
        | Op::Register { disk, .. }
        | Op::Confirm { disk, .. }
        | Op::Unregister { disk, .. }
        | Op::Reserve { disk, .. }
        | Op::PreemptAndAbort { disk, .. } => {
            // Only device mapper's devices can be multipath devices, so other disks are
            // not asked.
            let is_dm = nexus::name(disk).starts_with("dm-");
            if !is_dm || !nexus::is_multipath(&Files(root), disk) {
                return disk::of(disk).perform(&at(disk), op);
            }
            // multipathd must stop before the keys are removed, or it could register one
            // again.
            if matches!(op, Op::Unregister { .. }) {
                multipathd::forget(disk);
            }
            let paths = nexus::of(&Files(root), disk);
            nexus::by_paths(op, paths, |path| disk::of(path).perform(&at(path), op))
        }
        Op::KeepPaths { disk, key } => multipathd::keep(disk, *key, op),
        Op::HearMultipathd => multipathd::hear(op),
        Op::Rescan(disk) => size::rescan(root, disk, op),
        Op::ReadyNft => nft::ready(op),
        Op::Bar { link, wwpn, fcid } => bar::set(link, *wwpn, *fcid, op),
        Op::LiftBar(wwpn) => bar::lift(*wwpn, op),
        Op::BeginAccount { link, out, wwpn } => account::begin(link, out, *wwpn, op),
        Op::ReadAccount(link) => account::read(link, op).map(Done::Account),
        Op::EndAccount { link, wwpn, fcid } => account::end(link, *wwpn, *fcid, op),
        Op::Expedite => rcu::expedite(root, getppid(), op),
        Op::Relax => rcu::relax(root, getppid(), op),
        Op::LoadState(device) => {
            state::load(&at(device)).map(Done::State).map_err(|cause| op.failed(cause))
        }
        Op::Keep { device, at: dir } => keeper::keep(&at(device), &at(dir), op),
        Op::HearKeeper(dir) => keeper::hear(&at(dir), op),
        Op::EndKeeper(dir) => keeper::end(&at(dir), op),
        Op::Echo(port) => bsg::echo(&at(port), op),
        Op::LogOut { device, wwpn, fcid } => {
            Ok(bsg::log_out(&at(device), *wwpn, *fcid, op))
        }
        Op::ReadDisk(disk) => read_disk(&at(disk)).map_err(|e| op.failed(Cause::of(&e))),
    }
}

/// Reads the first page of a disk, past the page cache.
fn read_disk(disk: &Path) -> std::io::Result<Done> {
    const PAGE: usize = 4096;
    let mut file =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(disk)?;
    let mut room = vec![0u8; 2 * PAGE];
    // O_DIRECT requires memory that is aligned like the device's blocks.
    let skip = room.as_ptr().align_offset(PAGE);
    let page = room.get_mut(skip..skip + PAGE).ok_or(ErrorKind::OutOfMemory)?;
    match file.read(page)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(Done::Unchanged),
    }
}
