//! Takeover: own the disks, build the target, and only then let the port appear.

use std::path::Path;

use nix::errno::Errno;

use super::account;
use super::expedited::expedited;
use super::here::{
    Here, luns, misconfigured, not_lost, state_device, with_all_that_comes,
};
use super::logins::{active, elsewhere, not_elsewhere, not_made};
use super::{late, queues, release, unseen};
use crate::action::Action;
use crate::action::budget::Budget;
use crate::action::failure::Failure;
use crate::action::step::Step;
use crate::config::group::{Group, Ownership, PortSpec};
use crate::disks::disk::{self, Disk};
use crate::disks::ownership::{self, Held, Keys};
use crate::fc::{self, PhysicalPort};
use crate::kernel::{Chain, ChainResult, Kernel, KernelError, Op};
use crate::lio::numbers;
use crate::lio::{self, TargetSteps, Wanted};
use crate::run_files::registry::{self, Entry};
use crate::saved_reservations;
use crate::situation::claims::Claims;
use crate::situation::scope::Scope;

/// How much of the time a takeover may use before it gives up, in percent. Undoing needs
/// the rest.
const PERCENT_TO_BUILD: u32 = 75;

/// How much of the time a takeover may wait for a name that is logged in elsewhere, in
/// percent. The steps after that need the rest.
const PERCENT_TO_WAIT: u32 = 65;

/// The steps of a takeover, in order.
pub(super) struct Steps {
    /// Turns off a physical port that is on and has no target yet. Initiators that meet
    /// the port without its LUNs would never ask again.
    pub dark: Step,
    /// The first step makes the backstores' directory. In the second each disk is owned
    /// and opened by LIO. While one of its chains waits for a disk, another can run.
    pub disks: [Step; 2],
    /// Builds the parts of the target that need no port.
    pub before: Vec<Step>,
    /// Makes the ports appear on the fabric.
    pub create: Step,
    /// Builds the parts of the target that need the port, and makes them serve.
    pub after: Vec<Step>,
}

/// Serves a group on this node. Anything that is served already is left as it is, so a
/// second takeover does nothing.
///
/// # Errors
/// The failure names the step and the cause. Everything that was built has been removed
/// again, unless the failure says otherwise.
pub fn takeover(action: &mut Action, scope: &Scope) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let group = scope.group.as_ref().map_err(misconfigured)?;
    late::settled(kernel, &group.name, budget)?;
    let mut here = with_all_that_comes(kernel, scope, group, budget)?;
    // This comes before anything is taken, so that another node that still serves is not
    // disturbed.
    if elsewhere(kernel, &here.absent)?.is_some() {
        not_elsewhere(kernel, &here.absent, budget.first(PERCENT_TO_WAIT))?;
        action.end("wait");
        here = with_all_that_comes(kernel, scope, group, budget)?;
    }
    if scope.is_of_others(&here.found) {
        log::warn!("targets with names of {} are here: they are removed", group.name);
        let part = budget.first(PERCENT_TO_BUILD);
        action.within(part, |action| release(action, scope))?;
        here = with_all_that_comes(kernel, scope, group, budget)?;
    }
    let keys = Keys::of(kernel, action.node).map_err(unseen)?;
    let owned = here.owned();
    disk::asked(kernel, &owned, budget)?;
    if let Some(known) = &scope.known {
        numbers::not_smaller(kernel, group, &owned, known)?;
    }
    // Who owns the disks is asked in detail only if they do not look free. That saves a
    // question to each disk.
    let exported = here.found.export.backstores.iter().any(|b| b.enabled);
    if exported || !ownership::seem_free(kernel, &owned, budget) {
        here = here.with_owners(kernel, group, budget)?;
        not_lost(group, &here, &keys)?;
        ownership::nobody_elses(here.disks.iter().filter_map(Held::answered), &keys)?;
    }
    // The database has the group before the first change, so that a stop finds whatever
    // was begun.
    let entry = |(port, physical): &(PortSpec, PhysicalPort)| {
        Entry::new(kernel, action.node, group, &owned, port, physical)
    };
    let entries: Vec<Entry> = here.absent.iter().map(entry).collect();
    claim(kernel, scope, group, &entries, &owned)?;
    action.end("look");
    let part = budget.first(PERCENT_TO_BUILD);
    let built = action.within(part, |action| build(action, &keys, scope, group, &here));
    let Err(failure) = built else {
        for entry in entries {
            // The phases in the entry are only for people, so a failure here is no
            // failure of the start.
            if let Err(failure) = registry::record(kernel, &entry.after(&action.phases)) {
                log::warn!("{failure}");
            }
        }
        return Ok(());
    };
    action.end("failing");
    log::warn!("{failure}; undoing");
    // The entries are read again, because this takeover has just written some.
    let undo =
        Scope { entries: registry::of_group(kernel, &group.name), ..scope.clone() };
    let rest = Budget { start: kernel.now(), end: budget.end };
    match action.within(rest, |action| release(action, &undo)) {
        Ok(()) => Err(failure),
        Err(left) => Err(failure.and(format!("and undoing it failed: {left}"))),
    }
}

