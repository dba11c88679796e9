//! A disk under load: requests to it, and what every block of it must hold.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use understudy_lab::load::wire::Disk;

use crate::block::{Buffer, SIZE, Stamp};
use crate::ledger::Ledger;

/// How many writes there are to one flush.
const FLUSHED: u64 = 4;

/// What is known of all disks. A disk is known by its WWID, whatever path or device name
/// it has now.
#[derive(Debug)]
pub struct Contents {
    run: u64,
    writes: AtomicU64,
    disks: Mutex<HashMap<String, Arc<Content>>>,
}

/// What one disk must hold.
#[derive(Debug)]
pub struct Content {
    number: u32,
    /// The number of the write that was acknowledged last, by block. A block is missing
    /// before its first write, and after a write that failed, because a failed write
    /// promises nothing.
    blocks: Mutex<BTreeMap<u32, u64>>,
}

impl Contents {
    /// Returns empty contents. `run` is the number of this run, which each of its writes
    /// carries.
    pub fn new(run: u64) -> Self {
        Self { run, writes: AtomicU64::new(1), disks: Mutex::default() }
    }

    /// Returns what is known of a disk, by its WWID.
    fn of(&self, wwid: String) -> Arc<Content> {
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u32::try_from(disks.len()).unwrap_or(u32::MAX);
        let new = || Arc::new(Content { number, blocks: Mutex::default() });
        Arc::clone(disks.entry(wwid).or_insert_with(new))
    }
}

impl Content {
    fn blocks(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's access to a disk: an open file of its own, and buffers.
pub struct Hand<'a> {
    disk: &'a Disk,
    file: File,
    contents: &'a Contents,
    content: Arc<Content>,
    ledger: &'a Ledger,
    wanted: Box<Buffer>,
    found: Box<Buffer>,
}

impl<'a> Hand<'a> {
    /// Opens the disk.
    ///
    /// # Errors
    /// The disk cannot be opened.
    pub fn new(
        disk: &'a Disk,
        contents: &'a Contents,
        ledger: &'a Ledger,
    ) -> io::Result<Self> {
        let (file, content) = (open(&disk.device)?, contents.of(wwid(&disk.device)?));
        Ok(Self::at(disk, file, contents, content, ledger))
    }

    fn at(
        disk: &'a Disk,
        file: File,
        contents: &'a Contents,
        content: Arc<Content>,
        ledger: &'a Ledger,
    ) -> Self {
        let (wanted, found) = (Buffer::new(), Buffer::new());
        Self { disk, file, contents, content, ledger, wanted, found }
    }

    /// Returns the blocks of the disk that have been written.
    pub fn written(&self) -> Vec<u32> {
        self.content.blocks().keys().copied().collect()
    }

    /// Writes a block with a new stamp. Returns whether the write was acknowledged.
    pub fn write(&mut self, block: u32) -> bool {
        let write = self.contents.writes.fetch_add(1, Ordering::Relaxed);
        self.stamp(block, write).fill(&mut self.wanted);
        let began = Instant::now();
        match self.file.write_all_at(&self.wanted.0, offset(block)) {
            Ok(()) => {
                self.ledger.ended(self.disk, began.elapsed());
                self.content.blocks().insert(block, write);
                write % FLUSHED != 0 || self.flush(block)
            }
            Err(error) => {
                self.content.blocks().remove(&block);
                self.ledger.failed("write", self.disk, block, &error);
                false
            }
        }
    }

    /// Makes the disk write its cache out, as a database does after a record. Returns
    /// whether that was acknowledged.
    fn flush(&mut self, block: u32) -> bool {
        let began = Instant::now();
        let flushed = self.file.sync_data();
        match &flushed {
            Ok(()) => self.ledger.ended(self.disk, began.elapsed()),
            Err(error) => self.ledger.failed("flush", self.disk, block, error),
        }
        flushed.is_ok()
    }

    /// Reads a block, if it was written, and compares it with what was acknowledged last.
    pub fn verify(&mut self, block: u32) {
        let Some(write) = self.content.blocks().get(&block).copied() else { return };
        let stamp = self.stamp(block, write);
        stamp.fill(&mut self.wanted);
        let began = Instant::now();
        if let Err(error) = self.file.read_exact_at(&mut self.found.0, offset(block)) {
            return self.ledger.failed("read", self.disk, block, &error);
        }
        self.ledger.ended(self.disk, began.elapsed());
        match stamp.differs(&self.wanted, &self.found) {
            None => self.ledger.book().account.verified += 1,
            Some(why) => {
                // A loss is reported once.
                self.content.blocks().remove(&block);
                self.ledger.lost(self.disk, block, &why);
            }
        }
    }

