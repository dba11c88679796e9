//! The workers that press on a disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use understudy_lab::load::wire::{Disk, Pace};

use crate::ledger::Ledger;
use crate::volume::{Contents, Hand};

/// How many blocks of a disk are written under load. These are eight mebibytes, which can
/// be read back within seconds.
pub const SPAN: u32 = 128;
/// Time from the beginning of one burst to the beginning of the next.
const BURST: Duration = Duration::from_secs(2);
/// How many of a disk's workers take part in a burst. With all of them, one burst kept
/// emulated guests busy nearly until the next one.
const IN_A_BURST: u32 = 2;
/// How long a worker that takes part in no burst waits before it looks for orders, if
/// nothing wakes it earlier.
const ASIDE: Duration = Duration::from_secs(60);
/// How long a worker waits after a failed request.
const AFTER_ERROR: Duration = Duration::from_millis(200);
/// Size of a worker's stack, which at times holds a block.
const STACK: usize = 512 * 1024;

/// The orders to all workers. A worker looks at them between two requests.
#[derive(Debug, Default)]
pub struct Orders {
    bursts: AtomicBool,
    /// How often the workers were asked to read everything back.
    all: AtomicU32,
    /// How often the workers were asked to read back what they owe.
    owed: AtomicU32,
}

impl Orders {
    /// Sets how hard the workers press.
    pub fn set_pace(&self, pace: Pace) {
        self.bursts.store(pace == Pace::Bursts, Ordering::SeqCst);
    }

    /// Asks every worker to read back once: everything, or only what it owes.
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

/// A disk under load. To drop this value does not end the load: use [`Press::stop`] and
/// [`Press::end`].
#[derive(Debug)]
pub struct Press {
    /// The disk.
    pub disk: Disk,
    /// How many requests are in flight at a time.
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

    /// Asks the workers to end. [`Press::end`] waits until they have.
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

/// A worker that presses on a disk. A disk has several, each with blocks of its own, so a
/// worker always knows what its blocks hold.
struct Worker<'a> {
    shared: &'a Shared,
    hand: Hand<'a>,
    number: u32,
    depth: u32,
    random: fastrand::Rng,
    /// The block that was written last, if it was not read back yet.
    owed: Option<u32>,
    /// How many requests this worker has made.
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

    /// Waits for the next burst, if the load comes in bursts. Returns true if this worker
    /// is to send no request now, because an order came first or because it takes part in
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

    /// Makes one request. In turn it writes a block, reads that back, and reads another
    /// one. A write that reaches the disk late may overwrite a block that was read back
    /// already, and the third kind finds that.
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

    /// Reads back the block that is owed. With `all`, also reads every written block that
    /// is this worker's.
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
