//! Verified load at the initiator: one generator for as long as the lab runs.
//!
//! Each LUN has workers, which write blocks, read them back at once, and read others
//! again and again. The generator (`src/generator`) knows what every block must hold,
//! whatever happened in between. A scenario presses on the LUNs that it wants, waits
//! until requests complete, and asks for an account when it is over.
//!
//! fio could not do that. It checks a round only at its end, it cannot pause, and it
//! cannot take on a new disk while it runs.

pub mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::channel::{Event, Running};
use crate::error::{Error, Result};
use crate::groups::Lun;
use crate::guest::Guest;
use crate::pause::Completions;
use crate::{paths, speed};
pub use wire::Pace;
use wire::{Account, Ask, Disk, Reply, Request};

/// How long the generator may take to answer a question that waits for requests.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the generator may take to answer a question that waits for no disk.
const ANSWER: Duration = Duration::from_secs(30);
/// How many requests are in flight to each LUN, at speed 1.
const DEPTH: f64 = 8.0;
/// The initiator's folder for the times at which requests ended.
const TIMES: &str = "/lab/out/load";

/// The load of a running lab.
#[derive(Debug)]
pub struct Load {
    running: Mutex<Talk>,
    share: PathBuf,
}

/// The conversation with the generator.
#[derive(Debug)]
struct Talk {
    generator: Running,
    last_id: u64,
    /// The disks that the generator was last told to press on.
    disks: Vec<Disk>,
    pace: Pace,
    /// The beginning of a line that the generator has not finished.
    rest: String,
    /// What the generator has printed on its standard error.
    errors: String,
}

/// What the load has seen since the last account.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests that failed.
    pub io_errors: u64,
    /// Blocks that did not hold what was written to them.
    pub lost_writes: u64,
    /// Blocks that were read back and held what was written to them.
    pub verified: u64,
    /// The first errors and losses, in words.
    pub troubles: Vec<String>,
    /// When each request ended.
    pub completions: Completions,
}

impl Load {
    /// Starts the generator; it presses on nothing yet. `share` is the folder that the
    /// guest sees as /lab.
    #[must_use]
    pub fn start(host: &Guest, share: &Path) -> Self {
        // The generator does not run from the shared folder: once it runs, it must not
        // depend on that.
        let script = "cp /lab/common/understudy-lab-load /run/ &&
                      exec nice -n 15 /run/understudy-lab-load";
        let generator = host.spawn(script, None);
        let talk = Talk {
            generator,
            last_id: 0,
            disks: Vec::new(),
            pace: Pace::Full,
            rest: String::new(),
            errors: String::new(),
        };
        Self { running: Mutex::new(talk), share: share.to_owned() }
    }

    /// Presses on these LUNs and on no others, and waits until requests complete on each.
    ///
    /// # Errors
    /// Requests do not complete on each LUN in time.
    pub fn press(&self, luns: &[Lun], pace: Pace) -> Result<()> {
        self.talk().press(luns.iter().map(disk).collect(), pace)?;
        self.wait_flow()
    }

    /// Presses on nothing. When this returns, no request is in flight and no LUN is open.
    ///
    /// # Errors
    /// A request does not end in time.
    pub fn pause(&self) -> Result<()> {
        self.talk().press(Vec::new(), Pace::Full)
    }

