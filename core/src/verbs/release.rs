//! Release: let what is in flight end, log out, and leave nothing.
//!
//! The order decides. A port that logs out with a command in flight hangs the kernel for
//! good; a LUN that is unmapped under a live port is an I/O error at the initiator. So:
//! quiesce, drain, log out, unmap.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::budget::Budget;
use crate::fabric;
use crate::failure::{Failure, Kind};
use crate::kernel::reservation::Key;
use crate::kernel::{Chain, ChainResult, Instant, Kernel, KernelError, Op, paths};
use crate::lio::{self, Backstore};
use crate::ownership;
use crate::phases::Phases;
use crate::registry;
use crate::scope::{Found, Scope};
use crate::step::Step;

use super::expedited::expedited;
use super::look;

/// How long nothing may be in flight, and no frame come or go, before a port logs out.
/// What has arrived and is not yet with the disk is in no counter that the kernel shows;
/// even a command that is just being turned away hangs a logout.
const SETTLED: Duration = Duration::from_millis(250);
/// The same where an initiator gave no echo: a WRITE whose data it still has to send is
/// in no counter either.
const SETTLED_UNHEARD: Duration = Duration::from_millis(1500);
/// For a process to be started. Nothing depends on it.
const TO_GET_READY: Duration = Duration::from_secs(1);
/// How long commands may be barred before the port logs out.
const BARRED: Duration = Duration::from_secs(3);
/// How long a port without its link may take to log out; one with it takes a fraction of
/// a second. Where the link was lost under load tcm_fc is wedged, the logout never ends,
/// and every second until the fence is one of the initiators' patience.
const LINKLESS: Duration = Duration::from_secs(4);
/// The step that closes the disks.
pub(super) const CLOSE: &str = "close the disks and give them up";
/// Between two looks at the counters.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How much of the time the drain may use; logging out and unmapping need the rest.
pub(super) const PERCENT_TO_DRAIN: u32 = 60;

/// Stops serving a group on this node. Nothing there is a success.
///
/// # Errors
/// When anything is left: a port, a session, an export, a key. Then only fencing makes
/// sure, and the message says so by its being one.
pub fn release(
    kernel: &dyn Kernel,
    node: &str,
    scope: &Scope,
    budget: Budget,
    phases: &mut Phases,
) -> Result<(), Failure> {
    let barred: Vec<_> =
        scope.entries.iter().filter(|entry| entry.link.is_some()).collect();
    if !barred.is_empty() {
        let ready = Step::new("get ready for a bar", vec![vec![Op::ReadyBar]]);
        let end = budget.end.min(kernel.now() + TO_GET_READY);
        if let Err(errors) = ready.apply(kernel, Budget { end, ..budget }) {
            log::warn!("{}", told(&errors));
        }
    }
    let found = look(kernel, scope)?;
    let disks = scope.disks(kernel, &found.export);
    phases.end(kernel, "look");
    if !found.vports.is_empty() {
        drain(kernel, &found, budget)?;
        phases.end(kernel, "drain");
        log_out(kernel, scope, &found, budget)?;
        phases.end(kernel, "logout");
    }

    // From here on nothing is skipped because something before it failed.
    let mut left: Vec<Failure> = Vec::new();
    let lift = barred.iter().map(|entry| vec![Op::LiftBar(entry.wwpn)]);
    let [(title, mut acls), ports @ ..] = lio::remove_ports(&found.export);
    // Lifting the bar is a process of its own, and in nobody's way.
    acls.extend(lift);
    expedited(kernel, scope, budget, || {
        let mut step = |title, chains| {
            if let Err(errors) = Step::new(title, chains).apply(kernel, budget) {
                left.push(Failure::kernel(title, &errors));
            }
        };
        step(title, acls);
        ports.into_iter().for_each(|(title, chains)| step(title, chains));
        phases.end(kernel, "remove");
        let key = ownership::key_of(node);
        let (closed, given_up) = disown(kernel, &found, disks, key, budget);
        step("remove the backstores' directory", lio::remove_hbas(&found.export));
        for (title, errors) in [(CLOSE, closed), ("give up the disks", given_up)] {
            left.extend((!errors.is_empty()).then(|| Failure::kernel(title, &errors)));
        }
    });
    let still = look(kernel, scope)?;
    phases.end(kernel, "disown");

    if left.is_empty() && !still.is_empty() {
        let Found { vports, export } = still;
        let names = vports.into_iter().map(|port| port.vport);
        let trees = export.trees.into_iter().map(|tree| tree.path.display().to_string());
        let hbas = export.hbas.into_iter().map(|path| path.display().to_string());
        let names: Vec<_> = names.chain(trees).chain(hbas).collect();
        let cause = format!("still there: {}", names.join(", "));
        left.push(Failure::new(Kind::Failed, "look once more", cause));
    }
    if let Some(first) = left.first() {
        let further = left.iter().skip(1).map(Failure::to_string);
        return Err(further.fold(first.clone(), Failure::and));
    }
    for wwpn in &scope.wwpns {
        registry::forget(kernel, *wwpn)
            .map_err(|error| Failure::kernel("forget the virtual port", &[error]))?;
    }
    Ok(())
}

