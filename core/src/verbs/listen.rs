//! Listening: how a drain finds that nothing is in flight when it has no account of the
//! commands. No counter shows all kinds of commands, so each kind has its own means.
//! ARCHITECTURE.md lists them.
//!
//! On qla2xxx `inflight` works as elsewhere. An ECHO goes through the driver's own bsg
//! (`qla24xx_bsg_request`), to ports that the driver knows as remote ports. A group's port
//! knows none, because it is a target only. Frames are counted for the whole HBA
//! (`qla2x00_get_fc_host_stats`), so commands are counted instead, by LIO for each LUN.
//! There is no bar. A command that LIO has when its session ends hangs the logout: the
//! driver drops its answer and never frees it (`qlt_xmit_response`). The driver ends those
//! that it has not yet passed to LIO.

use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::failure::Failure;
use crate::action::step::Step;
use crate::fc::{self, VirtualPort};
use crate::kernel::{Chain, Instant, Kernel, KernelError};
use crate::lio::{self, QUIET};
use crate::saved_reservations;
use crate::situation::found::Found;

use super::drain::{BARRED, PERCENT_TO_DRAIN, in_flight, undrained, wait_until};
use super::nftables::Nftables;
use super::told;

/// How long a port must be quiet if an initiator gave no echo. Such an initiator may
/// still have to send the data of a WRITE, which is in no counter either.
const SETTLED_UNHEARD: Duration = Duration::from_millis(1500);
/// Within which time a keeper answers that has nothing to write.
const PROMPT: Duration = Duration::from_millis(100);

/// Waits for a moment in which nothing is in flight and no command comes.
pub(super) fn listen(
    kernel: &dyn Kernel,
    found: &Found,
    nftables: &mut Nftables,
    budget: Budget,
) -> Result<(), Failure> {
    let stores = &found.export.backstores;
    let end = budget.first(PERCENT_TO_DRAIN).end;
    let settled = match heard(kernel, found, budget) {
        true => quiet(found),
        false => SETTLED_UNHEARD,
    };
    loop {
        if !wait_until(kernel, end, || in_flight(kernel, stores).is_empty()) {
            return Err(undrained(in_flight(kernel, stores), budget.spent(kernel)));
        }
        keepers_answer(kernel, found, budget, end)?;
        // The bar comes last and lasts only a moment. The kernel lifts it by itself after
        // some seconds, before an initiator gives up a command that it sent.
        nftables.bar(kernel, found, budget);
        let barred_until = kernel.now() + BARRED;
        match settles(kernel, found, settled, barred_until.min(budget.end)) {
            // What had just come when the keeper answered waits for it now.
            Rest::Quiet if !keepers_answer(kernel, found, budget, end)? => {}
            Rest::Quiet => return Ok(()),
            _ if budget.is_over(kernel) => {
                let why = "no time was left to see whether commands still come";
                return Err(undrained(vec![why.into()], budget.spent(kernel)));
            }
            // A command that was accepted earlier has reached a slow disk, so everything
            // begins again.
            Rest::Busy => {}
            // An initiator never pauses, and there is no bar. Logging out is no greater
            // risk than letting the node be fenced.
            Rest::Talk => {
                log::warn!("commands still come; the port is logged out regardless");
                return Ok(());
            }
        }
    }
}

/// Returns how long the group's ports must be quiet before they log out, where every
/// initiator that could be asked gave an echo.
fn quiet(found: &Found) -> Duration {
    let each = found.vports.iter().map(|port| found.driver(port.wwpn).quiet());
    each.fold(QUIET, Duration::max)
}

