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

/// The results that all workers enter, with locks and signals.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
    /// Wakes those who wait for an entry.
    entered: Condvar,
    /// Wakes the workers that rest. A request that ends does not concern them, and they
    /// are many, so they have a signal of their own.
    ordered: Condvar,
}

/// The results so far.
#[derive(Debug, Default)]
pub struct Book {
    /// What was seen since the last account was given.
    pub account: Account,
    /// How many requests have ended since the generator began, by disk.
    pub ended: BTreeMap<String, usize>,
    /// When requests ended, in milliseconds, and how long they took, in nanoseconds: by
    /// disk, since the last account was given.
    times: BTreeMap<String, Vec<(u128, u128)>>,
    /// How many workers have read back what they were asked to, by disk.
    pub read_back: BTreeMap<String, u32>,
}

impl Book {
    /// Adds an error or a loss, in words.
    fn trouble(&mut self, text: String) {
        if self.account.troubles.len() < TOLD {
            eprintln!("{text}");
            self.account.troubles.push(text);
        }
    }
}

impl Ledger {
    /// Returns the book, locked.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an entry, and wakes those who wait for one.
    pub fn enter<T>(&self, enter: impl FnOnce(&mut Book) -> T) -> T {
        let result = enter(&mut self.book());
        self.entered.notify_all();
        result
    }

    /// Changes the book, and wakes the workers that rest, because an order has come.
    pub fn order(&self, order: impl FnOnce(&mut Book)) {
        order(&mut self.book());
        self.ordered.notify_all();
    }

    /// Waits until `is_so` holds for the book.
    pub fn wait(&self, mut is_so: impl FnMut(&Book) -> bool) {
        let mut book = self.book();
        while !is_so(&book) {
            book = self.entered.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for this time, or until `has_come` is true. Returns whether it is.
    pub fn rest(&self, time: Duration, mut has_come: impl FnMut() -> bool) -> bool {
        let book = self.book();
        let waited = self.ordered.wait_timeout_while(book, time, |_| !has_come());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Enters a request that has succeeded.
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

    /// Returns what was seen since the last account. Writes a file for each disk, with a
    /// line for each request.
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

/// Returns a disk as messages name it.
fn named(disk: &Disk) -> String {
    format!("{} ({})", disk.device, disk.group)
}

/// Returns the time of day in UTC, in the form that logs have.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let day = since.as_secs() % 86_400;
    let (hours, minutes, seconds) = (day / 3600, day / 60 % 60, day % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", since.subsec_millis())
}