/// Closes the disks and gives them up; says what could not be closed, and which disks
/// carry our key still.
fn disown(
    kernel: &dyn Kernel,
    found: &Found,
    disks: Vec<PathBuf>,
    key: Key,
    budget: Budget,
) -> (Vec<KernelError>, Vec<KernelError>) {
    if found.is_empty() {
        // Of disks that nothing here served, those that carry our key all the same.
        let (ours, mut errors) = ownership::owned(kernel, &disks, key, budget);
        errors.extend(ownership::give_up(kernel, &ours, key, budget));
        return (Vec::new(), errors);
    }
    let step = Step::new(CLOSE, closing(&found.export.backstores, &disks, key));
    let mut results = step.run(kernel, budget);
    let others = results.split_off(disks.len().min(results.len()));
    let mut open: Vec<_> =
        others.into_iter().filter_map(|result| result.failed).collect();
    let (mut closed, mut left) = (Vec::new(), Vec::new());
    for ((disk, chain), result) in disks.into_iter().zip(&step.chains).zip(results) {
        match (chain.get(result.done.len()), result.failed) {
            (Some(Op::RemoveDir(_)), Some(error)) => open.push(error),
            (_, failed) => {
                closed.push(disk);
                left.push(ChainResult { failed, ..result });
            }
        }
    }
    (open, ownership::given_up(kernel, &closed, left, key, budget))
}

/// What gives up some disks, each once it is closed: one that could not be closed stays
/// ours, without an owner it is open to all. Then what closes the backstores of others.
pub(super) fn closing(stores: &[Backstore], disks: &[PathBuf], key: Key) -> Vec<Chain> {
    let mut close: BTreeMap<&PathBuf, Chain> = BTreeMap::new();
    for store in stores {
        close.entry(&store.device).or_default().extend(lio::close(store));
    }
    let of = |disk: &PathBuf| {
        let mut chain = close.remove(disk).unwrap_or_default();
        chain.extend(ownership::leave(disk, key));
        chain
    };
    let mut chains: Vec<Chain> = disks.iter().map(of).collect();
    chains.extend(close.into_values());
    chains
}