    /// Runs `work` with the load in bursts, so that a node that boots gets a processor.
    /// Restores the earlier pace afterwards.
    ///
    /// # Errors
    /// The error of the work.
    pub fn in_bursts<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let pace = self.talk().pace;
        self.set_pace(Pace::Bursts)?;
        let done = work()?;
        self.set_pace(pace)?;
        Ok(done)
    }

    /// Presses on the LUNs that are under load, at another pace.
    ///
    /// # Errors
    /// The generator does not answer.
    pub fn set_pace(&self, pace: Pace) -> Result<()> {
        let mut talk = self.talk();
        let disks = talk.disks.clone();
        talk.press(disks, pace)
    }

    /// Waits until more requests have completed on every LUN under load.
    ///
    /// # Errors
    /// A request hangs, or no LUN is under load.
    pub fn wait_flow(&self) -> Result<()> {
        let mut talk = self.talk();
        if talk.disks.is_empty() {
            return Err(Error::other("nothing is under load"));
        }
        let requests = if talk.pace == Pace::Full { 16 } else { 2 };
        talk.ask(Ask::Flow { requests }, PATIENCE).map(drop)
    }

    /// Waits until every write to the LUNs under load was read back. With `all`, waits
    /// until every block that they hold was read back once more.
    ///
    /// # Errors
    /// A request hangs.
    pub fn read_back(&self, all: bool) -> Result<()> {
        self.talk().ask(Ask::ReadBack { all }, PATIENCE).map(drop)
    }

    /// Writes a little to each LUN, from mebibyte `from` on, and reads it back.
    ///
    /// # Errors
    /// A request hangs, or a LUN cannot be opened. What fails or is lost is in the next
    /// account.
    pub fn probe(&self, luns: &[Lun], from: u64) -> Result<()> {
        luns.iter().try_for_each(|lun| {
            self.talk().ask(Ask::Probe { disk: disk(lun), from }, PATIENCE).map(drop)
        })
    }

    /// Returns what was seen since the last account.
    ///
    /// # Errors
    /// The generator does not answer, or what it has written cannot be read.
    pub fn account(&self) -> Result<Outcome> {
        let times = self.share.join("out/load");
        paths::remove(&times)?;
        let folder = PathBuf::from(TIMES);
        let account = self.talk().ask(Ask::Account { folder }, ANSWER)?;
        let Account { io_errors, lost_writes, verified, troubles } = account;
        let completions = read(&times)?;
        Ok(Outcome { io_errors, lost_writes, verified, troubles, completions })
    }

    fn talk(&self) -> std::sync::MutexGuard<'_, Talk> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talk {
    fn press(&mut self, disks: Vec<Disk>, pace: Pace) -> Result<()> {
        let depth = (DEPTH * speed::measured().min(1.0)).round().max(2.0) as u32;
        self.ask(Ask::Press { disks: disks.clone(), pace, depth }, PATIENCE)?;
        (self.disks, self.pace) = (disks, pace);
        Ok(())
    }

    /// Asks a question and waits for its answer. Passes over late answers to earlier
    /// questions.
    fn ask(&mut self, ask: Ask, time: Duration) -> Result<Account> {
        self.last_id += 1;
        let id = self.last_id;
        let what = format!("load: {ask:?}");
        let what: String = what.chars().take(60).collect();
        let mut line = serde_json::to_string(&Request { id, ask })
            .map_err(|error| Error::other(error.to_string()))?;
        line.push('\n');
        self.generator.control().input(Some(line));
        let time = speed::stretch(time);
        let deadline = Instant::now() + time;
        loop {
            while let Some(answer) = self.next_answer() {
                if answer.id == id {
                    let failed = |why| Error::other(format!("{what}: {why}"));
                    return answer.answer.map_err(failed);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.generator.next(left) {
                Some(Event::Out(text)) => self.rest.push_str(&text),
                Some(Event::Err(text)) => self.errors.push_str(&text),
                Some(Event::Ended(end)) => {
                    let said = &self.errors;
                    return Err(Error::other(format!("{what}: {end:?}: {said}")));
                }
                None if left.is_zero() => {
                    return Err(Error::Timeout { what, after: time });
                }
                None => {}
            }
        }
    }

    /// Returns the next answer that the generator has printed in full.
    fn next_answer(&mut self) -> Option<Reply> {
        loop {
            let (line, rest) = self.rest.split_once('\n')?;
            let answer = serde_json::from_str(line);
            self.rest = rest.to_owned();
            if let Ok(answer) = answer {
                return Some(answer);
            }
        }
    }
}

impl Outcome {
    /// Adds the counts and words of a later account. The times of its requests are left
    /// out.
    pub fn add(&mut self, after: Self) {
        self.io_errors += after.io_errors;
        self.lost_writes += after.lost_writes;
        self.verified += after.verified;
        self.troubles.extend(after.troubles);
    }

    /// Returns how many errors and losses there were, with their words; nothing where
    /// there were none.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let Self { io_errors, lost_writes, troubles, .. } = self;
        (io_errors + lost_writes > 0).then(|| {
            let words = troubles.join("\n  ");
            format!("{io_errors} I/O errors, {lost_writes} lost writes:\n  {words}")
        })
    }
}

/// Returns a LUN as the generator names it.
fn disk(lun: &Lun) -> Disk {
    Disk { group: lun.group.to_owned(), device: lun.device.clone() }
}

/// Reads when each request has ended, from a file for each disk.
fn read(folder: &Path) -> Result<Completions> {
    let mut completions = Completions::default();
    if !folder.exists() {
        return Ok(completions);
    }
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let group = name.split('.').next().unwrap_or_default();
        completions.add(group, &paths::read(&path)?);
    }
    Ok(completions)
}
