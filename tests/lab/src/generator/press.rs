//! The workers that press on a disk, and their orders.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use understudy_lab::load::wire::{Disk, Pace};

use crate::ledger::Ledger;
use crate::volume::{Contents, Hand};

/// Blocks of a disk that are written under load: eight mebibytes, so that all of them are
/// read back within seconds.
pub const SPAN: u32 = 128;
/// Time from the beginning of a burst to that of the next.
const BURST: Duration = Duration::from_secs(2);
/// How many of a disk's workers make a burst. With all of them, one burst kept emulated
/// guests busy nearly until the next one.
const IN_A_BURST: u32 = 2;
/// How long a worker that is in no burst waits before it looks again, if nothing wakes
/// it.
const ASIDE: Duration = Duration::from_secs(60);
/// How long a worker waits after a failed request.
const AFTER_ERROR: Duration = Duration::from_millis(200);
/// Size of a worker's stack, which holds a block at times.
const STACK: usize = 512 * 1024;

/// What all workers look at between two requests.
#[derive(Debug, Default)]
pub struct Orders {
    bursts: AtomicBool,
    /// Counts the times that everything was to be read back.
    all: AtomicU32,
    /// Counts the times that what is owed was to be read back.
    owed: AtomicU32,
}

impl Orders {
    /// Sets how hard the workers press.
    pub fn set_pace(&self, pace: Pace) {
        self.bursts.store(pace == Pace::Bursts, Ordering::SeqCst);
    }

    /// Has every worker read back once: everything, or only what it owes.
    pub fn read_back(&self, all: bool) {
        let counter = if all { &self.all } else { &self.owed };
        counter.fetch_add(1, Ordering::SeqCst);
    }

    fn told(&self) -> (u32, u32) {
        (self.all.load(Ordering::SeqCst), self.owed.load(Ordering::SeqCst))
    }
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The orders to the workers.
    pub orders: Orders,
    /// What the workers have seen.
    pub ledger: Ledger,
    /// What the disks must hold.
    pub contents: Contents,
}

/// A disk under load. It stays under load if this value is dropped: use [`Press::stop`]
/// and [`Press::end`].
#[derive(Debug)]
pub struct Press {
    /// The disk.
    pub disk: Disk,
    /// How many requests there are at a time.
    pub depth: u32,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Press {
    /// Begins to press on a disk.
    ///
    /// # Errors
    /// The disk cannot be opened, or a thread cannot be started.
    pub fn begin(shared: &Arc<Shared>, disk: Disk, depth: u32) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        // The disk is opened here, where an error can still be reported.
        drop(Hand::new(&disk, &shared.contents, &shared.ledger)?);
        let worker = |number| {
            let (shared, disk, stop) =
                (Arc::clone(shared), disk.clone(), Arc::clone(&stop));
            Builder::new().stack_size(STACK).spawn(move || {
                match Hand::new(&disk, &shared.contents, &shared.ledger) {
                    Ok(hand) => {
                        Worker::new(&shared, hand, number, depth).work(&stop, &disk)
                    }
                    Err(error) => shared.ledger.failed("open", &disk, 0, &error),
                }
            })
        };
        let workers = (0..depth).map(worker).collect::<io::Result<_>>()?;
        Ok(Self { disk, depth, stop, workers })
    }

    /// Tells the workers to end; [`Press::end`] waits for that.
    pub fn stop(&self, shared: &Shared) {
        shared.ledger.order(|_| self.stop.store(true, Ordering::SeqCst));
    }

    /// Waits until the last request has ended and the disk is closed.
    pub fn end(self) {
        for worker in self.workers {
            let _ = worker.join();
        }
    }
}

/// A worker, one of several that press on a disk. Each worker has blocks of its own, so
/// it always knows what they hold.
struct Worker<'a> {
    shared: &'a Shared,
    hand: Hand<'a>,
    number: u32,
    depth: u32,
    random: fastrand::Rng,
    /// The block that was written and has not been read since.
    owed: Option<u32>,
    /// Requests so far.
    count: u32,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared, hand: Hand<'a>, number: u32, depth: u32) -> Self {
        let random = fastrand::Rng::new();
        Self { shared, hand, number, depth, random, owed: None, count: 0 }
    }

    fn work(&mut self, stop: &AtomicBool, disk: &Disk) {
        let mut told = self.shared.orders.told();
        while !stop.load(Ordering::SeqCst) {
            let now = self.shared.orders.told();
            if now != told {
                self.read_back(now.0 != told.0);
                told = now;
                self.shared.ledger.enter(|book| {
                    *book.read_back.entry(disk.device.clone()).or_default() += 1;
                });
            }
            if !self.rest(stop, told) {
                self.request();
            }
        }
    }

    /// Waits for the next burst, where the load comes in bursts. Returns true if this
    /// worker is to send no request now: something else came first, or the worker is in
    /// no burst.
    fn rest(&self, stop: &AtomicBool, told: (u32, u32)) -> bool {
        let orders = &self.shared.orders;
        let bursts = || orders.bursts.load(Ordering::SeqCst);
        if !bursts() {
            return false;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let rest = since.as_nanos() % BURST.as_nanos();
        let next = BURST.saturating_sub(Duration::from_nanos(rest as u64));
        let in_it = self.number < IN_A_BURST;
        let called = self.shared.ledger.rest(if in_it { next } else { ASIDE }, || {
            stop.load(Ordering::SeqCst) || !bursts() || orders.told() != told
        });
        called || !in_it
    }

    /// Writes a block, or reads it back, or reads another one: a write that comes late
    /// may overwrite a block after it was read back.
    fn request(&mut self) {
        let blocks = (SPAN - self.number).div_ceil(self.depth);
        let any = self.number + self.random.u32(..blocks) * self.depth;
        self.count += 1;
        match self.count % 3 {
            1 if self.hand.write(any) => self.owed = Some(any),
            1 => std::thread::sleep(AFTER_ERROR),
            2 => self.read_back(false),
            _ => self.hand.verify(any),
        }
    }

    /// Reads back what is owed; with `all`, also every written block of the disk that is
    /// this worker's to read.
    fn read_back(&mut self, all: bool) {
        if let Some(block) = self.owed.take() {
            self.hand.verify(block);
        }
        if all {
            let mut blocks = self.hand.written();
            blocks.retain(|block| block % self.depth == self.number);
            blocks.into_iter().for_each(|block| self.hand.verify(block));
        }
    }
}
