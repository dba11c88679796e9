//! The keeper: a small file system in which LIO writes what initiators register and
//! reserve, one file for each LUN.
//!
//! LIO answers a PERSISTENT RESERVE OUT once its file is written
//! (`core_scsi3_update_and_write_aptpl`). Here a write ends only when the state device
//! has taken it, so whatever LIO has answered is on the device, with no window left. A
//! file on a disk could not do that, nor could anything that watches one: LIO truncates
//! the file first, and does not wait for the disk.
//!
//! Where commands run side by side, LIO may write an older text after a newer one. So a
//! text is stored only with the registrations that LIO has in memory by then
//! (`saved_reservations/reconciled.rs`).

mod device;
mod files;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, Session, TimeOrNow,
    WriteFlags,
};
use understudy_core::kernel::keeper::READY;
use understudy_core::kernel::state::{Record, Store};
use understudy_core::kernel::{Cause, RealKernel, paths};
use understudy_core::saved_reservations::{memory, reconciled};
use understudy_core::wwn::Wwn;

use crate::exit::Code;
use device::Device;
use files::Files;

/// How long the kernel may remember anything of a file: not at all.
const FORGET: Duration = Duration::ZERO;

/// Serves the file system until its directory is unmounted. Standard output is for the
/// process that started this one, which waits until it is closed.
pub fn keep(mut words: impl Iterator<Item = String>) -> Code {
    let (Some(device), Some(at)) = (words.next(), words.next()) else {
        return Code::Arguments;
    };
    // Until LIO may write, the keeper ends with the process that started it: one that came
    // late would have read the device before others wrote to it.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    // Pacemaker ends an agent that is late together with everything in its session.
    let _ = nix::unistd::setsid();
    let session = match open(Path::new(&device), Path::new(&at)) {
        Ok(session) => session,
        Err(why) => {
            let _ = write!(std::io::stdout(), "{why}");
            return Code::Failed;
        }
    };
    let mut said = std::io::stdout();
    if said.write_all(READY.as_bytes()).and_then(|()| said.flush()).is_err() {
        // Nobody waits for it any longer. Dropped, the session is unmounted.
        return Code::Failed;
    }
    let _ = nix::sys::prctl::set_pdeathsig(None);
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(&null);
    }
    match session.run() {
        Ok(()) => Code::Success,
        Err(_) => Code::Failed,
    }
}

fn open(device: &Path, at: &Path) -> Result<Session<Keeper>, String> {
    let store = device::open(device).map_err(|cause| cause.to_string())?;
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(device.display().to_string()),
        MountOption::NoExec,
        MountOption::NoAtime,
    ];
    Session::new(Keeper::new(at, store), at, &config).map_err(|error| {
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                "/dev/fuse is not there; load the module fuse at boot".to_owned()
            }
            _ => error.to_string(),
        }
    })
}

/// The file system.
struct Keeper {
    /// The node name of the group whose LUNs these are.
    wwnn: Option<Wwn>,
    files: Mutex<Files>,
    device: Device,
}

impl Keeper {
    fn new(at: &Path, store: Store) -> Self {
        let name = at.file_name().and_then(OsStr::to_str);
        let files = Mutex::new(Files::new(store.records()));
        Self {
            wwnn: name.and_then(|name| name.parse().ok()),
            files,
            device: Device::new(store),
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the device store a record that LIO wrote, brought up to date with what LIO has
    /// in memory. The files are locked meanwhile, so one text is stored after another.
    fn store(&self, files: &mut Files, mut record: Record) -> Result<(), Cause> {
        let kernel = RealKernel::of_environment();
        let number = files.find(&record.serial);
        let before = files.text(number).unwrap_or_default();
        let memory = self.wwnn.and_then(|its| memory::of(&kernel, its, &record, before));
        if let Some(memory) = memory {
            record.text = reconciled(&record.text, before, &memory);
        }
        self.device.store(record.clone())?;
        files.stored(record);
        Ok(())
    }
}

fn attributes(number: u64, length: Option<usize>) -> FileAttr {
    let size = length.unwrap_or(0) as u64;
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if length.is_some() { FileType::RegularFile } else { FileType::Directory },
        perm: if length.is_some() { 0o600 } else { 0o700 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Keeper {
    /// Finds the file of a LUN.
    fn lookup(&self, _: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if dir == INodeNo::ROOT && name == paths::KEPT_FILES {
            let directory = attributes(files::DIRECTORY, None);
            return reply.entry(&FORGET, &directory, Generation(0));
        }
        let Some(serial) = name.to_str().and_then(paths::aptpl_serial) else {
            return reply.error(Errno::ENOENT);
        };
        let mut files = self.files();
        let number = files.find(serial);
        let length = files.text(number).map_or(0, str::len);
        reply.entry(&FORGET, &attributes(number, Some(length)), Generation(0));
    }

    fn getattr(
        &self,
        _: &Request,
        number: INodeNo,
        _: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        match (number, self.files().text(number.0)) {
            (INodeNo::ROOT | INodeNo(files::DIRECTORY), _) => {
                reply.attr(&FORGET, &attributes(number.0, None));
            }
            (_, Some(text)) => {
                reply.attr(&FORGET, &attributes(number.0, Some(text.len())));
            }
            (_, None) => reply.error(Errno::ENOENT),
        }
    }

    /// Empties the draft of an open file, as LIO truncates a file when it opens it. The
    /// earlier text holds until all of the new text is here.
    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut files = self.files();
        if size != Some(0) || files.text(number.0).is_none() {
            return reply.error(Errno::EPERM);
        }
        if let Some(handle) = handle {
            files.truncate(handle.0);
        }
        reply.attr(&FORGET, &attributes(number.0, Some(0)));
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let handle = FileHandle(self.files().open(number.0));
        reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let files = self.files();
        let text = files.text(number.0).unwrap_or_default().as_bytes();
        let rest = text.get(usize::try_from(offset).unwrap_or(usize::MAX)..);
        let rest = rest.unwrap_or_default();
        reply.data(rest.get(..size as usize).unwrap_or(rest));
    }

    /// Takes in a part of a file's text. Once all of it is here, it goes to the device.
    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut files = self.files();
        let whole = match files.write(handle.0, offset, data) {
            Ok(whole) => whole,
            Err(errno) => return reply.error(errno),
        };
        match whole.map_or(Ok(()), |record| self.store(&mut files, record)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(0)),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn flush(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.files().close(handle.0);
        reply.ok();
    }
}
