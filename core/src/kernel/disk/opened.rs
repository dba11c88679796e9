//! The disk that a thread has open. A chain asks one disk several times, and opening and
//! closing it costs a good part of a command.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::libc;

use crate::kernel::KernelError;

thread_local! {
    /// The disk that this thread has asked last.
    static LAST: RefCell<Option<(PathBuf, Rc<File>)>> = const { RefCell::new(None) };
}

/// Closes what this thread has open.
pub fn close() {
    LAST.take();
}

/// Opens a disk read-only. Root needs nothing else for the commands of the protocols
/// (`blkdev_pr_allowed` in block/ioctl.c, `nvme_cmd_allowed` in drivers/nvme/host/ioctl.c),
/// and closing a disk that was open for writing makes udev probe it again each time.
pub fn open(disk: &Path, action: &str) -> Result<Rc<File>, KernelError> {
    let last = LAST.with_borrow(|last| match last {
        Some((its, file)) if its == disk => Some(Rc::clone(file)),
        _ => None,
    });
    if let Some(file) = last {
        return Ok(file);
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(disk)
        .map_err(|e| KernelError::io(&format!("open to {action}"), disk, &e))?;
    let file = Rc::new(file);
    LAST.set(Some((disk.to_owned(), Rc::clone(&file))));
    Ok(file)
}
