//! What an action asks of nftables: bars against new commands, and accounts of commands.
//! `kernel/bar.rs` and `kernel/account.rs` say what those are.
//!
//! No stop depends on nftables: what cannot be done with them is a warning, and where they
//! fail or do not answer they take a fifth of an action's time at most. A drain then waits
//! for a quiet moment, and a command that comes a moment later hangs the logout. A bar that
//! nobody lifts ends by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::action::budget::Budget;
use crate::action::step::Step;
use crate::fc::{self, VirtualPort};
use crate::kernel::account::Account;
use crate::kernel::{Chain, Done, Kernel, KernelError, Op};
use crate::situation::found::Found;
use crate::situation::scope::Scope;
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

/// The nftables of one action.
pub(super) struct Nftables {
    /// What nftables have not used yet of their time.
    left: Duration,
    /// Ports that may be barred, by this action or by an earlier one that was killed.
    may_be_set: BTreeSet<Wwn>,
}

impl Nftables {
    /// Returns the nftables of an action with this time.
    pub(super) fn of(budget: Budget) -> Self {
        Self { left: share(budget), may_be_set: BTreeSet::new() }
    }

    /// Starts what sets a bar, before initiators have to wait for it. A group without a port
    /// of software FCoE needs none.
    pub(super) fn get_ready(kernel: &dyn Kernel, scope: &Scope, budget: Budget) -> Self {
        let entries = scope.entries.iter().filter(|entry| entry.link.is_some());
        let may_be_set = entries.map(|entry| entry.wwpn).collect();
        let mut nftables = Self { may_be_set, ..Self::of(budget) };
        if !nftables.may_be_set.is_empty() && !nftables.start(kernel, budget) {
            nftables.may_be_set.clear();
        }
        nftables
    }

    /// Starts `nft` for what comes next. Returns whether it can be started.
    fn start(&mut self, kernel: &dyn Kernel, budget: Budget) -> bool {
        let ready = vec![vec![Op::ReadyNft]];
        self.run(kernel, "get nftables ready", ready, budget) == [true]
    }

    /// Starts `nft` for what there is to lift, while a port logs out.
    pub(super) fn start_again(&mut self, kernel: &dyn Kernel, budget: Budget) {
        if !self.may_be_set.is_empty() {
            self.start(kernel, budget);
        }
    }

    /// Lets no further command in to the group's ports, where that can be done. Returns
    /// whether each of them is barred.
    pub(super) fn bar(
        &mut self,
        kernel: &dyn Kernel,
        found: &Found,
        budget: Budget,
    ) -> bool {
        let title = "bar new commands";
        let bar = |port: &VirtualPort| match fc::bar(kernel, port.wwpn) {
            Ok(bar) => Some((port.wwpn, vec![bar?])),
            Err(error) => {
                log::warn!("{title}: {error}");
                None
            }
        };
        let (ports, bars): (Vec<Wwn>, Vec<Chain>) =
            found.vports.iter().filter_map(bar).unzip();
        if bars.is_empty() {
            return false;
        }
        let are_all = ports.len() == found.vports.len();
        self.may_be_set.retain(|port| !ports.contains(port));
        // Twice where the first time fails: another's change of nftables may have come
        // between.
        for _ in 0..2 {
            let set = self.run(kernel, title, bars.clone(), budget);
            let barred = ports.iter().zip(&set).filter(|(_, set)| **set);
            self.may_be_set.extend(barred.map(|(port, _)| *port));
            if !set.contains(&false) {
                return are_all;
            }
        }
        false
    }

    /// Lifts what may be set.
    pub(super) fn lift(&mut self, kernel: &dyn Kernel, budget: Budget) {
        let ports = std::mem::take(&mut self.may_be_set);
        let lifts: Vec<Chain> =
            ports.into_iter().map(|port| vec![Op::LiftBar(port)]).collect();
        if !lifts.is_empty() {
            self.run(kernel, "lift the bar", lifts, budget);
        }
    }

    /// Returns what the account of an interface says. Nothing is taken off the time of
    /// nftables where they answer: a drain may have to ask often.
    pub(super) fn account(
        &mut self,
        kernel: &dyn Kernel,
        link: &str,
        budget: Budget,
    ) -> Option<Account> {
        let begun = kernel.now();
        let question = vec![vec![Op::ReadAccount(link.to_owned())]];
        let end = budget.end.min(begun + self.left / 2);
        let answer = kernel.run(&question, end).pop().unwrap_or_default();
        match answer.into_last() {
            Ok(Done::Account(account)) => return Some(account),
            Ok(_) => {}
            Err(error) => log::warn!("{error}"),
        }
        self.left = self.left.saturating_sub(kernel.now().saturating_sub(begun));
        None
    }

    /// Carries out changes of accounts. Returns whether all were made.
    pub(super) fn change(
        &mut self,
        kernel: &dyn Kernel,
        title: &'static str,
        chain: Chain,
        budget: Budget,
    ) -> bool {
        self.run(kernel, title, vec![chain], budget) == [true]
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
    kernel.run(&[vec![Op::ReadyNft]], end).pop()?.failed
}