/// Writes the entries of this takeover, unless another group has claimed a name or a disk
/// of it since the last look. If two starts claim at one moment, each then sees the
/// other's entries, and neither goes on.
fn claim(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    entries: &[Entry],
    disks: &[Disk],
) -> Result<(), Failure> {
    let recorded = entries.iter().try_for_each(|entry| registry::record(kernel, entry));
    let since = Claims::beside(kernel, &group.name);
    let allowed = recorded.and_then(|()| match since == scope.claims {
        true => Ok(()),
        false => since.allow(kernel, group, disks),
    });
    allowed.inspect_err(|_| {
        let known = |wwpn| scope.entries.iter().any(|entry| entry.wwpn == wwpn);
        for entry in entries.iter().filter(|entry| !known(entry.wwpn)) {
            if let Err(error) = registry::forget(kernel, &group.name, entry.wwpn) {
                log::warn!("{error}");
            }
        }
    })
}

fn build(
    action: &mut Action,
    keys: &Keys,
    scope: &Scope,
    group: &Group,
    here: &Here,
) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let Steps { dark, disks: [frame, own], before, create, after } =
        steps(kernel, group, here, keys)?;
    apply(action, &dark)?;
    account::begin(kernel, &here.absent, budget);
    let owned = here.owned();
    queues::set(kernel, &luns(&owned), budget);
    expedited(kernel, scope, budget, || {
        apply(action, &frame)?;
        disk::still_there(kernel, &owned)?;
        let results = match group.ownership {
            Ownership::Scsi3Pr => ownership::own(kernel, &owned, &own, keys, budget)?,
            Ownership::None => own.run(kernel, budget),
        };
        done(own.title, results)?;
        // While a disk was opened, another one may have come under its name.
        disk::still_there(kernel, &owned)?;
        action.end("own");
        // Saved reservations must be in LIO before there are LUNs.
        if let Some(state) = state_device(&owned) {
            let export = &here.found.export;
            let give_back = saved_reservations::give_back(
                kernel, group, state, &owned, export, budget,
            )?;
            apply(action, &give_back)?;
            disk::still_there(kernel, std::slice::from_ref(state))?;
            action.end("give back");
        }
        before.iter().try_for_each(|step| apply(action, step))
    })?;
    action.end("export");
    // Another node may have logged in with the name while the target was built.
    not_elsewhere(kernel, &here.absent, budget)?;
    create.apply(kernel, budget).map_err(|errors| not_made(create.title, &errors))?;
    if !after.is_empty() {
        bind(action, scope, group, here, &after)?;
    }
    // The start has succeeded only once initiators can reach the ports.
    let let_in = kernel.now();
    for port in group.ports.iter().filter(|port| !here.lost.contains(port)) {
        active(kernel, here.driver, port, let_in, budget)?;
    }
    for PortSpec { wwpn, .. } in &here.lost {
        log::warn!("{wwpn} is left out: no physical port here is online in its fabric");
    }
    action.end("login");
    Ok(())
}

/// Builds the target on ports that exist, and lets them serve. A new port has logged in
/// by itself, as an initiator. It logs in again with its target.
fn bind(
    action: &Action,
    scope: &Scope,
    group: &Group,
    here: &Here,
    steps: &[Step],
) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let is_new = |port: &&PortSpec| !here.found.situation(port.wwpn).is_reusable();
    let let_in = kernel.now();
    for port in group.ports.iter().filter(is_new) {
        active(kernel, here.driver, port, let_in, budget)?;
    }
    let wanted = here.wanted(group);
    let ports = group.ports.iter().filter(|port| !here.lost.contains(port));
    let restrict = ports.map(|port| here.driver.restrict(kernel, &wanted, port));
    let mut restrict = restrict.collect::<Result<Vec<_>, _>>().map_err(unseen)?;
    restrict.retain(|chain| !chain.is_empty());
    if !restrict.is_empty() {
        apply(action, &Step::new("make the ports targets only", restrict))?;
    }
    expedited(kernel, scope, budget, || {
        steps.iter().try_for_each(|step| apply(action, step))
    })
}

