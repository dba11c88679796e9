//! Chains side by side, on a clock that nobody waits for: each lane is somewhere in its
//! chain, and the one whose turn comes first goes on.

use std::time::Duration;

use super::faults::{Deed, Fault, changes_reservation};
use crate::SimKernel;
use understudy_core::kernel::{Cause, Instant, Kernel};
use understudy_core::kernel::{Chain, ChainResult, Done, Op};

/// A chain that is being worked on.
struct Lane<'a> {
    chain: usize,
    rest: &'a [Op],
    /// When its next operation begins.
    free_at: Instant,
}

/// What an operation makes of its lane.
enum Turn {
    Done(Done),
    Failed(Cause),
    /// The worker is given up, and with it every other lane.
    Hung,
}

impl SimKernel<'_> {
    pub(super) fn side_by_side(
        &self,
        chains: &[Chain],
        until: Instant,
    ) -> Vec<ChainResult> {
        let mut results = vec![ChainResult::default(); chains.len()];
        let mut waiting = chains.iter().enumerate();
        let mut lanes: Vec<Lane> = Vec::new();
        loop {
            while lanes.len() < self.lanes.get() {
                let Some((chain, rest)) = waiting.next() else { break };
                lanes.push(Lane { chain, rest, free_at: self.now() });
            }
            let first = lanes.iter().enumerate().min_by_key(|(_, lane)| lane.free_at);
            let Some(at) = first.map(|(at, _)| at) else { return results };
            let lane = lanes.swap_remove(at);
            self.pass(lane.free_at.saturating_sub(self.now()));
            let Some(result) = results.get_mut(lane.chain) else { continue };
            let Some((op, rest)) = lane.rest.split_first() else { continue };
            let (turn, cost) = self.turn(op, until);
            let free_at = self.now() + cost;
            match turn {
                Turn::Done(done) if free_at <= until => {
                    result.done.push(done);
                    lanes.push(Lane { rest, free_at, ..lane });
                }
                Turn::Failed(cause) => result.failed = Some(op.failed(cause)),
                Turn::Done(_) | Turn::Hung => {
                    result.failed = Some(op.failed(Cause::TimedOut));
                    self.pass(until.saturating_sub(self.now()));
                    for lane in lanes {
                        give_up(&mut results, lane.chain, lane.rest, Cause::TimedOut);
                    }
                    for (chain, rest) in waiting {
                        give_up(&mut results, chain, rest, Cause::NotBegun);
                    }
                    return results;
                }
            }
        }
    }

    fn turn(&self, op: &Op, until: Instant) -> (Turn, Duration) {
        if self.now() >= until {
            return (Turn::Failed(Cause::NotBegun), Duration::ZERO);
        }
        let fault = self.faults.strike(|| Deed::Op(op.clone()));
        let mut san = self.san.borrow_mut();
        let cost = san.cost(self.node, op);
        let turn = match fault {
            Some(Fault::Fails(cause)) => Turn::Failed(cause),
            Some(Fault::Hangs) => Turn::Hung,
            Some(Fault::DoesNothing) if changes_reservation(op) => {
                Turn::Done(Done::Changed)
            }
            Some(Fault::HangsDone) => {
                let _ = san.perform(self.node, op);
                san.is_given_up(self.node, op);
                Turn::Hung
            }
            Some(Fault::Dies | Fault::DoesNothing) | None => {
                match san.perform(self.node, op) {
                    Ok(done) => Turn::Done(done),
                    Err(Cause::TimedOut) => Turn::Hung,
                    Err(cause) => Turn::Failed(cause),
                }
            }
        };
        (turn, cost)
    }
}

fn give_up(results: &mut [ChainResult], chain: usize, rest: &[Op], cause: Cause) {
    if let (Some(result), Some(op)) = (results.get_mut(chain), rest.first()) {
        result.failed = Some(op.failed(cause));
    }
}
