//! Verified load at the initiator: fio on every LUN, each LUN in rounds of its own.
//!
//! A round goes once over a part of the LUN, in random order, 64 KiB a request, 16 at a
//! time, reads and writes mixed, and then reads back every block that it wrote. fio keeps
//! the seed of each write, so that an acknowledged write that is gone is found even where
//! an older, valid block stands in its place. The rounds are finite because fio checks
//! nothing of a round that is cut short. They follow one another within one fio, whose
//! start costs seconds of an emulated processor; each asks first whether it is wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::channel::Event;
use crate::error::{Error, Result};
use crate::groups::Lun;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::paths;
use crate::pause::Completions;
use crate::wire::End;

/// Rounds of one fio; after the last it is started anew.
const ROUNDS: u32 = 24;
/// How long requests may take to get going, on a machine that is busy with other things.
const GOING: Duration = Duration::from_secs(180);
/// How long a round may take to end.
const END: Duration = Duration::from_secs(180);
/// fio's error for data that is not what was written (EILSEQ).
const NOT_WHAT_WAS_WRITTEN: u64 = 84;

/// How hard the load presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As hard as it can.
    Full,
    /// In bursts, each as deep as the queue: two emulating processors have to do something
    /// beside it that is long, as to boot a node a hundred times.
    Bursts,
}

impl Pace {
    /// MiB of a round; a LUN has several such parts, taken in turn.
    fn round(self) -> u32 {
        if self == Self::Full { 8 } else { 4 }
    }

    /// Requests of each LUN that show that it is served.
    fn flow(self) -> u32 {
        if self == Self::Full { 16 } else { 4 }
    }

    /// Requests of each LUN before anything is done to it: a pause has to begin and to end
    /// within what fio has logged.
    fn steady(self) -> u32 {
        if self == Self::Full { 150 } else { 48 }
    }
}

/// Load that runs.
#[derive(Debug)]
pub struct Load<'a> {
    lab: &'a Lab,
    running: crate::channel::Running,
    luns: Vec<Lun>,
    pace: Pace,
}

/// What became of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Rounds that ended with an I/O error.
    pub io_errors: u64,
    /// Rounds in which a written block was not what had been written.
    pub lost_writes: u64,
    /// Rounds that were checked to their end.
    pub rounds: u64,
    /// When each request ended.
    pub completions: Completions,
}

impl<'a> Load<'a> {
    /// Starts the load and waits until requests complete on every LUN.
    ///
    /// # Errors
    /// It does not get going.
    pub fn start(lab: &'a Lab, luns: &[Lun], pace: Pace) -> Result<Self> {
        let host = lab.host()?;
        paths::write(&lab.folders().share().join("load.fio"), jobs(luns, pace))?;
        let script = "rm -rf /tmp/load; mkdir -p /tmp/load; cd /tmp/load; n=0
                      while [ ! -e stop ]; do
                          n=$((n + 1)); mkdir $n; cd $n
                          nice -n 15 fio --output-format=json --output=result.json /lab/load.fio \
                              2> errors || touch ../stop
                          cd ..
                      done";
        let running = host.spawn(script, None);
        let load = Self { lab, running, luns: luns.to_vec(), pace };
        load.wait_for(host, pace.steady())?;
        Ok(load)
    }

    /// Waits until requests complete on every LUN (again).
    ///
    /// # Errors
    /// One hangs, or its load has ended.
    pub fn wait_flow(&self, host: &Guest) -> Result<()> {
        self.wait_for(host, self.pace.flow())
    }

