//! Calls that were recorded on a real kernel are made to the simulated one, which has to
//! give the same answers.
//!
//! The recordings are the files in `tests/recordings`, one for each node, made on a guest
//! with the agent's `UNDERSTUDY_RECORD=FILE` (a line for each call, see `Recorded`). A
//! recording begins where the node serves nothing yet; nobody else takes the disks
//! meanwhile. What happened to the HBA between two calls is a line that begins with `#`.
//! Recordings of qla2xxx were made with the emulated HBA, whose firmware is ours.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use common::Node;
use understudy_core::kernel::reservation::Reservation;
use understudy_core::kernel::{
    Around, Cause, Chain, ChainResult, Done, Instant, Kernel, Op, Recorded, paths,
};
use understudy_core::verbs::{release, takeover};
use understudy_core::wwn::Wwn;
use understudy_sim::{Hba, San, SharedSan, SimKernel};

/// The physical port of a simulated node.
const PHYSICAL: &str = "/sys/class/fc_host/host2";

/// The host of the first virtual port that a simulated node makes.
const NEW: &str = "host3";

/// Something that happens to the recorded node's HBA.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The chip is reset.
    Reset,
    /// The fabric refuses the next login of a virtual port.
    Refuse,
}

/// What follows in a recording after an event, or at its beginning.
struct Part {
    event: Option<Event>,
    calls: Vec<Recorded>,
}

/// Parses a recording.
fn parse(text: &str) -> Vec<Part> {
    let text = format!("\n{text}");
    let part = |(number, text): (usize, &str)| {
        let (word, lines) = text.split_once('\n').unwrap_or((text, ""));
        let event = match word.trim() {
            "" if number == 0 => None,
            "the chip is reset" => Some(Event::Reset),
            "the next login is refused" => Some(Event::Refuse),
            other => panic!("what happened? {other}"),
        };
        Part { event, calls: Recorded::parse(lines).unwrap() }
    };
    text.split("\n#").enumerate().map(part).collect()
}

/// Returns a simulated node in the state in which the recorded one was before its
/// recording.
fn prepare(recording: &[&Recorded]) -> (SharedSan, SimKernel<'static>) {
    let ops = || recording.iter().flat_map(|call| &call.chains).flatten();
    let disks: BTreeSet<String> = ops().filter_map(disk).collect();
    let disks: Vec<_> = disks.into_iter().collect();
    let initiators: BTreeSet<Wwn> = ops().filter_map(initiator).collect();
    let initiators: Vec<_> = initiators.into_iter().collect();
    let mut san = San::new(&disks, &initiators);
    if ops().any(|op| matches!(op, Op::MakeDir(path) if is_qla2xxx(path))) {
        san.hba = Hba::Qla2xxx;
    }
    let san = Rc::new(RefCell::new(san));
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
                match done {
                    Done::Unchanged if is_qla2xxx(path) => park(&kernel, path),
                    Done::Unchanged => drop(kernel.run(&[vec![op.clone()]], until)),
                    _ => {}
                }
            }
            // Kernels differ in the attributes that they have of a disk.
            (Op::WriteIfAny { path, .. }, Done::Changed)
                if path.starts_with(paths::BLOCK) =>
            {
                kernel.set(path.to_str().unwrap(), "as it was\n");
            }
            (Op::ReadReservation(disk), Done::Reservation(now)) => {
                owned.entry(disk.clone()).or_insert_with(|| now.clone());
            }
            // What is read later is this node's.
            (Op::Join { disk, .. } | Op::Register { disk, .. }, _) => {
                owned.entry(disk.clone()).or_default();
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
    (san, kernel)
}

/// Returns whether a directory is the target of a port of qla2xxx.
fn is_qla2xxx(path: &Path) -> bool {
    path.parent() == Some(&paths::lio_fabric("qla2xxx"))
}

/// Leaves a port of qla2xxx as a release does: logged out, with its empty target.
fn park(kernel: &SimKernel, target: &Path) {
    let wwpn: Wwn = target.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let names = format!("{0}:{0}", wwpn.hex());
    let vport =
        format!("vport-2:0-{}", kernel.list(Path::new(paths::FC_VPORTS)).unwrap().len());
    let tpg = target.join("tpgt_1");
    let write = |path: PathBuf, text: &str| Op::Write { path, text: text.into() };
    let ops = vec![
        write(Path::new(PHYSICAL).join("vport_create"), &names),
        Op::MakeDir(target.into()),
        Op::MakeDir(tpg.clone()),
        write(tpg.join("attrib/generate_node_acls"), "0"),
        write(tpg.join("enable"), "1"),
        write(paths::fc_vport(&vport, "vport_disable"), "1"),
    ];
    let until = kernel.now() + Duration::from_secs(60);
    let results = kernel.run(&[ops], until);
    assert!(results.iter().all(|result| result.failed.is_none()), "{results:?}");
}

/// Returns every operation that was carried out, with its answer.
fn answered<'a>(recording: &[&'a Recorded]) -> impl Iterator<Item = (&'a Op, &'a Done)> {
    let calls = recording.iter().copied();
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
        Op::Write { path, text } => {
            Op::Write { path: simulated(path), text: text.clone() }
        }
        Op::WriteIfAny { path, text } => {
            Op::WriteIfAny { path: simulated(path), text: text.clone() }
        }
        other => other.clone(),
    });
    each.collect()
}