/// Turns new commands away and waits until none is in flight.
fn drain(kernel: &dyn Kernel, found: &Found, budget: Budget) -> Result<(), Failure> {
    let stores = &found.export.backstores;
    let quiesce = Step::new("quiesce the LUNs", lio::quiesce(stores));
    quiesce.apply(kernel, budget).map_err(|errors| {
        Failure::kernel(quiesce.title, &errors)
            .advise("The port was not logged out: it would hang the kernel")
    })?;
    let end = budget.first(PERCENT_TO_DRAIN).end;
    let settled = if heard(kernel, found, budget) { SETTLED } else { SETTLED_UNHEARD };
    loop {
        if !wait_until(kernel, end, || in_flight(kernel, stores).is_empty()) {
            return Err(undrained(in_flight(kernel, stores), budget.spent(kernel)));
        }
        // The bar last, and for a moment only: the kernel lifts it by itself after some
        // seconds, before an initiator takes a command that it sent for lost.
        bar(kernel, found, budget);
        let barred_until = kernel.now() + BARRED;
        match settles(kernel, found, settled, barred_until.min(budget.end)) {
            Rest::Quiet => return Ok(()),
            _ if budget.is_over(kernel) => {
                let why = "no time was left to see whether commands still come";
                return Err(undrained(vec![why.into()], budget.spent(kernel)));
            }
            // One that was accepted has come to a disk that is slow: from the start.
            Rest::Busy => {}
            // An initiator that never rests, and no bar: it is no more of a risk to log
            // out than to have the node fenced.
            Rest::Talk => {
                log::warn!("commands still come; the port is logged out regardless");
                return Ok(());
            }
        }
    }
}

/// How a port is that was waited for.
enum Rest {
    /// Nothing is in flight, and no frame has come or gone for long enough.
    Quiet,
    /// Frames come and go, and nothing is in flight.
    Talk,
    /// Not long ago commands were in flight.
    Busy,
}

/// Waits until all has been quiet for so long.
fn settles(kernel: &dyn Kernel, found: &Found, settled: Duration, end: Instant) -> Rest {
    let stores = &found.export.backstores;
    let (mut idle_since, mut quiet_since) = (kernel.now(), kernel.now());
    let mut frames = exchanged(kernel, found);
    let quiet = wait_until(kernel, end, || {
        let (before, now) = (frames, kernel.now());
        frames = exchanged(kernel, found);
        if !in_flight(kernel, stores).is_empty() {
            idle_since = now;
        }
        if frames != before {
            quiet_since = now;
        }
        now.saturating_sub(quiet_since.max(idle_since)) >= settled
    });
    match quiet {
        true => Rest::Quiet,
        false if kernel.now().saturating_sub(idle_since) >= settled => Rest::Talk,
        false => Rest::Busy,
    }
}

/// Looks again and again until `done`, or `end`; says which it was.
pub(super) fn wait_until(
    kernel: &dyn Kernel,
    end: Instant,
    mut done: impl FnMut() -> bool,
) -> bool {
    loop {
        if done() {
            return true;
        }
        if kernel.now() >= end {
            return false;
        }
        kernel.sleep(LOOK_AGAIN);
    }
}

/// Lets no further command in, where that can be done. Where it cannot, what follows
/// waits for a quiet moment.
fn bar(kernel: &dyn Kernel, found: &Found, budget: Budget) {
    let ports = found.vports.iter();
    let bars = ports.filter_map(|port| fabric::bar(kernel, port.wwpn));
    let step = Step::new("bar new commands", bars.map(|bar| vec![bar]).collect());
    // Again, where it fails: another's change of nftables may have come between.
    let set = step.apply(kernel, budget).or_else(|_| step.apply(kernel, budget));
    if let Err(errors) = set {
        log::warn!("new commands cannot be barred: {}", told(&errors));
    }
}

