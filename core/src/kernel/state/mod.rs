//! The state disk, on which initiators' registrations and reservations are saved, LUN by
//! LUN. The group's next owner reads them there.
//!
//! The disk has a header, then two copies for each LUN. A change replaces the older copy,
//! in one write past every cache. If a crash tears that write, the copy's digest shows
//! it, and the other copy counts. So a reader finds the old text or the new one, whenever
//! power was lost.

mod device;

use std::fs::{File, OpenOptions};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use serde::{Deserialize, Serialize};

use super::Cause;
use crate::digest::fnv128;
use device::{open, read, size, write};

/// The beginning of a state disk. The disk's own random name follows.
const MAGIC: &str = "understudy state 1";
/// The beginning of a copy.
const COPY: &str = "understudy lun";
/// The size of a page. O_DIRECT requires that reads and writes are of whole, aligned
/// pages.
const PAGE: usize = 4096;
/// The space for a copy in bytes. LIO itself never writes a longer text
/// (`PR_APTPL_BUF_LEN`).
const SLOT: usize = 256 << 10;
/// The offset of the first copy. Data of another kind would show before it.
const START: usize = 1 << 20;

/// The saved reservations of one LUN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The LUN's unit serial number.
    pub serial: String,
    /// The registrations and the reservation, in the form in which LIO writes them.
    pub text: String,
}

/// Reads all records of a state disk. A disk with only zeros has none.
///
/// # Errors
/// When the disk cannot be read, or has data of another kind.
pub fn load(device: &Path) -> Result<Vec<Record>, Cause> {
    let file = open(OpenOptions::new().read(true), 0, device)?;
    let Some(name) = named(&file)? else { return Ok(Vec::new()) };
    let slots = slots(&file, &name)?;
    Ok(slots.into_iter().map(|slot| slot.record).collect())
}

/// Returns for how many LUNs a state disk of this size has room.
pub(crate) fn room(bytes: u64) -> u64 {
    bytes.saturating_sub(START as u64) / (2 * SLOT as u64)
}

/// A state disk that is open for writing, by one process at a time.
#[derive(Debug)]
pub struct Store {
    file: File,
    name: String,
    slots: Vec<Slot>,
}

/// The slot of one LUN, with its valid record.
#[derive(Debug, Clone)]
struct Slot {
    record: Record,
    /// The number of changes so far. The copy with the higher number counts.
    change: u64,
    /// Which of the two copies (0 or 1) has this record.
    copy: usize,
}

impl Store {
    /// Opens a state disk exclusively. A disk with only zeros becomes a state disk.
    ///
    /// # Errors
    /// When another process has the disk open, or it has data of another kind.
    pub fn open(device: &Path) -> Result<Self, Cause> {
        let flags = libc::O_EXCL | libc::O_DSYNC;
        let file = open(OpenOptions::new().read(true).write(true), flags, device)?;
        let name = match named(&file)? {
            Some(name) => name,
            None => {
                let name = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
                let name = name.map_err(|e| Cause::of(&e))?.trim().to_owned();
                write(&file, 0, &format!("{MAGIC} {name}\n"))?;
                name
            }
        };
        let slots = slots(&file, &name)?;
        Ok(Self { file, name, slots })
    }

    /// Returns the records of all LUNs.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.slots.iter().map(|slot| slot.record.clone())
    }

    /// Replaces the record of a LUN. Once this returns without an error, every later
    /// reader finds the new text.
    ///
    /// # Errors
    /// When the disk refuses the write, or has no room. A reader then finds the old text
    /// or the new one.
    pub fn put(&mut self, serial: &str, text: &str) -> Result<(), Cause> {
        let at = self.place(serial);
        let before = self.slots.get(at);
        let change = before.map_or(1, |slot| slot.change + 1);
        let copy = before.map_or(0, |slot| 1 - slot.copy);
        let digest = digest(&self.name, change, serial, text);
        let head = format!("{COPY} {change} {} {digest} {serial}\n", text.len());
        if head.len() + text.len() > SLOT {
            return Err(Cause::Errno(Errno::EFBIG as i32));
        }
        if at as u64 >= room(size(&self.file)?) {
            return Err(Cause::Errno(Errno::ENOSPC as i32));
        }
        // If the disk has another record than this process knows, another process writes
        // to it too.
        let found = newest(&self.file, &self.name, at)?.map(|slot| slot.change);
        if found != before.map(|slot| slot.change) {
            return Err(Cause::Device(
                "somebody else has written to the state device".into(),
            ));
        }
        write(&self.file, place(at, copy), &format!("{head}{text}"))?;
        let record = Record { serial: serial.into(), text: text.into() };
        let slot = Slot { record, change, copy };
        match self.slots.get_mut(at) {
            Some(before) => *before = slot,
            None => self.slots.push(slot),
        }
        Ok(())
    }

    /// Returns the number of a LUN's slot: its own, or else one whose record is empty, or
    /// else the next new one.
    fn place(&self, serial: &str) -> usize {
        let its = |slot: &Slot| slot.record.serial == serial;
        let idle = |slot: &Slot| slot.record.text.is_empty();
        let place = self.slots.iter().position(its);
        let place = place.or_else(|| self.slots.iter().position(idle));
        place.unwrap_or(self.slots.len())
    }
}

