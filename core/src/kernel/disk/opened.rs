//! The disk that a thread keeps open. A chain sends several commands to one disk, and
//! opening and closing the disk each time costs about as much as a command.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::libc;

use crate::kernel::KernelError;

thread_local! {
    /// The disk to which this thread sent its last command.
    static LAST: RefCell<Option<(PathBuf, Rc<File>)>> = const { RefCell::new(None) };
}

/// Closes the disk that this thread keeps open.
pub(crate) fn close() {
    LAST.take();
}

/// Opens a disk read-only. For root that is enough to send the commands of both protocols
/// (`blkdev_pr_allowed` in block/ioctl.c, `nvme_cmd_allowed` in
/// drivers/nvme/host/ioctl.c). Whenever a disk that was open for writing is closed, udev
/// probes it again.
pub(crate) fn open(disk: &Path, action: &str) -> Result<Rc<File>, KernelError> {
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
