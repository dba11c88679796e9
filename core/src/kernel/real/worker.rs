//! The worker: a child process that carries out all changes.
//!
//! A write into sysfs or configfs can hang in the kernel forever. A thread in that state
//! keeps its whole process from ending, even after SIGKILL, and Pacemaker would wait
//! until its own timeout. So a forked child makes all changes. The parent waits until its
//! deadline, and then kills a child that hangs and leaves it behind. The killed child
//! begins no further operation, even if the kernel lets it go on later.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe};

use super::lanes::{Lanes, News, Request};
use super::place::monotonic;
use crate::kernel::late::{self, Purpose};
use crate::kernel::op::{Chain, ChainResult};
use crate::kernel::{Cause, Instant};

/// How long after the deadline the parent still waits for an answer that may be on its
/// way.
const GRACE: Duration = Duration::from_millis(50);
/// The group that a worker works for, and the purpose.
pub(crate) type Work = (String, Purpose);

/// A child process that waits for requests.
pub(crate) struct Worker {
    pid: Pid,
    requests: File,
    news: OwnedFd,
    unread: Vec<u8>,
}

impl Worker {
    /// Forks the child. The caller must have no other thread (the agent never has one),
    /// so that the child's memory is in a valid state.
    pub(crate) fn start(root: &Path, work: Option<&Work>) -> nix::Result<Self> {
        let (request_read, request_write) = pipe()?;
        let (news_read, news_write) = pipe()?;
        // SAFETY: no other thread of this process can hold a lock at this moment.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self {
                pid: child,
                requests: File::from(request_write),
                news: news_read,
                unread: Vec::new(),
            }),
            ForkResult::Child => {
                drop((request_write, news_read));
                live(root.to_owned(), work, request_read, File::from(news_write));
                // SAFETY: nothing of the parent's is to be flushed or torn down here.
                unsafe { nix::libc::_exit(0) }
            }
        }
    }

    /// Carries out chains and returns their results. It also returns the worker, or
    /// `None` if the worker must not be used again.
    pub(crate) fn run(
        mut self,
        chains: &[Chain],
        until: Instant,
    ) -> (Vec<ChainResult>, Option<Self>) {
        let mut board = Board::new(chains);
        let request = Request { chains: chains.to_vec(), until };
        let sent = serde_json::to_vec(&request).map_err(|_| ()).and_then(|mut line| {
            line.push(b'\n');
            self.requests.write_all(&line).map_err(|_| ())
        });
        let mut alive = sent.is_ok();
        while alive && board.open > 0 {
            alive = self.wait(until + GRACE) && self.take(&mut board);
        }
        if alive {
            return (board.results, Some(self));
        }
        self.abandon();
        (board.close(chains), None)
    }

    /// Waits for news from the child. Returns `false` if the deadline has passed.
    fn wait(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_sub(monotonic());
            // The time is rounded up: a wait that ended a moment early would repeat
            // without pause.
            let millis = left.as_micros().div_ceil(1000).try_into().unwrap_or(i32::MAX);
            let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.news.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Err(Errno::EINTR) => {}
                Ok(0) if !left.is_zero() => {}
                Ok(n) => return n > 0,
                Err(_) => return false,
            }
        }
    }

    /// Reads the news that have come. Returns `false` if the child is gone.
    fn take(&mut self, board: &mut Board) -> bool {
        let mut buffer = [0u8; 65536];
        match nix::unistd::read(&self.news, &mut buffer) {
            Ok(0) => return false,
            Ok(n) => self.unread.extend(buffer.iter().take(n)),
            Err(Errno::EINTR) => return true,
            Err(_) => return false,
        }
        let whole = self.unread.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        for line in self.unread.drain(..whole).collect::<Vec<_>>().split(|b| *b == b'\n')
        {
            let news: BTreeMap<usize, News> =
                serde_json::from_slice(line).unwrap_or_default();
            news.into_iter().for_each(|(chain, news)| board.note(chain, news));
        }
        true
    }

    fn abandon(&self) {
        // A child that hangs cannot be reaped here. The process that inherits it will do
        // that.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// What has reached the parent about each chain.
struct Board {
    results: Vec<ChainResult>,
    begun: Vec<bool>,
    open: usize,
    ended: Vec<bool>,
}

impl Board {
    fn new(chains: &[Chain]) -> Self {
        let n = chains.len();
        Self {
            results: vec![ChainResult::default(); n],
            begun: vec![false; n],
            open: n,
            ended: vec![false; n],
        }
    }

    fn note(&mut self, chain: usize, news: News) {
        let marks = self.begun.get_mut(chain).zip(self.ended.get_mut(chain));
        let (Some((begun, ended)), Some(result)) = (marks, self.results.get_mut(chain))
        else {
            return;
        };
        *begun = true;
        result.done.extend(news.done);
        result.failed = news.failed.or(result.failed.take());
        if news.ended {
            *ended = true;
            self.open = self.open.saturating_sub(1);
        }
    }

    /// Returns the results. A chain that has not ended has failed, at the operation where
    /// it stopped.
    fn close(mut self, chains: &[Chain]) -> Vec<ChainResult> {
        let states = self.begun.iter().zip(&self.ended);
        for ((result, chain), (begun, ended)) in
            self.results.iter_mut().zip(chains).zip(states)
        {
            if *ended || result.failed.is_some() {
                continue;
            }
            if let Some(op) = chain.get(result.done.len()) {
                let cause = if *begun { Cause::TimedOut } else { Cause::NotBegun };
                result.failed = Some(op.failed(cause));
            }
        }
        self.results
    }
}

/// Carries out requests in the child, one line each, until the parent is gone.
fn live(root: PathBuf, work: Option<&Work>, requests: OwnedFd, news: File) {
    // If the child kept the parent's output open, a process that waits for the end of
    // that output would wait for the child too.
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
    // SAFETY: plain numbers; the call reads no memory of ours.
    unsafe { nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, nix::libc::SIGKILL) };
    debug_assert!(requests.as_raw_fd() > 2);
    if let Some((group, purpose)) = work {
        late::take_name(group, *purpose);
    }
    let changed = work.filter(|(_, purpose)| *purpose == Purpose::Changes);
    let group = changed.map(|(group, _)| Arc::from(group.as_str()));
    let mut lanes = Lanes::of(group);
    for line in BufReader::new(File::from(requests)).lines() {
        let Ok(request) = line.and_then(|l| Ok(serde_json::from_str::<Request>(&l)?))
        else {
            return;
        };
        lanes.carry_out(&root, request, &news);
    }
}