/// Returns the simulated node's name for a file: the number of the physical port is in
/// the names of all ports, and a new port's host has its own.
fn simulated(path: &Path) -> PathBuf {
    if path.starts_with(paths::FC_HOSTS) {
        return Path::new(PHYSICAL).join(path.file_name().unwrap());
    }
    if path.starts_with("/sys/class/scsi_host") {
        return paths::scsi_host(NEW, path.file_name().unwrap().to_str().unwrap());
    }
    let Ok(below) = path.strip_prefix(paths::FC_VPORTS) else { return path.to_owned() };
    let (_, number) = below.to_str().unwrap().split_once(':').unwrap();
    Path::new(paths::FC_VPORTS).join(format!("vport-2:{number}"))
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
fn differences(recording: &[Part]) -> Vec<String> {
    let calls: Vec<_> = recording.iter().flat_map(|part| &part.calls).collect();
    let (san, kernel) = prepare(&calls);
    let Some(first) = calls.first() else { return vec!["it is empty".into()] };
    let begun = kernel.now();
    let mut different = Vec::new();
    for part in recording {
        match part.event {
            Some(Event::Reset) => san.borrow_mut().reset_chip(0),
            Some(Event::Refuse) => refuse(&san, &calls),
            None => {}
        }
        for call in &part.calls {
            let at = begun + call.begun.saturating_sub(first.begun);
            kernel.sleep(at.saturating_sub(kernel.now()));
            different.extend(difference(&kernel, call));
        }
    }
    different
}

/// Has the fabric refuse the next login of each recorded virtual port, and no later one.
fn refuse(san: &SharedSan, calls: &[&Recorded]) {
    let ports = answered(calls).filter_map(|(op, _)| match op {
        Op::MakeDir(path) if is_qla2xxx(path) => path.file_name()?.to_str()?.parse().ok(),
        _ => None,
    });
    ports.for_each(|wwpn| san.borrow_mut().deny(wwpn, Duration::from_secs(4)));
}

/// Returns every answer to a call in which the simulated kernel differs from the recorded
/// one.
fn difference(kernel: &SimKernel, call: &Recorded) -> Vec<String> {
    let calls = call.chains.iter().map(translate).zip(&call.results);
    let calls: Vec<_> = calls.filter(|(chain, _)| !chain.is_empty()).collect();
    let chains: Vec<_> = calls.iter().map(|(chain, _)| chain.clone()).collect();
    let until = kernel.now() + Duration::from_secs(60);
    let simulated = kernel.run(&chains, until);
    let pairs = calls.iter().zip(&simulated);
    let differ = pairs.filter_map(|((chain, real), simulated)| {
        let (real, simulated) = (essence(real), essence(simulated));
        let asked: Vec<_> = chain.iter().map(Op::to_string).collect();
        let words = || {
            let at = call.begun.as_secs_f32();
            format!("at {at} s: {asked:?}: {real:?}, not {simulated:?}")
        };
        (real != simulated).then(words)
    });
    differ.collect()
}

#[test]
fn the_simulated_kernel_answers_as_the_recorded_one() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let files = std::fs::read_dir(dir).into_iter().flatten();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "jsonl"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        let different = differences(&parse(&text));
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

/// Returns a recording of a takeover, another one and a release.
fn record(node: &Node) -> Vec<Part> {
    let noted = Noted { kernel: &node.kernel, calls: RefCell::default() };
    for _ in 0..2 {
        takeover(&mut node.action_on(&noted), &node.scope_with(&[])).unwrap();
        noted.sleep(Duration::from_secs(1));
    }
    release(&mut node.action_on(&noted), &node.scope_with(&[])).unwrap();
    vec![Part { event: None, calls: noted.calls.into_inner() }]
}

/// A takeover from a partner that died and a release can be replayed from their recording
/// alone. On qla2xxx the next recording begins with parked ports.
#[test]
fn a_recording_says_all_that_a_replay_needs() {
    let setup = || common::Setup::new(3, 2);
    for (setup, count) in [(setup(), 1), (setup().on_qla2xxx(), 2)] {
        let (a, b) = common::pair(&setup);
        a.start().unwrap();
        a.san.borrow_mut().crash(a.kernel.node());
        b.kernel.set("/sys/kernel/config/target/dbroot", "/var/target\n");
        b.kernel.set_dir(Path::new("/var"));
        for _ in 0..count {
            let calls = record(&b);
            assert!(calls[0].calls.len() > 15, "{}", calls[0].calls.len());
            assert_eq!(differences(&calls), [""; 0]);
        }
    }
}

/// Two recordings made by hand: of a kernel that answers as it should, and of one that
/// does not.
#[test]
fn a_kernel_that_answers_otherwise_is_found_out() {
    let core = Path::new("/sys/kernel/config/target/core/iblock_1");
    let chain = vec![Op::MakeDir(core.into()), Op::RemoveDir(core.into())];
    let done = vec![Done::Changed, Done::Changed];
    let call = |done| Part {
        event: None,
        calls: vec![Recorded {
            begun: Duration::from_secs(7),
            chains: vec![chain.clone()],
            results: vec![ChainResult { done, failed: None }],
        }],
    };
    assert_eq!(differences(&[call(done)]), [""; 0]);
    let other = differences(&[call(vec![Done::Changed, Done::Unchanged])]);
    let [difference] = other.as_slice() else { panic!("{other:?}") };
    assert!(
        difference.contains("at 7 s") && difference.contains("rmdir"),
        "{difference}"
    );
}
