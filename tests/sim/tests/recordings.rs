//! Calls that were recorded on a real kernel are made to the simulated one, which has to
//! give the same answers.
//!
//! The recordings are the files in `tests/recordings`, one for each node, made on a guest
//! with the agent's `UNDERSTUDY_RECORD=FILE` (a line for each call, see `Recorded`). A
//! recording begins where the node serves nothing yet; nobody else takes the disks
//! meanwhile.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use understudy_core::kernel::reservation::Reservation;
use understudy_core::kernel::{
    Around, Cause, Chain, ChainResult, Done, Instant, Kernel, Op, Recorded,
};
use understudy_core::verbs::{release, takeover};
use understudy_core::wwn::Wwn;
use understudy_sim::{San, SimKernel};

/// The physical port of a simulated node.
const PHYSICAL: &str = "/sys/class/fc_host/host2";

/// Returns a simulated node in the state in which the recorded one was before its
/// recording.
fn prepare(recording: &[Recorded]) -> SimKernel<'static> {
    let ops = || recording.iter().flat_map(|call| &call.chains).flatten();
    let disks: BTreeSet<String> = ops().filter_map(disk).collect();
    let disks: Vec<_> = disks.into_iter().collect();
    let initiators: BTreeSet<Wwn> = ops().filter_map(initiator).collect();
    let initiators: Vec<_> = initiators.into_iter().collect();
    let san = Rc::new(RefCell::new(San::new(&disks, &initiators)));
    let (kernel, other) = (SimKernel::boot(&san), SimKernel::boot(&san));
    let until = other.now() + Duration::from_secs(60);
    let mut seen = BTreeSet::new();
    let mut owned = BTreeMap::new();
    for (op, done) in answered(recording) {
        match (op, done) {
            (Op::MakeDir(path), done) if seen.insert(path.clone()) => {
                // A directory that nobody made was there before, and so was one that was
                // found.
                let above = path.parent().filter(|above| !seen.contains(*above));
                if let Some(above) = above.filter(|above| !above.starts_with("/sys")) {
                    kernel.set_dir(above);
                }
                if *done == Done::Unchanged {
                    kernel.run(&[vec![op.clone()]], until);
                }
            }
            (Op::ReadReservation(disk), Done::Reservation(now)) => {
                owned.entry(disk.clone()).or_insert_with(|| now.clone());
            }
            _ => {}
        }
    }
    for (disk, Reservation { holder, .. }) in owned {
        let Some(key) = holder.map(|holder| holder.key) else { continue };
        let (register, reserve) =
            (Op::Register { disk: disk.clone(), key }, Op::Reserve { disk, key });
        other.run(&[vec![register, reserve]], until);
    }
    kernel
}

/// Returns every operation that was carried out, with its answer.
fn answered(recording: &[Recorded]) -> impl Iterator<Item = (&Op, &Done)> {
    let calls = recording.iter();
    let chains = calls.flat_map(|call| call.chains.iter().zip(&call.results));
    chains.flat_map(|(chain, result)| chain.iter().zip(&result.done))
}