/// Errors that nothing fails for, in words.
pub(super) fn told(errors: &[KernelError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The failure to drain.
fn undrained(busy: Vec<String>, spent: Duration) -> Failure {
    still_in_flight(busy, spent).advise(
        "The port was not logged out: it would hang the kernel. The node has to be \
         fenced; see why the disk does not answer",
    )
}

pub(super) fn still_in_flight(busy: Vec<String>, spent: Duration) -> Failure {
    let spent = spent.as_secs_f32();
    let cause = format!("commands are still in flight after {spent:.1} s");
    let mut failure = Failure::new(Kind::Failed, "drain the LUNs", cause);
    failure.causes.extend(busy);
    failure
}

/// How many frames the group's ports have received and sent.
fn exchanged(kernel: &dyn Kernel, found: &Found) -> u64 {
    let ports = found.vports.iter();
    let frames = ports.filter_map(|port| fabric::frames(kernel, port.wwpn));
    frames.fold(0, u64::wrapping_add)
}

/// Asks every initiator for an echo. Frames between two ports keep their order: with the
/// answer everything is here that an initiator had to send for commands that were
/// accepted before, above all the data of its WRITEs, however slow it may be.
fn heard(kernel: &dyn Kernel, found: &Found, budget: Budget) -> bool {
    let echoes = found.export.trees.iter().flat_map(|tree| {
        let initiators: Vec<_> =
            tree.acls.iter().filter_map(lio::Acl::initiator).collect();
        fabric::echoes(kernel, tree.wwpn, &initiators)
    });
    let step = Step::new("hear every initiator", echoes.map(|echo| vec![echo]).collect());
    match step.apply(kernel, budget.first(PERCENT_TO_DRAIN)) {
        Ok(()) => true,
        Err(errors) => {
            log::warn!("no echo: {}; waiting longer instead", told(&errors));
            false
        }
    }
}

/// Each disk with commands in flight, in words.
pub(super) fn in_flight(kernel: &dyn Kernel, stores: &[Backstore]) -> Vec<String> {
    let busy = stores.iter().filter(|b| b.enabled).filter_map(|backstore| {
        let name = backstore.device.file_name()?.to_string_lossy().into_owned();
        let lun = backstore.path.file_name().unwrap_or_default().to_string_lossy();
        let text = match kernel.read(&paths::block(&name, "inflight")) {
            Ok(text) => text,
            // A disk that is gone has ended what it had.
            Err(error) if error.is_gone() => return None,
            Err(error) => return Some(format!("{error} ({lun})")),
        };
        // Reads and writes; anything but two zeros is no rest.
        let counts: Vec<_> = text.split_whitespace().collect();
        (counts != ["0", "0"]).then(|| format!("{} on {name} ({lun})", counts.join("+")))
    });
    busy.collect()
}

/// Logs every port out. An error means that one may be there still: then nothing may be
/// unmapped under it.
fn log_out(
    kernel: &dyn Kernel,
    scope: &Scope,
    found: &Found,
    budget: Budget,
) -> Result<(), Failure> {
    let delete = found.vports.iter().map(|port| vec![fabric::delete(port)]).collect();
    let step = Step::new("log the virtual port out", delete);
    let linked = found.vports.iter().all(|port| port.state == "Active");
    let patience = if linked { budget.end } else { kernel.now() + LINKLESS };
    let answer = step.apply(kernel, Budget { end: budget.end.min(patience), ..budget });
    let mut there = fabric::virtual_ports(kernel)
        .map_err(|error| Failure::kernel("look for the virtual port", &[error]))?;
    there.retain(|port| scope.wwpns.contains(&port.wwpn));
    match answer {
        _ if there.is_empty() && !is_late(&answer) => Ok(()),
        Ok(()) => {
            let names: Vec<_> = there.into_iter().map(|port| port.vport).collect();
            let cause = format!("still there: {}", names.join(", "));
            Err(Failure::new(Kind::Failed, step.title, cause))
        }
        Err(errors) if linked => Err(Failure::kernel(step.title, &errors).advise(
            "Nothing was unmapped under it. If the kernel does not answer, only fencing \
             gets this node back",
        )),
        Err(errors) => Err(Failure::kernel(step.title, &errors).advise(
            "It had lost its link, which under load wedges tcm_fc (a kernel fault): only \
             fencing gets this node back",
        )),
    }
}

/// One that the kernel is still busy deleting is not gone, even if it is not listed.
fn is_late(answer: &Result<(), Vec<KernelError>>) -> bool {
    answer.as_ref().is_err_and(|errors| errors.iter().any(|error| error.is_late()))
}