/// Returns the steps of a takeover, up to the one from which the ports serve.
pub(super) fn steps(
    kernel: &dyn Kernel,
    group: &Group,
    here: &Here,
    keys: &Keys,
) -> Result<Steps, Failure> {
    let (wanted, driver) = (here.wanted(group), here.driver);
    let ([frame, open], target) = export_steps(kernel, &wanted, &here.owned());
    let own = here.disks.iter().zip(open.chains).map(|(held, open)| {
        let take = match group.ownership {
            // A disk whose reservation was not read is planned like a free one.
            Ownership::Scsi3Pr => {
                let now = held.reservation.clone().unwrap_or_default();
                ownership::take(&held.disk.node, keys, &now)
            }
            Ownership::None => Chain::new(),
        };
        [take, open].concat()
    });
    let own = Step::new("own the disks and make the backstores", own.collect());
    let lit = here.absent.iter().filter_map(|(port, _)| here.found.vport(port.wwpn));
    let lit = lit.filter(|port| port.is_own());
    let dark: Result<_, _> = lit.map(|port| fc::delete(kernel, port)).collect();
    let dark = Step::new("turn the physical port off", dark.map_err(unseen)?);
    let create = here.absent.iter();
    let create =
        create.map(|(port, physical)| driver.appear(kernel, &wanted, port, physical));
    let create: Result<_, _> = create.collect();
    let create = Step::new("create the virtual port", create.map_err(unseen)?);
    let serve = group.ports.iter().map(|port| driver.serve(&wanted, port));
    let serve: Vec<_> = serve.filter(|chain| !chain.is_empty()).collect();
    let mut after = target.after;
    after.extend((!serve.is_empty()).then(|| Step::new("serve", serve)));
    Ok(Steps { dark, disks: [frame, own], before: target.before, create, after })
}

/// Exports everything of a group that is not exported yet, from the disks up. If `disks`
/// has the state disk, initiators' reservations are restored before LUNs are made.
pub(super) fn export(
    action: &Action,
    wanted: &Wanted,
    disks: &[Disk],
) -> Result<(), Failure> {
    let Action { kernel, budget, .. } = *action;
    let Wanted { group, export, .. } = *wanted;
    let ([frame, open], target) = export_steps(kernel, wanted, &luns(disks));
    apply(action, &frame)?;
    apply(action, &open)?;
    disk::still_there(kernel, &luns(disks))?;
    if let Some(state) = state_device(disks) {
        let give_back =
            saved_reservations::give_back(kernel, group, state, disks, export, budget)?;
        apply(action, &give_back)?;
    }
    let mut steps = target.before.iter().chain(&target.after);
    steps.try_for_each(|step| apply(action, step))
}

fn apply(action: &Action, step: &Step) -> Result<(), Failure> {
    done(step.title, step.run(action.kernel, action.budget))
}

/// Checks that every chain of a step has succeeded.
fn done(title: &'static str, results: Vec<ChainResult>) -> Result<(), Failure> {
    let errors: Vec<_> = results.into_iter().filter_map(|r| r.failed).collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::kernel(title, &errors).advise(advice(&errors))),
    }
}

/// Returns the steps that make the missing backstores, and those that build the rest of
/// the export.
fn export_steps(
    kernel: &dyn Kernel,
    wanted: &Wanted,
    disks: &[Disk],
) -> ([Step; 2], TargetSteps) {
    let Wanted { group, export, .. } = *wanted;
    let mut target = wanted.driver.build(wanted);
    let mut frame = vec![lio::frame(group)];
    frame.append(&mut target.first);
    let root = saved_reservations::root(kernel);
    frame.extend(root.as_deref().map(state_directory));
    let mut backstores = lio::build(group, disks, export);
    if let (Some(root), Some(_)) = (root, &group.state) {
        let linked = export.linked();
        for (disk, chain) in disks.iter().zip(&mut backstores) {
            let path = lio::backstore_of(group.wwnn, disk);
            if let Some(path) = path.filter(|path| !linked.contains(path.as_path())) {
                chain.extend(saved_reservations::lead(&root, group, disk, &path));
            }
        }
    }
    let steps = [
        Step::new("make the target's directories", frame),
        Step::new("make the backstores", backstores),
    ];
    (steps, target)
}

/// Returns the operations that make LIO's directory for state files. Without it LIO
/// refuses even those reservations of initiators that it need not store
/// (`core_scsi3_update_and_write_aptpl`).
fn state_directory(root: &Path) -> Chain {
    vec![Op::MakeDir(root.to_owned()), Op::MakeDir(root.join("pr"))]
}

fn advice(errors: &[KernelError]) -> &'static str {
    let any = |errno| errors.iter().any(|error| error.is(errno));
    if any(Errno::EBUSY) {
        "Something else has the disk open: a mount, LVM, multipath, another target"
    } else if errors.iter().any(KernelError::is_late) {
        "Give the operation a longer timeout, or see why the kernel is slow"
    } else {
        "The kernel's log has the target's own words"
    }
}