/// Reads all slots that are in use. They are used from the first one on, without a gap.
fn slots(file: &File, name: &str) -> Result<Vec<Slot>, Cause> {
    let mut found = Vec::new();
    let room = room(size(file)?) as usize;
    for at in 0..room {
        match newest(file, name, at)? {
            Some(newest) => found.push(newest),
            // An empty slot ends the list, unless the next one is used: then this one is
            // damaged. Only one further slot is read, because initiators wait meanwhile.
            None if at + 1 >= room || newest(file, name, at + 1)?.is_none() => break,
            None => {
                let place = place(at, 0);
                return Err(Cause::Device(format!(
                    "what it has at byte {place} is damaged"
                )));
            }
        }
    }
    Ok(found)
}

/// Returns the newer valid copy of a slot; `None` if neither copy is valid.
fn newest(file: &File, name: &str, at: usize) -> Result<Option<Slot>, Cause> {
    let copies = [slot(file, name, at, 0)?, slot(file, name, at, 1)?];
    Ok(copies.into_iter().flatten().max_by_key(|slot| slot.change))
}

/// Reads one copy of a slot; `None` if it is not valid.
fn slot(file: &File, name: &str, at: usize, copy: usize) -> Result<Option<Slot>, Cause> {
    let first = read(file, place(at, copy), PAGE)?;
    let Some(length) = length(&first) else { return Ok(None) };
    let whole = if length > PAGE { read(file, place(at, copy), length)? } else { first };
    Ok(judge(name, copy, whole.get(..length).unwrap_or_default()))
}

/// Returns the length that a copy announces in its first line, including that line.
fn length(page: &[u8]) -> Option<usize> {
    let end = page.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(page.get(..end)?).ok()?;
    let mut words = head.strip_prefix(COPY)?.split_whitespace();
    let length: usize = words.nth(1)?.parse().ok()?;
    Some(end + 1 + length).filter(|whole| *whole <= SLOT)
}

/// Returns the record of a copy; `None` if its digest does not match.
fn judge(name: &str, copy: usize, whole: &[u8]) -> Option<Slot> {
    let (head, text) = std::str::from_utf8(whole).ok()?.split_once('\n')?;
    let mut words = head.strip_prefix(COPY)?.split_whitespace();
    let change: u64 = words.next()?.parse().ok()?;
    let (_, said, serial) = (words.next()?, words.next()?, words.next()?);
    if digest(name, change, serial, text) != said {
        return None;
    }
    let record = Record { serial: serial.into(), text: text.into() };
    Some(Slot { record, change, copy })
}

fn digest(name: &str, change: u64, serial: &str, text: &str) -> String {
    format!("{:032x}", fnv128(&[name, &change.to_string(), serial, text]))
}

/// Returns the offset of a copy of a slot.
fn place(at: usize, copy: usize) -> u64 {
    START as u64 + (2 * at + copy) as u64 * SLOT as u64
}

