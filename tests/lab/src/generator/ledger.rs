//! What the load has seen: when each request ended, what failed, what was lost.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use understudy_lab::load::wire::{Account, Disk};

/// How many errors and losses are reported in words.
const TOLD: usize = 12;

/// What all workers write to.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
    /// For who waits for an entry.
    entered: Condvar,
    /// For workers at rest. Apart: they are many, and a request that ends is nothing to them.
    ordered: Condvar,
}

/// The open book.
#[derive(Debug, Default)]
pub struct Book {
    /// What was seen since the last account.
    pub account: Account,
    /// By disk: how many requests have ended since the generator began.
    pub ended: BTreeMap<String, usize>,
    /// By disk: when requests ended and how long they took, in milliseconds and in
    /// nanoseconds, since the last account.
    times: BTreeMap<String, Vec<(u128, u128)>>,
    /// By disk: how many workers have read back what they were told to.
    pub read_back: BTreeMap<String, u32>,
}

impl Book {
    /// Adds an error or a loss in words.
    fn trouble(&mut self, text: String) {
        if self.account.troubles.len() < TOLD {
            eprintln!("{text}");
            self.account.troubles.push(text);
        }
    }
}

impl Ledger {
    /// Returns the book, for one look or one entry.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an entry, and has everybody look who waits for one.
    pub fn enter<T>(&self, enter: impl FnOnce(&mut Book) -> T) -> T {
        let result = enter(&mut self.book());
        self.entered.notify_all();
        result
    }

    /// Gives an order, and has the workers that rest look at it.
    pub fn order(&self, order: impl FnOnce(&mut Book)) {
        order(&mut self.book());
        self.ordered.notify_all();
    }

    /// Waits until the book is so.
    pub fn wait(&self, mut is_so: impl FnMut(&Book) -> bool) {
        let mut book = self.book();
        while !is_so(&book) {
            book = self.entered.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Rests for that long, or until an order has come. Returns whether one has.
    pub fn rest(&self, time: Duration, mut has_come: impl FnMut() -> bool) -> bool {
        let book = self.book();
        let waited = self.ordered.wait_timeout_while(book, time, |_| !has_come());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Enters a request that has ended well.
    pub fn ended(&self, disk: &Disk, took: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.enter(|book| {
            *book.ended.entry(disk.device.clone()).or_default() += 1;
            let file = format!("{}.{}.log", disk.group, disk.device);
            book.times.entry(file).or_default().push((now.as_millis(), took.as_nanos()));
        });
    }

    /// Enters a request that has failed.
    pub fn failed(&self, what: &str, disk: &Disk, block: u32, error: &io::Error) {
        self.enter(|book| {
            book.account.io_errors += 1;
            book.trouble(format!(
                "{}: {what} block {block} of {}: {error}",
                now(),
                named(disk)
            ));
        });
    }

    /// Enters a block that did not hold what was written to it.
    pub fn lost(&self, disk: &Disk, block: u32, why: &str) {
        self.enter(|book| {
            book.account.lost_writes += 1;
            book.trouble(format!("{}: block {block} of {}: {why}", now(), named(disk)));
        });
    }

    /// Returns what was seen since the last account, and writes a file for each disk with
    /// a line for each request.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn account(&self, folder: &Path) -> io::Result<Account> {
        let (account, times) = {
            let mut book = self.book();
            (std::mem::take(&mut book.account), std::mem::take(&mut book.times))
        };
        fs::create_dir_all(folder)?;
        for (name, times) in times {
            let lines = times.iter().fold(String::new(), |mut text, (at, took)| {
                let _ = writeln!(text, "{at}, {took}");
                text
            });
            fs::write(folder.join(name), lines)?;
        }
        Ok(account)
    }
}

/// Returns a disk as a message names it.
fn named(disk: &Disk) -> String {
    format!("{} ({})", disk.device, disk.group)
}

/// Returns the time of day in UTC, as logs have it.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let day = since.as_secs() % 86_400;
    let (hours, minutes, seconds) = (day / 3600, day / 60 % 60, day % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", since.subsec_millis())
}