    fn wait_for(&self, host: &Guest, requests: u32) -> Result<()> {
        let devices: Vec<_> = self.luns.iter().map(|lun| lun.device.as_str()).collect();
        let script = format!(
            "counts() {{
                 for d in {}; do
                     read -r r a b c w rest < /sys/block/$d/stat; echo $((r + w + $1))
                 done
             }}
             set -- $(counts {requests})
             for d in {}; do
                 while read -r r a b c w rest < /sys/block/$d/stat &&
                       [ $((r + w)) -lt $1 ]; do sleep 0.2; done
                 shift
             done",
            devices.join(" "),
            devices.join(" ")
        );
        host.run(&script, GOING).map(drop)
    }

    /// Lets every round come to its end, and reads what fio has to say.
    ///
    /// # Errors
    /// A round does not end, or fio's results cannot be read.
    pub fn stop(self) -> Result<Outcome> {
        let host = self.lab.host()?;
        host.run("touch /tmp/load/stop", Duration::from_secs(20))?;
        let deadline = Instant::now() + END;
        let mut said = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.running.next(left) {
                Some(Event::Ended(End::Exit(0))) => break,
                Some(Event::Ended(end)) => {
                    return Err(Error::other(format!("fio: {end:?}: {said}")));
                }
                Some(Event::Out(text) | Event::Err(text)) => said.push_str(&text),
                None if left.is_zero() => {
                    let what = "fio ends its rounds".to_owned();
                    return Err(Error::Timeout { what, after: END });
                }
                None => {}
            }
        }
        let folder = self.lab.folders().share().join("out/load");
        paths::remove(&folder)?;
        host.run("cp -r /tmp/load /lab/out/", Duration::from_secs(60))?;
        let outcome = read(&folder)?;
        if outcome.rounds + outcome.io_errors + outcome.lost_writes == 0 {
            return Err(Error::other("fio ended no round: nothing was checked"));
        }
        Ok(outcome)
    }
}

/// Writes a little to each LUN, from this mebibyte on, and reads it back.
///
/// # Errors
/// An I/O error, or a block that is not what was written.
pub fn verified(host: &Guest, luns: &[Lun], offset: u64) -> Result<()> {
    if luns.is_empty() {
        return Ok(());
    }
    let mut command = format!(
        "fio --minimal --thread --ioengine=libaio --direct=1 --rw=randwrite --bs=64k \
         --iodepth=8 --offset={offset}m --size=4m --verify=crc32c --do_verify=1"
    );
    for lun in luns {
        command += &format!(" --name={0} --filename=/dev/{0}", lun.device);
    }
    host.run(&command, GOING).map(drop)
}

/// fio's job file: for each LUN a chain of rounds, each of which waits for the one before.
fn jobs(luns: &[Lun], pace: Pace) -> String {
    let size = pace.round();
    let mut jobs = format!(
        "[global]\nthread\nioengine=libaio\ndirect=1\nrw=randrw\nrwmixread=50\nbs=64k\n\
         iodepth=16\nsize={size}m\nverify=crc32c\ndo_verify=1\nrandrepeat=0\n\
         log_unix_epoch=1\ndisable_slat=1\ndisable_clat=1\n\
         exec_prerun=test ! -e /tmp/load/stop\n"
    );
    if pace == Pace::Bursts {
        jobs += "thinktime=2s\nthinktime_blocks=16\n";
    }
    for round in 0..ROUNDS {
        for Lun { group, device, .. } in luns {
            let name = |round| format!("{group}.{device}.{round}");
            let offset = round % 6 * size;
            jobs += &format!(
                "[{}]\nfilename=/dev/{device}\noffset={offset}m\nwrite_lat_log={}\n",
                name(round),
                name(round)
            );
            if round > 0 {
                jobs += &format!("wait_for={}\n", name(round - 1));
            }
        }
    }
    jobs
}

/// Reads the results of every fio.
fn read(folder: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
        Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
    };
    for run in list(folder)?.into_iter().filter(|path| path.is_dir()) {
        for path in list(&run)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == "result.json" {
                outcome.judge(&path)?;
            } else if name.ends_with(".log") {
                let group = name.split('.').next().unwrap_or_default();
                outcome.completions.add(group, &paths::read(&path)?);
            }
        }
    }
    Ok(outcome)
}

impl Outcome {
    /// Adds what fio says of its rounds.
    fn judge(&mut self, result: &Path) -> Result<()> {
        let text = paths::read(result)?;
        // fio may put lines of its own before the document.
        let document = text.find('{').and_then(|at| text.get(at..)).unwrap_or_default();
        let json: Value = serde_json::from_str(document)
            .map_err(|error| Error::other(format!("{}: {error}", result.display())))?;
        let number = |job: &Value, at| job.pointer(at).and_then(Value::as_u64);
        for job in json.pointer("/jobs").and_then(Value::as_array).into_iter().flatten() {
            match number(job, "/error") {
                // A round that was not wanted any more has done nothing.
                Some(0) if number(job, "/write/total_ios") == Some(0) => {}
                Some(0) => self.rounds += 1,
                Some(NOT_WHAT_WAS_WRITTEN) => self.lost_writes += 1,
                _ => self.io_errors += 1,
            }
        }
        Ok(())
    }
}