fn disk(op: &Op) -> Option<String> {
    let path = match op {
        Op::ReadReservation(disk) | Op::ReadDisk(disk) | Op::Rescan(disk) => {
            disk.as_path()
        }
        Op::Write { text, .. } => Path::new(text.strip_prefix("udev_path=")?),
        _ => return None,
    };
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn initiator(op: &Op) -> Option<Wwn> {
    let Op::MakeDir(path) = op else { return None };
    let acl = path.parent()?.ends_with("acls").then(|| path.file_name())??;
    acl.to_str()?.parse().ok()
}

/// Translates a recorded chain for the simulated node, whose ports have other numbers. An
/// ECHO is left out: it names a remote port by such numbers, and changes nothing.
fn translate(chain: &Chain) -> Chain {
    let ops = chain.iter().filter(|op| !matches!(op, Op::Echo(_)));
    let each = ops.map(|op| match op {
        Op::Write { path, text } if path.starts_with("/sys/class/fc_host") => {
            let path = Path::new(PHYSICAL).join(path.file_name().unwrap());
            Op::Write { path, text: text.clone() }
        }
        other => other.clone(),
    });
    each.collect()
}

/// Returns the part of an answer that does not depend on a driver's wording.
fn essence(result: &ChainResult) -> (Vec<Done>, Option<String>) {
    let sorted = |done: &Done| match done {
        Done::Reservation(Reservation { keys, holder, host_key }) => {
            let mut keys = keys.clone();
            keys.sort();
            Done::Reservation(Reservation { keys, holder: *holder, host_key: *host_key })
        }
        other => other.clone(),
    };
    let cause = result.failed.as_ref().map(|error| match &error.cause {
        Cause::Device(_) => "refused by the device".into(),
        Cause::LeadsTo(_) => "leads elsewhere".into(),
        other => other.to_string(),
    });
    (result.done.iter().map(sorted).collect(), cause)
}

/// Returns every answer in which the simulated kernel differs from the recorded one.
fn differences(recording: &[Recorded]) -> Vec<String> {
    let kernel = prepare(recording);
    let Some(first) = recording.first() else { return vec!["it is empty".into()] };
    let begun = kernel.now();
    let mut different = Vec::new();
    for (line, call) in recording.iter().enumerate() {
        let at = begun + call.begun.saturating_sub(first.begun);
        kernel.sleep(at.saturating_sub(kernel.now()));
        let calls = call.chains.iter().map(translate).zip(&call.results);
        let calls: Vec<_> = calls.filter(|(chain, _)| !chain.is_empty()).collect();
        let chains: Vec<_> = calls.iter().map(|(chain, _)| chain.clone()).collect();
        let until = kernel.now() + Duration::from_secs(60);
        for ((chain, real), simulated) in calls.iter().zip(kernel.run(&chains, until)) {
            let (real, simulated) = (essence(real), essence(&simulated));
            if real != simulated {
                let asked: Vec<_> = chain.iter().map(Op::to_string).collect();
                let line = line + 1;
                different
                    .push(format!("line {line}: {asked:?}: {real:?}, not {simulated:?}"));
            }
        }
    }
    different
}

#[test]
fn the_simulated_kernel_answers_as_the_recorded_one() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let files = std::fs::read_dir(dir).into_iter().flatten();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "jsonl"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        let recording = Recorded::parse(&text).unwrap();
        let different = differences(&recording);
        assert!(different.is_empty(), "{}:\n{}", file.display(), different.join("\n"));
    }
}

/// A kernel whose calls are noted.
struct Noted<'a> {
    kernel: &'a SimKernel<'static>,
    calls: RefCell<Vec<Recorded>>,
}

impl Around for Noted<'_> {
    fn inner(&self) -> &dyn Kernel {
        self.kernel
    }

    fn run_around(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        let (begun, chains) = (self.now(), chains.to_vec());
        let results = self.kernel.run(&chains, until);
        let call = Recorded { begun, chains, results: results.clone() };
        self.calls.borrow_mut().push(call);
        results
    }
}

/// A takeover from a partner that died and a release can be replayed from their recording
/// alone.
#[test]
fn a_recording_says_all_that_a_replay_needs() {
    let (a, b) = common::pair(&common::Setup::new(3, 2));
    a.start().unwrap();
    a.san.borrow_mut().crash(a.kernel.node());
    b.kernel.set("/sys/kernel/config/target/dbroot", "/var/target\n");
    b.kernel.set_dir(Path::new("/var"));
    let noted = Noted { kernel: &b.kernel, calls: RefCell::default() };
    for _ in 0..2 {
        takeover(&mut b.action_on(&noted), &b.scope_with(&[])).unwrap();
        noted.sleep(Duration::from_secs(1));
    }
    release(&mut b.action_on(&noted), &b.scope_with(&[])).unwrap();
    let calls = noted.calls.into_inner();
    assert!(calls.len() > 15, "{}", calls.len());
    assert_eq!(differences(&calls), [""; 0]);
}

/// Two recordings made by hand: of a kernel that answers as it should, and of one that
/// does not.
#[test]
fn a_kernel_that_answers_otherwise_is_found_out() {
    let core = Path::new("/sys/kernel/config/target/core/iblock_1");
    let chain = vec![Op::MakeDir(core.into()), Op::RemoveDir(core.into())];
    let done = vec![Done::Changed, Done::Changed];
    let call = |done| Recorded {
        begun: Duration::from_secs(7),
        chains: vec![chain.clone()],
        results: vec![ChainResult { done, failed: None }],
    };
    assert_eq!(differences(&[call(done)]), [""; 0]);
    let other = differences(&[call(vec![Done::Changed, Done::Unchanged])]);
    let [difference] = other.as_slice() else { panic!("{other:?}") };
    assert!(
        difference.contains("line 1") && difference.contains("rmdir"),
        "{difference}"
    );
}
