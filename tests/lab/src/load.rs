//! Verified load at the initiator: fio on every LUN, each LUN in rounds of its own.
//!
//! A round goes once over a part of the LUN, in random order, 64 KiB a request, 16 at a
//! time, reads and writes mixed, and then reads back every block that it wrote. fio keeps
//! the seed of each write, so that an acknowledged write that is gone is found even where
//! an older, valid block stands in its place. The rounds are finite because fio checks
//! nothing of a round that is cut short.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
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

/// MiB of a round; a LUN has several such parts, taken in turn.
const ROUND: u32 = 16;
/// How long a round may take to end.
const END: Duration = Duration::from_secs(180);
/// fio's error for data that is not what was written (EILSEQ).
const NOT_WHAT_WAS_WRITTEN: u64 = 84;

/// Load that runs.
#[derive(Debug)]
pub struct Load<'a> {
    lab: &'a Lab,
    running: crate::channel::Running,
    luns: Vec<Lun>,
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
    pub fn start(lab: &'a Lab, luns: &[Lun]) -> Result<Self> {
        let host = lab.host()?;
        let running = host.spawn(&script(luns), None);
        let load = Self { lab, running, luns: luns.to_vec() };
        load.wait_flow(host)?;
        Ok(load)
    }

    /// The devices under load.
    #[must_use]
    pub fn luns(&self) -> &[Lun] {
        &self.luns
    }

    /// Waits until every LUN has completed a number of further requests.
    ///
    /// # Errors
    /// One does not: it hangs, or its load has ended.
    pub fn wait_flow(&self, host: &Guest) -> Result<()> {
        let devices: Vec<_> = self.luns.iter().map(|lun| lun.device.as_str()).collect();
        let script = format!(
            "for d in {}; do
                 read -r r1 a b c w1 rest < /sys/block/$d/stat
                 while read -r r2 a b c w2 rest < /sys/block/$d/stat &&
                       [ $((r2 + w2 - r1 - w1)) -lt 16 ]; do sleep 0.2; done
             done",
            devices.join(" ")
        );
        host.run(&script, Duration::from_secs(90)).map(drop)
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
        read(&folder)
    }
}

/// The rounds of all LUNs, as a shell script that ends when it finds a file `stop`.
///
/// A start of fio costs seconds of an emulated processor, so that one process serves
/// more than one LUN; but two of them serve each group, so that the gap between the
/// rounds of one is covered by the other.
fn script(luns: &[Lun]) -> String {
    let mut script = format!(
        "d=/tmp/load; rm -rf $d; mkdir -p $d; cd $d
         rounds() {{
             name=$1; shift; n=0
             while [ ! -e stop ]; do
                 n=$((n + 1)); jobs=
                 for device; do
                     jobs=\"$jobs --name=$device --filename=/dev/$device
                         --write_iops_log=$name.$n.$device\"
                 done
                 fio --thread --ioengine=libaio --direct=1 \\
                     --rw=randrw --rwmixread=50 --bs=64k --iodepth=16 \\
                     --size={ROUND}m --offset=$((n % 3 * {ROUND}))m \\
                     --verify=crc32c --do_verify=1 --randrepeat=0 --log_unix_epoch=1 \\
                     --output-format=json --output=$name.$n.json $jobs \\
                     2> $name.$n.err || break
             done
         }}
        "
    );
    let mut sets: BTreeMap<(&str, u16), String> = BTreeMap::new();
    for Lun { group, number, device } in luns {
        let set = sets.entry((group, number % 2)).or_default();
        *set += &format!(" {device}");
    }
    for ((group, half), devices) in sets {
        script += &format!("rounds {group}.{half}{devices} &\n");
    }
    script + "wait\n"
}

/// Reads the results of all rounds.
fn read(folder: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let group = name.split('.').next().unwrap_or_default().to_owned();
        if name.ends_with(".json") {
            let text = paths::read(&path)?;
            // fio may put a line of its own before the document.
            let document =
                text.find('{').and_then(|at| text.get(at..)).unwrap_or_default();
            let json: Value = serde_json::from_str(document)
                .map_err(|error| Error::other(format!("{}: {error}", path.display())))?;
            let jobs = json.pointer("/jobs").and_then(Value::as_array);
            for job in jobs.into_iter().flatten() {
                match job.get("error").and_then(Value::as_u64) {
                    Some(0) => outcome.rounds += 1,
                    Some(NOT_WHAT_WAS_WRITTEN) => outcome.lost_writes += 1,
                    _ => outcome.io_errors += 1,
                }
            }
        } else if name.ends_with(".log") {
            outcome.completions.add(&group, &paths::read(&path)?);
        }
    }
    outcome.completions.sort();
    Ok(outcome)
}
