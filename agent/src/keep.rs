//! The keeper: a small file system in which LIO writes what initiators register and
//! reserve, one file for each LUN.
//!
//! LIO answers a PERSISTENT RESERVE OUT once its file is written
//! (`core_scsi3_update_and_write_aptpl`). Here a write ends only when the state device
//! has taken it, so whatever LIO has answered is on the device, with no window left. A
//! file on a disk could not do that, nor could anything that watches one: LIO truncates
//! the file first, and does not wait for the disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, Session, TimeOrNow,
    WriteFlags,
};
use understudy_core::kernel::keeper::READY;
use understudy_core::kernel::state::{Record, Store};
use understudy_core::kernel::{Cause, paths};
use understudy_core::saved_reservations::aptpl;

use crate::exit::Code;

/// How long the state device may take for a change. Meanwhile the port takes in no other
/// command; after that time the change is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two tries to open the device.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The number of the directory in which LIO writes; 1 is the root.
const FILES: u64 = 2;
/// The number of the first file.
const FIRST: u64 = 3;
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
    let store = alone(device).map_err(|cause| cause.to_string())?;
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(device.display().to_string()),
        MountOption::NoExec,
        MountOption::NoAtime,
    ];
    Session::new(Keeper::new(store), at, &config).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "/dev/fuse is not there; load the module fuse at boot".to_owned()
        }
        _ => error.to_string(),
    })
}

/// Opens the device for this process alone. Waits while it is busy: the keeper before
/// this one may be about to end.
fn alone(device: &Path) -> Result<Store, Cause> {
    let end = Instant::now() + PATIENCE;
    loop {
        match Store::open(device) {
            Err(Cause::Errno(errno))
                if errno == nix::errno::Errno::EBUSY as i32 && Instant::now() < end =>
            {
                thread::sleep(LOOK_AGAIN);
            }
            answer => return answer,
        }
    }
}

/// The file system.
struct Keeper {
    files: Mutex<BTreeMap<u64, File>>,
    changes: SyncSender<Change>,
}

/// A LUN's file.
#[derive(Default)]
struct File {
    serial: String,
    text: String,
    /// What is being written.
    draft: Vec<u8>,
}

/// A change on its way to the device, and where to report its end.
struct Change {
    record: Record,
    done: SyncSender<Result<(), Cause>>,
}

impl Keeper {
    fn new(store: Store) -> Self {
        let files =
            (FIRST..).zip(store.records()).map(|(number, Record { serial, text })| {
                (number, File { serial, text, draft: Vec::new() })
            });
        let files = Mutex::new(files.collect());
        // The changes have a thread of their own: a device that hangs holds the thread
        // that writes to it.
        let (changes, waiting) = sync_channel(1);
        thread::spawn(move || carry_out(store, &waiting));
        Self { files, changes }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<u64, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the device has a change, or returns an error where that is not known.
    fn store(&self, record: Record) -> Result<(), Cause> {
        let late = |_| Cause::TimedOut;
        let (done, end) = sync_channel(1);
        self.changes.try_send(Change { record, done }).map_err(|_| Cause::TimedOut)?;
        end.recv_timeout(PATIENCE).map_err(late)?
    }
}

fn carry_out(mut store: Store, changes: &Receiver<Change>) {
    while let Ok(Change { record, done }) = changes.recv() {
        let result = store.put(&record.serial, &record.text);
        if let Err(cause) = &result {
            let text =
                format!("understudy: {}: {cause}", paths::aptpl_name(&record.serial));
            let _ = nix::syslog::syslog(nix::syslog::Severity::LOG_ERR, text.as_str());
        }
        let _ = done.send(result);
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
    /// Finds the file of a LUN. Every LUN that LIO may ever ask for has one, empty until
    /// LIO has written it.
    fn lookup(&self, _: &Request, dir: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if dir == INodeNo::ROOT && name == paths::KEPT_FILES {
            return reply.entry(&FORGET, &attributes(FILES, None), Generation(0));
        }
        let Some(serial) = name.to_str().and_then(paths::aptpl_serial) else {
            return reply.error(Errno::ENOENT);
        };
        let mut files = self.files();
        let known = files.iter().find(|(_, file)| file.serial == serial);
        let number = known.map(|(number, _)| *number).unwrap_or_else(|| {
            let number = files.keys().next_back().map_or(FIRST, |last| last + 1);
            files.insert(number, File { serial: serial.to_owned(), ..File::default() });
            number
        });
        let length = files.get(&number).map_or(0, |file| file.text.len());
        reply.entry(&FORGET, &attributes(number, Some(length)), Generation(0));
    }

    fn getattr(
        &self,
        _: &Request,
        number: INodeNo,
        _: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        match (number, self.files().get(&number.0)) {
            (INodeNo::ROOT | INodeNo(FILES), _) => {
                reply.attr(&FORGET, &attributes(number.0, None));
            }
            (_, Some(file)) => {
                reply.attr(&FORGET, &attributes(number.0, Some(file.text.len())));
            }
            (_, None) => reply.error(Errno::ENOENT),
        }
    }

    /// Empties the draft of a file, as LIO truncates a file when it opens it. The earlier
    /// text holds until all of the new text is here.
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
        _fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.files().get_mut(&number.0) {
            Some(file) if size == Some(0) => {
                file.draft.clear();
                reply.attr(&FORGET, &attributes(number.0, Some(0)));
            }
            _ => reply.error(Errno::EPERM),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
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
        let text = files.get(&number.0).map_or("", |file| &file.text).as_bytes();
        let rest = text.get(usize::try_from(offset).unwrap_or(usize::MAX)..);
        let rest = rest.unwrap_or_default();
        reply.data(rest.get(..size as usize).unwrap_or(rest));
    }

    /// Takes in a part of a file's text. LIO ends a text with a zero byte: then all of it
    /// is here, and goes to the device.
    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut files = self.files();
        let Some(file) = files.get_mut(&number.0) else {
            return reply.error(Errno::ENOENT);
        };
        if offset != file.draft.len() as u64 {
            return reply.error(Errno::EINVAL);
        }
        file.draft.extend(data);
        let taken = u32::try_from(data.len()).unwrap_or(0);
        let Some((0, whole)) = file.draft.split_last() else {
            return reply.written(taken);
        };
        let text = String::from_utf8_lossy(whole).into_owned();
        let text = if aptpl::has_registrations(&text) { text } else { String::new() };
        match self.store(Record { serial: file.serial.clone(), text: text.clone() }) {
            Ok(()) => {
                file.text = text;
                reply.written(taken);
            }
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
}
