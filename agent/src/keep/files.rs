//! The files of a keeper, and the drafts of their writers.

use std::collections::BTreeMap;

use fuser::Errno;
use understudy_core::kernel::state::Record;
use understudy_core::saved_reservations::aptpl;

/// The number of the directory in which LIO writes; 1 is the root.
pub(super) const DIRECTORY: u64 = 2;
/// The number of the first file.
const FIRST: u64 = 3;

/// A file for each LUN, with the text that the device has.
pub(super) struct Files {
    files: BTreeMap<u64, Record>,
    drafts: BTreeMap<u64, Draft>,
    last_handle: u64,
}

/// What one writer has written so far. LIO may write one file twice at once, so each open
/// file has a draft of its own.
struct Draft {
    file: u64,
    bytes: Vec<u8>,
}

impl Files {
    pub fn new(records: impl Iterator<Item = Record>) -> Self {
        let files = (FIRST..).zip(records).collect();
        Self { files, drafts: BTreeMap::new(), last_handle: 0 }
    }

    /// Returns the number of a LUN's file. Every LUN that LIO may ever ask for has one,
    /// empty until LIO has written it.
    pub fn find(&mut self, serial: &str) -> u64 {
        let known = self.files.iter().find(|(_, file)| file.serial == serial);
        if let Some((number, _)) = known {
            return *number;
        }
        let number = self.files.keys().next_back().map_or(FIRST, |last| last + 1);
        let file = Record { serial: serial.to_owned(), text: String::new() };
        self.files.insert(number, file);
        number
    }

    /// Returns the text of a file that the device has; `None` if there is no such file.
    pub fn text(&self, number: u64) -> Option<&str> {
        self.files.get(&number).map(|file| file.text.as_str())
    }

    /// Opens a file. Returns the handle of its new, empty draft.
    pub fn open(&mut self, file: u64) -> u64 {
        self.last_handle += 1;
        self.drafts.insert(self.last_handle, Draft { file, bytes: Vec::new() });
        self.last_handle
    }

    /// Empties a draft.
    pub fn truncate(&mut self, handle: u64) {
        if let Some(draft) = self.drafts.get_mut(&handle) {
            draft.bytes.clear();
        }
    }

    /// Forgets a draft.
    pub fn close(&mut self, handle: u64) {
        self.drafts.remove(&handle);
    }

    /// Takes a part of a text into a draft. LIO ends a text with a zero byte: then all of
    /// it is here. Returns the whole text as a record, once it is there.
    pub fn write(
        &mut self,
        handle: u64,
        offset: u64,
        data: &[u8],
    ) -> Result<Option<Record>, Errno> {
        let draft = self.drafts.get_mut(&handle).ok_or(Errno::EBADF)?;
        if offset != draft.bytes.len() as u64 {
            return Err(Errno::EINVAL);
        }
        draft.bytes.extend(data);
        let Some((0, whole)) = draft.bytes.split_last() else { return Ok(None) };
        let file = self.files.get(&draft.file).ok_or(Errno::ENOENT)?;
        let text = String::from_utf8_lossy(whole).into_owned();
        let text = if aptpl::has_registrations(&text) { text } else { String::new() };
        Ok(Some(Record { serial: file.serial.clone(), text }))
    }

    /// Takes note of a record that the device has.
    pub fn stored(&mut self, record: Record) {
        let number = self.find(&record.serial);
        self.files.insert(number, record);
    }
}