    fn stamp(&self, block: u32, write: u64) -> Stamp {
        Stamp { run: self.contents.run, disk: self.content.number, block, write }
    }
}

fn open(device: &str) -> io::Result<File> {
    let direct = nix::fcntl::OFlag::O_DIRECT.bits();
    let path = Path::new("/dev").join(device);
    OpenOptions::new().read(true).write(true).custom_flags(direct).open(path)
}

/// Returns the WWID of a SCSI disk, or of the disk behind a multipath map, such as
/// `6001405...`.
fn wwid(device: &str) -> io::Result<String> {
    let block = Path::new("/sys/block").join(device);
    let text = match fs::read_to_string(block.join("dm/uuid")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::read_to_string(block.join("device/wwid"))?
        }
        uuid => uuid?,
    };
    let text = text.trim();
    // multipathd puts the 3 of a NAA designator before the WWID (`get_vpd_sgio`).
    let wwid = text.strip_prefix("naa.").or_else(|| text.strip_prefix("mpath-3"));
    wwid.map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("'{text}' is no WWID")))
}

fn offset(block: u32) -> u64 {
    u64::from(block) * SIZE as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `act` on an empty file. Returns the ledger's account of it.
    fn seen(act: impl FnOnce(&mut Hand, &File)) -> understudy_lab::load::wire::Account {
        let disk = Disk { group: "group-a".into(), device: "sdx".into() };
        let (contents, ledger) = (Contents::new(7), Ledger::default());
        let file = tempfile::tempfile().unwrap();
        let content = contents.of("6001405".into());
        let own = file.try_clone().unwrap();
        act(&mut Hand::at(&disk, own, &contents, content, &ledger), &file);
        std::mem::take(&mut ledger.book().account)
    }

    /// The bytes of a block as they are on the disk.
    fn raw(file: &File, block: u32) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        file.read_exact_at(&mut bytes, offset(block)).unwrap();
        bytes
    }

    #[test]
    fn what_is_read_as_it_was_written_is_well() {
        let seen = seen(|hand, _| {
            assert!(hand.write(3) && hand.write(5) && hand.write(3));
            // Never written: nothing is known of it.
            [3, 4, 5].into_iter().for_each(|block| hand.verify(block));
            assert_eq!(hand.written(), [3, 5]);
        });
        assert_eq!((seen.verified, seen.lost_writes, seen.io_errors), (2, 0, 0));
    }

    #[test]
    fn an_older_write_in_the_place_of_a_newer_one_is_a_loss_told_once() {
        let seen = seen(|hand, file| {
            hand.write(3);
            let old = raw(file, 3);
            hand.write(3);
            hand.verify(3);
            // A write that comes late, after the newer one was read back.
            file.write_all_at(&old, offset(3)).unwrap();
            hand.verify(3);
            hand.verify(3);
        });
        assert_eq!((seen.verified, seen.lost_writes), (1, 1));
        let told = seen.troubles.join("");
        assert!(told.contains("block 3 of sdx (group-a)"), "{told}");
        assert!(
            told.contains("are not write 2 of disk 0; sector 0 is write 1"),
            "{told}"
        );
    }

    #[test]
    fn a_block_of_another_place_is_a_loss() {
        let seen = seen(|hand, file| {
            hand.write(3);
            hand.write(4);
            file.write_all_at(&raw(file, 4), offset(3)).unwrap();
            hand.verify(3);
        });
        assert_eq!(seen.lost_writes, 1);
        assert!(
            seen.troubles.join("").contains("sector 0 is write 2 of disk 0, block 4")
        );
    }

    #[test]
    fn a_request_that_fails_is_counted_and_promises_nothing() {
        let seen = seen(|hand, file| {
            hand.write(3);
            let whole =
                std::mem::replace(&mut hand.file, File::open("/dev/null").unwrap());
            assert!(!hand.write(3));
            hand.file = whole;
            hand.verify(3);
            hand.write(4);
            file.set_len(0).unwrap();
            hand.verify(4);
        });
        assert_eq!((seen.io_errors, seen.lost_writes, seen.verified), (2, 0, 0));
    }

    #[test]
    fn what_is_known_of_a_disk_outlives_the_hand() {
        let disk = Disk { group: "group-a".into(), device: "sdx".into() };
        let (contents, ledger) = (Contents::new(7), Ledger::default());
        let file = tempfile::tempfile().unwrap();
        for device in ["sdx", "sdy"] {
            let disk = Disk { device: device.into(), ..disk.clone() };
            let content = contents.of("6001405".into());
            let own = file.try_clone().unwrap();
            let mut hand = Hand::at(&disk, own, &contents, content, &ledger);
            if device == "sdx" {
                hand.write(1);
                file.write_all_at(&[0; SIZE], offset(1)).unwrap();
            } else {
                hand.verify(1);
            }
        }
        assert_eq!(ledger.book().account.lost_writes, 1);
    }
}
