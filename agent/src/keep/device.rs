//! The state device of a keeper, written by a thread of its own: a device that hangs holds
//! the thread that writes to it.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use understudy_core::kernel::state::{Record, Store};
use understudy_core::kernel::{Cause, paths};

/// How long the device may take for a change. Meanwhile the port takes in no other
/// command; after that time the change is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two tries to open the device.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The way to the thread that writes.
pub(super) struct Device {
    changes: SyncSender<Change>,
}

/// A change on its way to the device, and where to report its end.
struct Change {
    record: Record,
    done: SyncSender<Result<(), Cause>>,
}

impl Device {
    pub fn new(store: Store) -> Self {
        let (changes, waiting) = sync_channel(1);
        thread::spawn(move || carry_out(store, &waiting));
        Self { changes }
    }

    /// Waits until the device has a change, or returns an error where that is not known.
    pub fn store(&self, record: Record) -> Result<(), Cause> {
        let late = |_| Cause::TimedOut;
        let (done, end) = sync_channel(1);
        self.changes.try_send(Change { record, done }).map_err(|_| Cause::TimedOut)?;
        end.recv_timeout(PATIENCE).map_err(late)?
    }
}

/// Opens the device for this process alone. Waits while it is busy: the keeper before
/// this one may be about to end.
pub(super) fn open(device: &Path) -> Result<Store, Cause> {
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
