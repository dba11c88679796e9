//! The state device: what initiators have registered and reserved, LUN by LUN, kept where
//! the group's next owner reads it.
//!
//! A header, then two copies for each LUN. A change replaces the older copy, in one write
//! past every cache; one that a crash has torn is known by its digest, and then the other
//! copy holds. So a reader finds the old text or the new one, whenever power was lost.

mod device;

use std::fs::{File, OpenOptions};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use serde::{Deserialize, Serialize};

use super::Cause;
use crate::digest::fnv128;
use device::{open, read, size, write};

/// What a device of ours begins with; its own random name follows.
const MAGIC: &str = "understudy state 1";
/// What a copy begins with.
const COPY: &str = "understudy lun";
/// Every read and write is of whole pages, aligned: O_DIRECT wants it so.
const PAGE: usize = 4096;
/// Room for a copy: LIO itself makes no longer text (`PR_APTPL_BUF_LEN`).
const SLOT: usize = 256 << 10;
/// Where the first copy is. Anybody else's data shows before that.
const START: usize = 1 << 20;

/// What is known of a LUN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The LUN's unit serial number.
    pub serial: String,
    /// What LIO has written of it, in LIO's own form.
    pub text: String,
}

/// Reads what a device has. One that has only zeros has nothing.
///
/// # Errors
/// It cannot be read, or somebody else's data is there.
pub fn load(device: &Path) -> Result<Vec<Record>, Cause> {
    let file = open(OpenOptions::new().read(true), 0, device)?;
    let Some(name) = named(&file)? else { return Ok(Vec::new()) };
    let slots = slots(&file, &name)?;
    Ok(slots.into_iter().map(|slot| slot.record).collect())
}

/// Returns how many LUNs a device of so many bytes has room for.
pub fn room(bytes: u64) -> u64 {
    bytes.saturating_sub(START as u64) / (2 * SLOT as u64)
}

/// A device that is written to, by one process at a time.
#[derive(Debug)]
pub struct Store {
    file: File,
    name: String,
    slots: Vec<Slot>,
}

/// A place for one LUN, and what is valid there.
#[derive(Debug, Clone)]
struct Slot {
    record: Record,
    /// Counts the changes; the copy with the higher one holds.
    change: u64,
    /// Which of the two copies that is.
    copy: usize,
}

impl Store {
    /// Opens a device for itself alone, and marks as ours one that has only zeros.
    ///
    /// # Errors
    /// Somebody has it open, or somebody else's data is there.
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

    /// Replaces what is known of a LUN. When it comes back without an error, that is what
    /// any later reader finds.
    ///
    /// # Errors
    /// The device refuses, or has no room. Then a reader finds the old text or this one.
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

    /// Returns the slot of a LUN: its own, or one whose LUN has nothing to be remembered
    /// any more, or the next one.
    fn place(&self, serial: &str) -> usize {
        let its = |slot: &Slot| slot.record.serial == serial;
        let idle = |slot: &Slot| slot.record.text.is_empty();
        let place = self.slots.iter().position(its);
        let place = place.or_else(|| self.slots.iter().position(idle));
        place.unwrap_or(self.slots.len())
    }
}

/// Reads every slot that is in use: they were given out one after the other.
fn slots(file: &File, name: &str) -> Result<Vec<Slot>, Cause> {
    let mut found = Vec::new();
    let room = room(size(file)?) as usize;
    for at in 0..room {
        match newest(file, name, at)? {
            Some(newest) => found.push(newest),
            // One look: each costs a start as long as initiators wait.
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

/// Returns the newest copy of a slot, where a whole one is there.
fn newest(file: &File, name: &str, at: usize) -> Result<Option<Slot>, Cause> {
    let copies = [slot(file, name, at, 0)?, slot(file, name, at, 1)?];
    Ok(copies.into_iter().flatten().max_by_key(|slot| slot.change))
}

/// Reads a copy of a slot, where a whole one is there.
fn slot(file: &File, name: &str, at: usize, copy: usize) -> Result<Option<Slot>, Cause> {
    let first = read(file, place(at, copy), PAGE)?;
    let Some(length) = length(&first) else { return Ok(None) };
    let whole = if length > PAGE { read(file, place(at, copy), length)? } else { first };
    Ok(judge(name, copy, whole.get(..length).unwrap_or_default()))
}

/// Returns how long a copy says that it is, its first line included.
fn length(page: &[u8]) -> Option<usize> {
    let end = page.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(page.get(..end)?).ok()?;
    let mut words = head.strip_prefix(COPY)?.split_whitespace();
    let length: usize = words.nth(1)?.parse().ok()?;
    Some(end + 1 + length).filter(|whole| *whole <= SLOT)
}

/// Returns what a copy says, where its digest says the same.
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

/// Returns where a copy is.
fn place(at: usize, copy: usize) -> u64 {
    START as u64 + (2 * at + copy) as u64 * SLOT as u64
}

/// Returns the name that a device of ours has; `None` where it has only zeros as yet.
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
            "it has data of something else; give a device of its own, and write zeros to \
             its first MiB if that data is of no use any more"
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

    /// A write that power ended anywhere in it leaves the text before it.
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

    /// Where two write, the one that is behind would undo what the other has acknowledged.
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

    /// A slot that is damaged hides none behind it.
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

    /// Another device's copies, and what was there before it was marked, are nothing.
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
