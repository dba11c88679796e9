//! Drain: turn new commands away, and wait until no command is in flight. If a port logs
//! out with a command in flight, tcm_fc hangs forever.
//!
//! If there is an account of the commands of every port, the account decides. Otherwise
//! the drain listens for a quiet moment (`listen.rs`).

use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind, Why};
use crate::action::step::Step;
use crate::fc::VirtualPort;
use crate::kernel::account::Commands;
use crate::kernel::{Instant, Kernel, paths};
use crate::lio::{self, Backstore};
use crate::situation::found::Found;

use super::account::Accounts;
use super::listen::listen;
use super::nftables::Nftables;

/// How long commands are barred at most before the port logs out.
pub(super) const BARRED: Duration = Duration::from_secs(3);
/// The time between two looks at counters.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The time between two looks at an account while a slow command is waited for.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long commands are let in before they are barred again.
const UNBARRED: Duration = Duration::from_secs(10);
/// How long the counts must stand still before aborted commands count as lost.
const BELIEVED: Duration = Duration::from_millis(200);
/// How much of the time the drain may use, in percent. The logout and the removal need
/// the rest.
pub(super) const PERCENT_TO_DRAIN: u32 = 60;

/// Turns new commands away and waits until no command is in flight.
pub(super) fn drain(
    kernel: &dyn Kernel,
    found: &Found,
    accounts: &Accounts,
    nftables: &mut Nftables,
    budget: Budget,
) -> Result<(), Failure> {
    let quiesce = Step::new("quiesce the LUNs", lio::quiesce(&found.export.backstores));
    quiesce.apply(kernel, budget).map_err(|errors| {
        Failure::kernel(quiesce.title, &errors)
            .advise("The port was not logged out: it would hang the kernel")
    })?;
    match count(kernel, found, accounts, nftables, budget)? {
        Counted::Out => Ok(()),
        Counted::Unknown => listen(kernel, found, nftables, budget),
    }
}

/// The result of a drain by account.
enum Counted {
    /// Every command was answered, and no further one can come.
    Out,
    /// No account has all of the commands.
    Unknown,
}

/// Waits until every command in the accounts is answered.
///
/// New commands are barred meanwhile, but only for a moment, because an initiator would
/// give up a command that is barred for long. If a command takes longer, new ones are let
/// in again while it is waited for. Then the bar is set again.
fn count(
    kernel: &dyn Kernel,
    found: &Found,
    accounts: &Accounts,
    nftables: &mut Nftables,
    budget: Budget,
) -> Result<Counted, Failure> {
    let stores = &found.export.backstores;
    let end = budget.first(PERCENT_TO_DRAIN).end;
    let overdue = |open: &[Commands]| {
        let busy = in_flight(kernel, stores).into_iter().chain(in_words(open));
        Err(undrained(busy.collect(), budget.spent(kernel)))
    };
    let Some(mut open) = accounts.look(kernel, nftables, budget) else {
        return Ok(Counted::Unknown);
    };
    // Without a link no command can be answered any longer, and tcm_fc never ends a
    // command without an answer.
    if !open.is_empty() && !found.live().any(VirtualPort::is_linked) {
        return Err(endless(&open, "were in flight when the link was lost"));
    }
    loop {
        // The bar may stay only for a moment, so it is not set while a disk is still
        // busy.
        if !wait_until(kernel, end, || in_flight(kernel, stores).is_empty()) {
            return overdue(&[]);
        }
        if !nftables.bar(kernel, found, budget) {
            return Ok(Counted::Unknown);
        }
        let barred_until = budget.end.min(kernel.now() + BARRED);
        let mut unchanged_since = kernel.now();
        while kernel.now() < barred_until {
            let before = open;
            open = match accounts.look(kernel, nftables, budget) {
                Some(open) if open.is_empty() => return Ok(Counted::Out),
                Some(open) => open,
                None => return Ok(Counted::Unknown),
            };
            if open != before {
                unchanged_since = kernel.now();
            }
            let unchanged = kernel.now().saturating_sub(unchanged_since);
            // Counts that stand still with nothing but aborted commands left will not
            // change any more.
            if unchanged >= BELIEVED && open.iter().all(|its| its.open() <= its.aborted) {
                return Err(endless(&open, "were given up by their initiators"));
            }
            kernel.sleep(LOOK_AGAIN);
        }
        // The kernel lifts the bar soon. Initiators then send again what was barred, and
        // are answered.
        let bar_again = kernel.now() + UNBARRED;
        while !open.is_empty() && kernel.now() < bar_again {
            if kernel.now() >= end {
                return overdue(&open);
            }
            kernel.sleep(ASK_AGAIN);
            open = match accounts.look(kernel, nftables, budget) {
                Some(open) => open,
                None => return Ok(Counted::Unknown),
            };
        }
    }
}

/// Returns the failure of a drain by commands that tcm_fc never ends. It comes at once,
/// because waiting gains nothing, and initiators wait meanwhile.
fn endless(open: &[Commands], why: &str) -> Failure {
    let failure = Failure::new(Kind::Failed, DRAIN, format!("commands {why}"));
    in_words(open).into_iter().fold(failure, Failure::and).advise(FENCE)
}

/// Returns in words how many commands are open, for the first few pairs of initiator and
/// port.
fn in_words(open: &[Commands]) -> Vec<String> {
    const SHOWN: usize = 4;
    let mut words: Vec<_> = open.iter().take(SHOWN).map(Commands::to_string).collect();
    if open.len() > SHOWN {
        words.push(format!("and of {} more", open.len() - SHOWN));
    }
    words
}

const DRAIN: &str = "drain the LUNs";
const FENCE: &str = "The port was not logged out: it would hang the kernel. The node has to \
                     be fenced";

/// Waits until `done` returns `true`, but not beyond `end`. Returns whether it did.
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

/// Returns the failure of a drain whose time is over.
pub(super) fn undrained(busy: Vec<String>, spent: Duration) -> Failure {
    still_in_flight(busy, spent)
        .advise(format!("{FENCE}; see why the disk does not answer"))
}

pub(super) fn still_in_flight(busy: Vec<String>, spent: Duration) -> Failure {
    let spent = spent.as_secs_f32();
    let cause = format!("commands are still in flight after {spent:.1} s");
    let mut failure = Failure::new(Kind::Failed, DRAIN, cause);
    failure.causes.extend(busy.into_iter().map(Why::Words));
    failure
}

/// Returns each disk with commands in flight, in words. A disk that cannot be read is
/// listed too.
pub(super) fn in_flight(kernel: &dyn Kernel, stores: &[Backstore]) -> Vec<String> {
    let busy = stores.iter().filter(|b| b.enabled).filter_map(|backstore| {
        let name = backstore.device.file_name()?.to_string_lossy().into_owned();
        let lun = backstore.path.file_name().unwrap_or_default().to_string_lossy();
        let text = match kernel.read(&paths::block(&name, "inflight")) {
            Ok(text) => text,
            // A disk that has gone has no command in flight.
            Err(error) if error.is_gone() => return None,
            Err(error) => return Some(format!("{error} ({lun})")),
        };
        // The two numbers count reads and writes. Any other text counts as busy.
        let counts: Vec<_> = text.split_whitespace().collect();
        (counts != ["0", "0"]).then(|| format!("{} on {name} ({lun})", counts.join("+")))
    });
    busy.collect()
}
