//! Plan: the steps that a takeover or a release would take on this node now, as plain
//! values. Nothing is changed. If a step waits for something, its title says so. The plan
//! leaves out what accompanies the steps: expedited grace periods, echoes, the bar, and
//! the database's entries.

use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::disks::ownership::{self, Held, Keys};
use crate::kernel::Kernel;
use crate::lio;
use crate::saved_reservations;
use crate::situation::scope::Scope;
use crate::text::quoted;

use super::here::{misconfigured, observe, state_device};
use super::release::{CLOSE, closing, logouts};
use super::takeover::{self, Steps};
use super::{look, unseen};

/// A function that returns the steps of an action.
pub type Planner = fn(&dyn Kernel, &str, &Scope, Budget) -> Result<Vec<Step>, Failure>;

/// Returns the planner for an action, given its OCF name.
///
/// # Errors
/// When there is no plan for an action with this name.
pub fn planner(action: &str) -> Result<Planner, Failure> {
    match action {
        "start" => Ok(takeover_steps),
        "stop" => Ok(release_steps),
        other => {
            let cause = format!("{} is neither start nor stop", quoted(other));
            Err(Failure::new(Kind::Configuration, "plan", cause))
        }
    }
}

/// Returns the steps of [`super::takeover`], without those that have nothing to do.
///
/// # Errors
/// Every reason for which the takeover would refuse before its first step.
pub fn takeover_steps(
    kernel: &dyn Kernel,
    node: &str,
    scope: &Scope,
    budget: Budget,
) -> Result<Vec<Step>, Failure> {
    let group = scope.group.as_ref().map_err(misconfigured)?;
    let here = observe(kernel, scope, group)?.with_owners(kernel, group, budget)?;
    let keys = Keys::of(kernel, node).map_err(unseen)?;
    ownership::nobody_elses(here.disks.iter().filter_map(Held::answered), &keys)?;
    let Steps { dark, disks, export, create, bound } =
        takeover::steps(kernel, group, &here, &keys)?;
    let mut disks: Vec<_> = std::iter::once(dark).chain(disks).collect();
    let (owned, now) = (here.owned(), &here.found.export);
    if let Some(state) = state_device(&owned) {
        disks.push(saved_reservations::give_back(
            kernel, group, state, &owned, now, budget,
        )?);
    }
    let title = "wait until the name is nowhere else, create the virtual port";
    let create = Step { title, ..create };
    let steps = disks.into_iter().chain(export).chain([create]).chain(bound);
    Ok(without_empty(steps.collect()))
}

/// Returns the steps of [`super::release`], without those that have nothing to do.
///
/// # Errors
/// When something exists and cannot be read.
pub fn release_steps(
    kernel: &dyn Kernel,
    node: &str,
    scope: &Scope,
    budget: Budget,
) -> Result<Vec<Step>, Failure> {
    let found = look(kernel, scope)?;
    let disks = scope.disks(kernel, &found.export);
    let keys = Keys::of(kernel, node).map_err(unseen)?;
    let mut steps = Vec::new();
    let logouts = logouts(kernel, &found).map_err(unseen)?;
    if !logouts.is_empty() {
        steps.push(Step::new("quiesce the LUNs", lio::quiesce(&found.export.backstores)));
        steps.push(Step::new("drain, log the virtual port out", logouts));
    }
    let ports = lio::remove_ports(&found.export).into_iter();
    steps.extend(ports.map(|(title, chains)| Step::new(title, chains)));
    // If a disk does not answer, people should still see the rest of the plan.
    let (ours, _) = ownership::owned(kernel, &disks, &keys, budget);
    steps.push(Step::new(CLOSE, closing(&found, &ours, keys.now)));
    let (title, hbas) = lio::remove_hbas(&found.export);
    steps.push(Step::new(title, hbas));
    Ok(without_empty(steps))
}

fn without_empty(mut steps: Vec<Step>) -> Vec<Step> {
    for step in &mut steps {
        step.chains.retain(|chain| !chain.is_empty());
    }
    steps.retain(|step| !step.chains.is_empty());
    steps
}
