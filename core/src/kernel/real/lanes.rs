//! Lanes: the threads of the worker process that carry out chains side by side, and
//! report their progress to the parent.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::perform::perform;
use super::place::monotonic;
use crate::kernel::disk::opened;
use crate::kernel::op::{Chain, Done};
use crate::kernel::{Cause, Instant, KernelError, LANES, late};

/// How long news may be collected before they are sent.
const COLLECT: Duration = Duration::from_millis(10);

/// A request to the worker: chains to carry out, and the deadline.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    pub chains: Vec<Chain>,
    pub until: Instant,
}

/// The progress of a chain since its last news. The first news of a chain say that it has
/// begun.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct News {
    pub done: Vec<Done>,
    pub failed: Option<KernelError>,
    pub ended: bool,
}

/// Threads that carry out chains side by side. They are kept from one request to the
/// next. A start has a dozen steps, and making threads again for each would cost more
/// than some steps do.
#[derive(Default)]
pub(crate) struct Lanes {
    /// The group that the threads change; `None` if they only ask.
    group: Option<Arc<str>>,
    work: Arc<Work>,
    count: usize,
}

/// The queue of requests, for which the threads wait.
#[derive(Default)]
struct Work {
    jobs: Mutex<VecDeque<Arc<Job>>>,
    more: Condvar,
}

/// A request that is being carried out.
struct Job {
    root: PathBuf,
    group: Option<Arc<str>>,
    request: Request,
    next: AtomicUsize,
    bag: Bag,
}

impl Lanes {
    /// Returns lanes that change this group, or only ask. They have no threads yet.
    pub(crate) fn of(group: Option<Arc<str>>) -> Self {
        Self { group, ..Self::default() }
    }

    /// Carries out a request in up to [`LANES`] threads. The calling thread sends the
    /// news meanwhile, and returns when all chains have ended.
    pub(crate) fn carry_out(&mut self, root: &Path, request: Request, news: &File) {
        let wanted = request.chains.len().min(LANES);
        let bag = Bag::of(request.chains.len());
        let root = root.to_owned();
        let (group, next) = (self.group.clone(), AtomicUsize::new(0));
        let job = Arc::new(Job { root, group, request, next, bag });
        while self.count < wanted {
            let work = Arc::clone(&self.work);
            match thread::Builder::new().spawn(move || work.lane()) {
                Ok(_) => self.count += 1,
                Err(_) => break,
            }
        }
        if self.count == 0 {
            // If no thread could be made, the calling one does the work.
            job.carry_out();
        }
        let hands = (0..wanted.min(self.count)).map(|_| Arc::clone(&job));
        lock(&self.work.jobs).extend(hands);
        self.work.more.notify_all();
        job.bag.deliver(news);
    }
}

impl Work {
    /// Carries out requests, one after another, without end. This is the life of a
    /// thread.
    fn lane(&self) {
        loop {
            let mut jobs = lock(&self.jobs);
            while jobs.is_empty() {
                jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            }
            let job = jobs.pop_front();
            drop(jobs);
            if let Some(job) = job {
                job.carry_out();
            }
        }
    }
}

impl Job {
    /// Carries out chains that no other thread has taken, until none is left.
    fn carry_out(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            match self.request.chains.get(number) {
                Some(chain) => self.carry_out_one(number, chain),
                None => return,
            }
        }
    }

    fn carry_out_one(&self, number: usize, chain: &Chain) {
        self.bag.note(number, |_| {});
        for op in chain {
            let result = if monotonic() < self.request.until {
                late::under_its_name(self.group.as_deref(), op, || {
                    perform(&self.root, op)
                })
            } else {
                Err(op.failed(Cause::NotBegun))
            };
            match result {
                Ok(done) => self.bag.note(number, |news| news.done.push(done)),
                Err(error) => {
                    self.bag.note(number, |news| news.failed = Some(error));
                    break;
                }
            }
        }
        opened::close();
        self.bag.end(number);
    }
}

/// News on their way to the parent, many at a time, because waking the parent for each of
/// thousands would cost more than the work. A thread that does nothing else sends them: a
/// thread that works may hang, and its news would never come.
struct Bag {
    content: Mutex<Content>,
    ended: Condvar,
}

struct Content {
    news: BTreeMap<usize, News>,
    /// The number of chains that have not ended.
    open: usize,
}

impl Bag {
    fn of(chains: usize) -> Self {
        let content = Content { news: BTreeMap::new(), open: chains };
        Self { content: Mutex::new(content), ended: Condvar::new() }
    }

    /// Adds something to the news of a chain.
    fn note(&self, chain: usize, add: impl FnOnce(&mut News)) {
        add(lock(&self.content).news.entry(chain).or_default());
    }

    /// Notes that a chain has ended. Nothing will be added to its news.
    fn end(&self, chain: usize) {
        let mut content = lock(&self.content);
        content.news.entry(chain).or_default().ended = true;
        content.open = content.open.saturating_sub(1);
        if content.open == 0 {
            self.ended.notify_all();
        }
    }

    /// Sends the news as they come, until every chain has ended.
    fn deliver(&self, mut to: &File) {
        let mut content = lock(&self.content);
        loop {
            content = self
                .ended
                .wait_timeout_while(content, COLLECT, |content| content.open > 0)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            let (news, open) = (std::mem::take(&mut content.news), content.open);
            drop(content);
            if let Ok(mut line) = serde_json::to_vec(&news) {
                line.push(b'\n');
                // If the write fails, the parent is gone and needs no news.
                let _ = to.write_all(&line);
            }
            if open == 0 {
                return;
            }
            content = lock(&self.content);
        }
    }
}

/// Locks a mutex. It ignores that another thread may have panicked, because the content
/// is valid at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
