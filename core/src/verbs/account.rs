//! The account of a group's commands, kept from before its ports appear until they are
//! gone. `kernel/account.rs` says what an account is.
//!
//! No verb depends on the account, because nftables may be missing, or somebody may flush
//! them. A drain then listens for a quiet moment instead.

use std::collections::BTreeSet;

use crate::action::budget::Budget;
use crate::config::group::PortSpec;
use crate::fc::{self, PhysicalPort};
use crate::kernel::account::Commands;
use crate::kernel::{Kernel, Op};
use crate::situation::found::Found;
use crate::situation::scope::Scope;
use crate::wwn::Wwn;

use super::nftables::Nftables;

/// Begins the account for each port on software FCoE that is about to appear. A failure
/// is only logged.
pub(super) fn begin(
    kernel: &dyn Kernel,
    absent: &[(PortSpec, PhysicalPort)],
    budget: Budget,
) {
    let software = absent.iter().filter(|(_, at)| at.driver == fc::SOFTWARE);
    let begin = software.filter_map(|(port, at)| {
        let link = fc::software_link(kernel, &at.host)?;
        let out = fc::leaves_by(kernel, &link);
        Some(Op::BeginAccount { link, out, wwpn: port.wwpn })
    });
    let chain: Vec<_> = begin.collect();
    if chain.is_empty() {
        return;
    }
    let mut nftables = Nftables::of(budget);
    // A change fails if somebody else changes nftables at the same moment, so it is tried
    // twice.
    for _ in 0..2 {
        if nftables.change(kernel, "account for commands", chain.clone(), budget) {
            return;
        }
    }
}

/// A port whose commands an account may have.
struct Known {
    link: String,
    wwpn: Wwn,
    fcid: u32,
}

/// The accounts of a group's ports.
pub(super) struct Accounts {
    ports: Vec<Known>,
    /// Whether every port that was found can have an account.
    are_all: bool,
}

impl Accounts {
    /// Returns the accounts of the ports that were found. The ports' addresses are read
    /// now, before the ports log out.
    pub(super) fn of(kernel: &dyn Kernel, found: &Found) -> Self {
        let known = |wwpn| match fc::on_network(kernel, wwpn) {
            Ok(place) => place.map(|(link, fcid)| Known { link, wwpn, fcid }),
            Err(error) => {
                log::warn!("{error}");
                None
            }
        };
        let ports: Vec<_> = found.live().filter_map(|port| known(port.wwpn)).collect();
        let are_all = ports.len() == found.live().count();
        Self { ports, are_all }
    }

    /// Returns the counts of initiators whose commands are not all answered; `None`
    /// unless an account has counted every command of each port since the port appeared.
    pub(super) fn look(
        &self,
        kernel: &dyn Kernel,
        nftables: &mut Nftables,
        budget: Budget,
    ) -> Option<Vec<Commands>> {
        if !self.are_all {
            return None;
        }
        let links: BTreeSet<_> =
            self.ports.iter().map(|port| port.link.clone()).collect();
        let mut open = Vec::new();
        for link in links {
            let account = nftables.account(kernel, &link, budget)?;
            let its = || self.ports.iter().filter(|port| port.link == link);
            if account.missed > 0 || !its().all(|port| account.ports.contains(&port.wwpn))
            {
                log::warn!("the account of commands on {link} is not whole");
                return None;
            }
            let is_open = |commands: &Commands| {
                commands.open() > 0 && its().any(|port| port.fcid == commands.target)
            };
            open.extend(account.commands.into_iter().filter(is_open));
        }
        Some(open)
    }

    /// Removes the group's ports, which are gone, from their accounts. This includes
    /// ports that an earlier stop has deleted.
    pub(super) fn end(
        self,
        kernel: &dyn Kernel,
        scope: &Scope,
        nftables: &mut Nftables,
        budget: Budget,
    ) {
        let earlier = scope.entries.iter().filter_map(|entry| {
            let known = self.ports.iter().any(|port| port.wwpn == entry.wwpn);
            let link = entry.link.clone().filter(|_| !known)?;
            Some(Known { link, wwpn: entry.wwpn, fcid: 0 })
        });
        let earlier: Vec<_> = earlier.collect();
        let gone = self.ports.into_iter().chain(earlier);
        // One chain, so that the account is removed with its last port.
        let chain: Vec<_> = gone
            .map(|Known { link, wwpn, fcid }| Op::EndAccount { link, wwpn, fcid })
            .collect();
        if !chain.is_empty() {
            nftables.change(kernel, "end the account of commands", chain, budget);
        }
    }
}
