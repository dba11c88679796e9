//! Listening: how a drain finds that nothing is in flight where no account of the commands
//! answers for a port. No counter shows all of them, so each kind has a means of its own;
//! ARCHITECTURE.md has the list.
//!
//! With qla2xxx, as its source has it: `inflight` is the same. An ECHO goes through the
//! driver's own bsg (`qla24xx_bsg_request`), to a port that it knows as a remote one;
//! with `qlini_mode=disabled` it knows none. The frames are the whole HBA's
//! (`qla2x00_get_fc_host_stats`), so beside a busy port there is no rest. There is no
//! bar. None of this can hang a logout on qla2xxx: the driver ends any command that it
//! has not yet passed to LIO.

use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::failure::Failure;
use crate::action::step::Step;
use crate::fc::{self, VirtualPort};
use crate::kernel::{Instant, Kernel};
use crate::lio;
use crate::situation::found::Found;

use super::drain::{BARRED, PERCENT_TO_DRAIN, in_flight, undrained, wait_until};
use super::nftables::Nftables;
use super::told;

/// How long all must be quiet before a port logs out: nothing in flight, and no frames.
/// What has arrived and is not yet with the disk is in no counter that the kernel shows;
/// even a command that is just being turned away hangs a logout.
const SETTLED: Duration = Duration::from_millis(250);
/// How long all must be quiet where an initiator gave no echo: a WRITE whose data it
/// still has to send is in no counter either.
const SETTLED_UNHEARD: Duration = Duration::from_millis(1500);

/// Waits for a moment in which nothing is in flight, and nothing is said.
pub(super) fn listen(
    kernel: &dyn Kernel,
    found: &Found,
    nftables: &mut Nftables,
    budget: Budget,
) -> Result<(), Failure> {
    let stores = &found.export.backstores;
    let end = budget.first(PERCENT_TO_DRAIN).end;
    let settled = if heard(kernel, found, budget) { SETTLED } else { SETTLED_UNHEARD };
    loop {
        if !wait_until(kernel, end, || in_flight(kernel, stores).is_empty()) {
            return Err(undrained(in_flight(kernel, stores), budget.spent(kernel)));
        }
        // The bar last, and for a moment only: the kernel lifts it by itself after some
        // seconds, before an initiator takes a command that it sent for lost.
        nftables.bar(kernel, found, budget);
        let barred_until = kernel.now() + BARRED;
        match settles(kernel, found, settled, barred_until.min(budget.end)) {
            Rest::Quiet => return Ok(()),
            _ if budget.is_over(kernel) => {
                let why = "no time was left to see whether commands still come";
                return Err(undrained(vec![why.into()], budget.spent(kernel)));
            }
            // A command that was accepted has come to a disk that is slow: begin again.
            Rest::Busy => {}
            // An initiator never rests, and there is no bar. To log out is no greater
            // risk than to have the node fenced.
            Rest::Talk => {
                log::warn!("commands still come; the port is logged out regardless");
                return Ok(());
            }
        }
    }
}

/// How a port is after it was waited for.
enum Rest {
    /// Nothing is in flight, and no frame has come or gone for long enough.
    Quiet,
    /// Frames come and go, and nothing is in flight.
    Talk,
    /// Not long ago commands were in flight.
    Busy,
}

/// Waits until nothing has been in flight, and no frame has come or gone, for `settled`.
/// Returns how the port is then, or at `end`.
fn settles(kernel: &dyn Kernel, found: &Found, settled: Duration, end: Instant) -> Rest {
    let stores = &found.export.backstores;
    let (mut idle_since, mut quiet_since) = (kernel.now(), kernel.now());
    let mut frames = exchanged(kernel, found);
    let quiet = wait_until(kernel, end, || {
        let now = kernel.now();
        let before = std::mem::replace(&mut frames, exchanged(kernel, found));
        if !in_flight(kernel, stores).is_empty() {
            idle_since = now;
        }
        // Frames that are not counted may come and go.
        if frames.is_err() || frames != before {
            quiet_since = now;
        }
        now.saturating_sub(quiet_since.max(idle_since)) >= settled
    });
    if let Err(why) = frames {
        log::warn!("{why}");
    }
    match quiet {
        true => Rest::Quiet,
        false if kernel.now().saturating_sub(idle_since) >= settled => Rest::Talk,
        false => Rest::Busy,
    }
}

/// Returns how many frames the group's ports have received and sent, or why that is not
/// known.
fn exchanged(kernel: &dyn Kernel, found: &Found) -> Result<u64, String> {
    let mut sum = 0u64;
    for VirtualPort { wwpn, .. } in &found.vports {
        let frames = fc::frames(kernel, *wwpn).map_err(|error| error.to_string())?;
        sum = sum.wrapping_add(frames.ok_or_else(|| format!("{wwpn} counts no frames"))?);
    }
    Ok(sum)
}

/// Asks every initiator for an echo, and returns whether all answered. Frames between two
/// ports keep their order. So with the answer everything is here that an initiator had to
/// send for commands that were accepted before, above all the data of its WRITEs, however
/// slow it may be. A port without its link is left out: nothing more is sent to it, and
/// there is nobody to ask.
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