/// Waits until each keeper has written everything that it was asked to write. A keeper
/// does one thing after another, so its answer to a question comes after that. Returns
/// whether each keeper answered at once. A keeper that has died is not waited for.
///
/// # Errors
/// When a keeper does not answer. It may hold an initiator's PERSISTENT RESERVE OUT. Such
/// a keeper is not ended, because LIO would then answer RESERVE, RELEASE, CLEAR and
/// PREEMPT with success (`core_scsi3_pro_reserve` in drivers/target/target_core_pr.c)
/// although nothing was saved.
fn keepers_answer(
    kernel: &dyn Kernel,
    found: &Found,
    budget: Budget,
    end: Instant,
) -> Result<bool, Failure> {
    let since = kernel.now();
    let chains: Vec<Chain> = saved_reservations::questions(&found.keepers);
    let results = kernel.run(&chains, end.max(since + PROMPT)).into_iter();
    let late = results.filter_map(|result| result.failed).filter(KernelError::is_late);
    let busy: Vec<_> = late.map(|error| error.to_string()).collect();
    match busy.is_empty() {
        true => Ok(kernel.now().saturating_sub(since) < PROMPT),
        false => Err(undrained(busy, budget.spent(kernel))),
    }
}

/// The state of a port after it was waited for.
enum Rest {
    /// Nothing has been in flight, and no command has come, for long enough.
    Quiet,
    /// Nothing has been in flight for long enough, but commands still come.
    Talk,
    /// Commands were in flight a moment ago.
    Busy,
}

/// Waits until nothing has been in flight and no command has come for `settled`, but not
/// beyond `end`. Returns the state then.
fn settles(kernel: &dyn Kernel, found: &Found, settled: Duration, end: Instant) -> Rest {
    let stores = &found.export.backstores;
    let (mut idle_since, mut quiet_since) = (kernel.now(), kernel.now());
    let mut count = arrivals(kernel, found);
    let quiet = wait_until(kernel, end, || {
        let now = kernel.now();
        let before = std::mem::replace(&mut count, arrivals(kernel, found));
        if !in_flight(kernel, stores).is_empty() {
            idle_since = now;
        }
        // If commands cannot be counted, some may have come.
        if count.is_err() || count != before {
            quiet_since = now;
        }
        now.saturating_sub(quiet_since.max(idle_since)) >= settled
    });
    if let Err(why) = count {
        log::warn!("{why}");
    }
    match quiet {
        true => Rest::Quiet,
        false if kernel.now().saturating_sub(idle_since) >= settled => Rest::Talk,
        false => Rest::Busy,
    }
}

/// Returns a number that changes with each command that comes to one of the group's
/// ports, or in words why there is none.
fn arrivals(kernel: &dyn Kernel, found: &Found) -> Result<u64, String> {
    let mut sum = 0u64;
    for VirtualPort { wwpn, .. } in &found.vports {
        let tree = found.export.tree(*wwpn);
        let arrivals = found.driver(*wwpn).arrivals(kernel, *wwpn, tree);
        let arrivals = arrivals.map_err(|error| error.to_string())?;
        let none = || format!("nothing counts the commands that come to {wwpn}");
        sum = sum.wrapping_add(arrivals.ok_or_else(none)?);
    }
    Ok(sum)
}

/// Asks every initiator for an echo, and returns whether all answered. Frames between two
/// ports keep their order. So once the answer is here, everything is here that the
/// initiator had to send for commands accepted before, above all the data of its WRITEs,
/// however slow it may be. Ports without a link are left out: they receive nothing more,
/// and their initiators cannot be asked.
fn heard(kernel: &dyn Kernel, found: &Found, budget: Budget) -> bool {
    let linked = |wwpn| found.vports.iter().any(|p| p.wwpn == wwpn && p.is_linked());
    let trees = found.export.trees.iter().filter(|tree| linked(tree.wwpn));
    let echoes = trees.map(|tree| {
        let initiators: Vec<_> =
            tree.acls.iter().filter_map(lio::Acl::initiator).collect();
        fc::echoes(kernel, tree.wwpn, &initiators)
    });
    let echoes: Result<Vec<_>, _> = echoes.collect();
    let heard = echoes.map_err(|error| vec![error]).and_then(|echoes| {
        let chains = echoes.into_iter().flatten().map(|echo| vec![echo]).collect();
        let step = Step::new("hear every initiator", chains);
        step.apply(kernel, budget.first(PERCENT_TO_DRAIN))
    });
    if let Err(errors) = &heard {
        log::warn!("no echo: {}; waiting longer instead", told(errors));
    }
    heard.is_ok()
}
