//! The use of nftables in one action, for bars against new commands and for accounts of
//! commands. `kernel/real/bar.rs` and `kernel/account.rs` say what those are.
//!
//! No stop depends on nftables. A failure is only a warning, and if they do not answer
//! they take a fifth of an action's time at most. A drain then waits for a quiet moment,
//! and a command that comes a moment later hangs the logout. A bar that nobody lifts ends
//! by itself.

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

/// How much of an action's time nftables may use in all, in percent. The first `nft`
/// after a boot is read from the disk, which took 1.6 s on a busy node. Later ones took
/// 0.2 s.
const PERCENT_FOR_NFT: u32 = 20;
/// How much time nftables may use in a long action. Initiators wait meanwhile.
const AT_MOST: Duration = Duration::from_secs(5);

/// Returns how much of an action's time nftables may use in all.
fn share(budget: Budget) -> Duration {
    AT_MOST.min(budget.length() * PERCENT_FOR_NFT / 100)
}

/// The use of nftables in one action.
pub(super) struct Nftables {
    /// The time that nftables may still use.
    left: Duration,
    /// The ports that may be barred, by this action or by an earlier one that was killed.
    may_be_set: BTreeSet<Wwn>,
}

impl Nftables {
    /// Returns the use of nftables for an action with this budget.
    pub(super) fn of(budget: Budget) -> Self {
        Self { left: share(budget), may_be_set: BTreeSet::new() }
    }

    /// Returns the use of nftables for a stop, with `nft` started in advance, before
    /// initiators have to wait for it. For a group without a port on software FCoE, `nft`
    /// is not started.
    pub(super) fn get_ready(kernel: &dyn Kernel, scope: &Scope, budget: Budget) -> Self {
        let entries = scope.entries.iter().filter(|entry| entry.link.is_some());
        let may_be_set = entries.map(|entry| entry.wwpn).collect();
        let mut nftables = Self { may_be_set, ..Self::of(budget) };
        if !nftables.may_be_set.is_empty() && !nftables.start(kernel, budget) {
            nftables.may_be_set.clear();
        }
        nftables
    }

    /// Starts `nft` in advance. Returns whether that was possible.
    fn start(&mut self, kernel: &dyn Kernel, budget: Budget) -> bool {
        let ready = vec![vec![Op::ReadyNft]];
        self.run(kernel, "get nftables ready", ready, budget) == [true]
    }

    /// Starts `nft` in advance for lifting bars, while a port logs out.
    pub(super) fn start_again(&mut self, kernel: &dyn Kernel, budget: Budget) {
        if !self.may_be_set.is_empty() {
            self.start(kernel, budget);
        }
    }

    /// Bars new commands to the group's ports, as far as possible. Returns whether every
    /// port is barred.
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
        // A change fails if somebody else changes nftables at the same moment, so it is
        // tried twice.
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

    /// Lifts every bar that may be set.
    pub(super) fn lift(&mut self, kernel: &dyn Kernel, budget: Budget) {
        let ports = std::mem::take(&mut self.may_be_set);
        let lifts: Vec<Chain> =
            ports.into_iter().map(|port| vec![Op::LiftBar(port)]).collect();
        if !lifts.is_empty() {
            self.run(kernel, "lift the bar", lifts, budget);
        }
    }

    /// Returns the account of an interface; `None` if nftables do not answer. An answer
    /// costs nothing of nftables' time, because a drain may have to ask often.
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

    /// Carries out changes of accounts. Returns whether all succeeded.
    pub(super) fn change(
        &mut self,
        kernel: &dyn Kernel,
        title: &'static str,
        chain: Chain,
        budget: Budget,
    ) -> bool {
        self.run(kernel, title, vec![chain], budget) == [true]
    }

    /// Returns for each chain whether it succeeded. One call may use half of the
    /// remaining time, so that after a call that hangs there is time for another.
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

/// Returns the error if `nft` cannot be started on this node. If it can, it does nothing.
pub(super) fn unavailable(kernel: &dyn Kernel, budget: Budget) -> Option<KernelError> {
    let end = budget.end.min(kernel.now() + share(budget));
    kernel.run(&[vec![Op::ReadyNft]], end).pop()?.failed
}