/// Returns the random name of a state disk; `None` if it has only zeros so far.
fn named(file: &File) -> Result<Option<String>, Cause> {
    if size(file)? < place(1, 0) {
        let least = place(1, 0) >> 10;
        return Err(Cause::Device(format!("it is smaller than {least} KiB")));
    }
    let start = read(file, 0, START)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    match line.strip_prefix(MAGIC) {
        Some(name) => Ok(Some(name.trim().to_owned())),
        None if start.iter().all(|byte| *byte == 0) => Ok(None),
        None => Err(Cause::Device(
            "it has data of something else; give a device of its own, and write zeros \
             to its first MiB if that data is no longer needed"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    const TEXT: &str = "PR_REG_START: 0\nsa_res_key=1\nPR_REG_END: 0\n";

    fn device(mebibytes: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(mebibytes << 20).unwrap();
        file
    }

    fn found(device: &tempfile::NamedTempFile) -> Vec<(String, String)> {
        let records = load(device.path()).unwrap().into_iter();
        records.map(|record| (record.serial, record.text)).collect()
    }

    fn of(serial: &str, text: &str) -> (String, String) {
        (serial.to_owned(), text.to_owned())
    }

    #[test]
    fn what_was_put_is_found() {
        let device = device(4);
        assert_eq!(found(&device), []);
        let mut store = Store::open(device.path()).unwrap();
        let long = TEXT.repeat(1000);
        for (serial, text) in [("a", TEXT), ("b", &long), ("a", ""), ("a", &long)] {
            store.put(serial, text).unwrap();
        }
        drop(store);
        assert_eq!(found(&device), [of("a", &long), of("b", &long)]);
        let mut again = Store::open(device.path()).unwrap();
        again.put("a", TEXT).unwrap();
        assert_eq!(found(&device), [of("a", TEXT), of("b", &long)]);
    }

    /// Checks that a write torn at any byte by a loss of power leaves the earlier text
    /// valid.
    #[test]
    fn half_a_write_is_none() {
        let device = device(4);
        let mut store = Store::open(device.path()).unwrap();
        let (old, new) = (TEXT.repeat(300), TEXT.repeat(400));
        store.put("a", &old).unwrap();
        let before = std::fs::read(device.path()).unwrap();
        store.put("a", &new).unwrap();
        let after = std::fs::read(device.path()).unwrap();
        let changed = |n: usize| before[n * 512..][..512] != after[n * 512..][..512];
        let sectors: Vec<_> = (0..before.len() / 512).filter(|n| changed(*n)).collect();
        assert!(sectors.len() > 30, "{}", sectors.len());
        for left_out in &sectors {
            let mut torn = after.clone();
            torn[left_out * 512..][..512]
                .copy_from_slice(&before[left_out * 512..][..512]);
            std::fs::write(device.path(), &torn).unwrap();
            assert_eq!(found(&device), [of("a", &old)], "without sector {left_out}");
        }
        std::fs::write(device.path(), &after).unwrap();
        assert_eq!(found(&device), [of("a", &new)]);
    }

    #[test]
    fn what_is_anothers_is_never_written_to() {
        let device = device(4);
        std::fs::write(device.path(), vec![0; 4 << 20]).unwrap();
        device.as_file().write_at(b"_BHRfS_M", 0x1_0040).unwrap();
        for error in
            [load(device.path()).unwrap_err(), Store::open(device.path()).unwrap_err()]
        {
            assert!(error.to_string().contains("data of something else"), "{error}");
        }
    }

    #[test]
    fn a_full_device_has_room_for_who_takes_the_place_of_one_that_needs_none() {
        let device = device(2);
        let mut store = Store::open(device.path()).unwrap();
        store.put("a", TEXT).unwrap();
        store.put("b", TEXT).unwrap();
        let full = Cause::Errno(Errno::ENOSPC as i32);
        assert_eq!(store.put("c", TEXT), Err(full));
        store.put("a", "").unwrap();
        store.put("c", TEXT).unwrap();
        assert_eq!(found(&device), [of("c", TEXT), of("b", TEXT)]);
        let large = Cause::Errno(Errno::EFBIG as i32);
        assert_eq!(store.put("b", &TEXT.repeat(10_000)), Err(large));
    }

    /// Checks that of two writers the one with the older records is refused. It would
    /// undo what the other has acknowledged.
    #[test]
    fn who_is_behind_writes_nothing() {
        let device = device(4);
        let mut first = Store::open(device.path()).unwrap();
        first.put("a", TEXT).unwrap();
        let mut second = Store::open(device.path()).unwrap();
        second.put("b", TEXT).unwrap();
        second.put("a", "").unwrap();
        for serial in ["a", "b"] {
            let refused = first.put(serial, "old").unwrap_err().to_string();
            assert!(refused.contains("somebody else has written"), "{refused}");
        }
        assert_eq!(found(&device), [of("a", ""), of("b", TEXT)]);
    }

    /// Checks that a damaged slot does not hide the slots after it.
    #[test]
    fn a_damaged_slot_is_not_the_end() {
        let device = device(4);
        let mut store = Store::open(device.path()).unwrap();
        for serial in ["a", "b", "c"] {
            store.put(serial, TEXT).unwrap();
        }
        device.as_file().write_at(b"x", place(1, 0) + 40).unwrap();
        let error = load(device.path()).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        assert!(Store::open(device.path()).is_err());
    }

    /// Checks that copies of another disk, and data from before the disk was marked, are
    /// ignored.
    #[test]
    fn only_its_own_copies_count() {
        let device = device(4);
        Store::open(device.path()).unwrap().put("a", TEXT).unwrap();
        device.as_file().write_at(&[0; 4096], 0).unwrap();
        assert_eq!(found(&device), []);
        Store::open(device.path()).unwrap();
        assert_eq!(found(&device), []);
    }

    #[test]
    fn a_small_device_is_refused() {
        let device = device(1);
        let error = Store::open(device.path()).unwrap_err().to_string();
        assert!(error.contains("smaller than 1536 KiB"), "{error}");
    }
}
