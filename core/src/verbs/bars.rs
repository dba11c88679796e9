//! Bars against new commands while a group's ports are drained; `kernel/bar.rs` says what a
//! bar is.
//!
//! No stop depends on nftables: a bar that cannot be set or lifted is a warning, and all that
//! an action asks of nftables takes a fifth of its time at most. Without a bar the drain
//! waits for a quiet moment instead, and a command that comes a moment later hangs the
//! logout. A bar that nobody lifts ends by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::budget::Budget;
use crate::fabric::{self, VirtualPort};
use crate::kernel::{Chain, Kernel, KernelError, Op};
use crate::scope::{Found, Scope};
use crate::step::Step;
use crate::wwn::Wwn;

use super::told;

/// How much of an action's time nftables may have in all: the first `nft` since a node's boot
/// comes from the disk, which took 1.6 s on a busy node, and another 0.2 s.
const PERCENT_FOR_NFT: u32 = 20;
/// How much they may have of a long one: initiators wait meanwhile.
const AT_MOST: Duration = Duration::from_secs(5);

/// Returns how much of an action's time nftables may have in all.
fn share(budget: Budget) -> Duration {
    AT_MOST.min(budget.length() * PERCENT_FOR_NFT / 100)
}

/// The bars of one action.
pub(super) struct Bars {
    /// What nftables have not used yet of their time.
    left: Duration,
    /// Ports that may be barred, by this action or by an earlier one that was killed.
    may_be_set: BTreeSet<Wwn>,
}

impl Bars {
    /// Starts what sets a bar, before initiators have to wait for it. A group without a port
    /// of software FCoE needs none.
    pub(super) fn get_ready(kernel: &dyn Kernel, scope: &Scope, budget: Budget) -> Self {
        let entries = scope.entries.iter().filter(|entry| entry.link.is_some());
        let may_be_set = entries.map(|entry| entry.wwpn).collect();
        let mut bars = Self { left: share(budget), may_be_set };
        if !bars.may_be_set.is_empty() {
            let ready = vec![vec![Op::ReadyBar]];
            if bars.run(kernel, "get ready for a bar", ready, budget) != [true] {
                bars.may_be_set.clear();
            }
        }
        bars
    }

    /// Lets no further command in to the group's ports, where that can be done.
    pub(super) fn set(&mut self, kernel: &dyn Kernel, found: &Found, budget: Budget) {
        let title = "bar new commands";
        let bar = |port: &VirtualPort| match fabric::bar(kernel, port.wwpn) {
            Ok(bar) => Some((port.wwpn, vec![bar?])),
            Err(error) => {
                log::warn!("{title}: {error}");
                None
            }
        };
        let (ports, bars): (Vec<Wwn>, Vec<Chain>) =
            found.vports.iter().filter_map(bar).unzip();
        if bars.is_empty() {
            return;
        }
        self.may_be_set.retain(|port| !ports.contains(port));
        // Twice where the first time fails: another's change of nftables may have come
        // between.
        for _ in 0..2 {
            let set = self.run(kernel, title, bars.clone(), budget);
            let barred = ports.iter().zip(&set).filter(|(_, set)| **set);
            self.may_be_set.extend(barred.map(|(port, _)| *port));
            if !set.contains(&false) {
                break;
            }
        }
    }

    /// Lifts what may be set.
    pub(super) fn lift(mut self, kernel: &dyn Kernel, budget: Budget) {
        let ports = std::mem::take(&mut self.may_be_set);
        let lifts: Vec<Chain> =
            ports.into_iter().map(|port| vec![Op::LiftBar(port)]).collect();
        if !lifts.is_empty() {
            self.run(kernel, "lift the bar", lifts, budget);
        }
    }

    /// Returns of each chain whether nftables did it. Each time they have half of what is
    /// left, so that one that hangs leaves time for another try.
    fn run(
        &mut self,
        kernel: &dyn Kernel,
        title: &'static str,
        chains: Vec<Chain>,
        budget: Budget,
    ) -> Vec<bool> {
        let begun = kernel.now();
        let end = budget.end.min(begun + self.left / 2);
        let results = Step::new(title, chains).run(kernel, Budget { end, ..budget });
        self.left = self.left.saturating_sub(kernel.now().saturating_sub(begun));
        let errors: Vec<_> = results.iter().filter_map(|r| r.failed.clone()).collect();
        if !errors.is_empty() {
            log::warn!("{title}: {}", told(&errors));
        }
        results.iter().map(|result| result.failed.is_none()).collect()
    }
}

/// Returns why `nft` cannot be started here, if it cannot. Started, it does nothing.
pub(super) fn unavailable(kernel: &dyn Kernel, budget: Budget) -> Option<KernelError> {
    let end = budget.end.min(kernel.now() + share(budget));
    kernel.run(&[vec![Op::ReadyBar]], end).pop()?.failed
}
