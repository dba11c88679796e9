//! Takeover: own the disks, build the target, and only then let the port appear.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::expedited::expedited;
use super::look;
use super::release;
use crate::budget::Budget;
use crate::disk::{self, Disk};
use crate::fabric::{self, PhysicalPort, VirtualPort};
use crate::failure::{Failure, Kind};
use crate::group::{DriverChoice, Group, LinkLoss, Ownership, PortSpec};
use crate::kernel::reservation::{Key, Reservation};
use crate::kernel::{Chain, ChainResult, Kernel, KernelError, Op, paths};
use crate::lio::{self, Driver, Export, TCM_FC};
use crate::ownership;
use crate::phases::Phases;
use crate::registry::{self, Entry};
use crate::scope::{Found, Scope};
use crate::step::Step;

/// How much of the time a takeover may use before it gives up; the rest is for undoing.
const PERCENT_TO_BUILD: u32 = 70;
/// Between two looks at a state that the kernel announces by no event.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A takeover's observations: what this node has for the group.
pub(super) struct Here {
    pub driver: &'static dyn Driver,
    pub disks: Vec<Disk>,
    /// As the disks report it; empty where it was not asked for.
    pub reservations: Vec<Reservation>,
    pub found: Found,
    /// The ports that have to be made, with the physical port for each.
    pub absent: Vec<(PortSpec, PhysicalPort)>,
    /// Those that cannot be made here; see [`left_out`].
    pub lost: Vec<PortSpec>,
}

/// Serves a group on this node. Whatever is there already is left as it is, so that
/// doing it again does nothing.
///
/// # Errors
/// Names the step and the cause. Everything that was built has been taken down again,
/// unless the message says otherwise.
pub fn takeover(
    kernel: &dyn Kernel,
    node: &str,
    scope: &Scope,
    budget: Budget,
    phases: &mut Phases,
) -> Result<(), Failure> {
    let group = scope.group.as_ref().map_err(misconfigured)?;
    let mut here = observe(kernel, scope, group)?;
    let exported = here.found.export.backstores.iter().any(|b| b.enabled);
    if exported || !ownership::seem_free(kernel, &here.disks, budget) {
        here = here.with_owners(kernel, group, budget)?;
        not_lost(group, &here, ownership::key_of(node))?;
    }
    let entry = |(port, physical): &(PortSpec, PhysicalPort)| {
        Entry::new(kernel, node, group, &here.disks, port, physical)
    };
    let entries: Vec<Entry> = here.absent.iter().map(entry).collect();
    entries.iter().try_for_each(|entry| registry::record(kernel, entry))?;
    phases.end(kernel, "look");
    let first = budget.first(PERCENT_TO_BUILD);
    let built = build(kernel, node, scope, group, &here, first, phases);
    let Err(failure) = built else {
        for entry in entries {
            // For people alone: served it is.
            if let Err(failure) = registry::record(kernel, &entry.after(phases)) {
                log::warn!("{failure}");
            }
        }
        return Ok(());
    };
    phases.end(kernel, "failing");
    log::warn!("{failure}; undoing");
    // Gathered anew: it knows the database entries of a moment ago.
    let undo =
        Scope { entries: registry::of_group(kernel, &group.name), ..scope.clone() };
    let rest = Budget { start: kernel.now(), end: budget.end };
    match release(kernel, node, &undo, rest, phases) {
        Ok(()) => Err(failure),
        Err(left) => Err(failure.and(format!("and undoing it failed: {left}"))),
    }
}

/// Whether this node has what the group needs: modules, disks and ports.
///
/// # Errors
/// The first thing that is missing.
pub fn check_node(
    kernel: &dyn Kernel,
    scope: &Scope,
    budget: Budget,
) -> Result<(), Failure> {
    let group = scope.group.as_ref().map_err(misconfigured)?;
    let here = observe(kernel, scope, group)?;
    here.with_owners(kernel, group, budget).map(drop)
}

pub(super) fn misconfigured(error: &crate::group::GroupError) -> Failure {
    Failure {
        kind: Kind::Configuration,
        step: "read the parameters",
        causes: error.0.clone(),
        path: None,
        advice: String::new(),
    }
}

/// Looks at everything that a takeover needs but the disks' owners, before its first step.
pub(super) fn observe(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
) -> Result<Here, Failure> {
    let driver = driver(group)?;
    target_is_here(kernel, driver)?;
    let disks = disk::find_all(kernel, &group.disks)?;
    let found = look(kernel, scope)?;
    same_disks(group, &disks, &found.export)?;
    let (mut absent, mut lost) = (Vec::new(), Vec::new());
    for port in &group.ports {
        match found.vports.iter().find(|vport| vport.wwpn == port.wwpn) {
            Some(vport) if vport.wwnn != group.wwnn => {
                let VirtualPort { vport, wwnn, .. } = vport;
                let cause = format!("{vport} has this port name, and node name {wwnn}");
                return Err(Failure::new(Kind::Failed, "look at this node", cause)
                    .advise("Delete it, or correct wwnn"));
            }
            Some(_) => {}
            None if left_out(kernel, group, port) => lost.push(*port),
            None => absent.push((*port, fabric::choose(kernel, port, driver)?)),
        }
    }
    if let Some(port) = lost.first().filter(|_| lost.len() == group.ports.len()) {
        fabric::choose(kernel, port, driver)?;
    }
    Ok(Here { driver, disks, reservations: Vec::new(), found, absent, lost })
}

/// Whether a group is served without one of its ports here: its fabric is lost to this
/// node, and that is to be no failure. The other ones serve every LUN too. Once the fabric
/// is back, a monitor misses the port.
pub(super) fn left_out(kernel: &dyn Kernel, group: &Group, port: &PortSpec) -> bool {
    group.link_loss == LinkLoss::Degraded && fabric::is_lost(kernel, port)
}

impl Here {
    /// With the disks' owners, where reservations are ours to make.
    pub(super) fn with_owners(
        self,
        kernel: &dyn Kernel,
        group: &Group,
        budget: Budget,
    ) -> Result<Self, Failure> {
        let reservations = match group.ownership {
            Ownership::Scsi3Pr => ownership::observe(kernel, &self.disks, budget)?,
            Ownership::None => Vec::new(),
        };
        Ok(Self { reservations, ..self })
    }
}

pub(super) fn driver(group: &Group) -> Result<&'static dyn Driver, Failure> {
    match group.driver {
        DriverChoice::Auto | DriverChoice::TcmFc => Ok(&TCM_FC),
        DriverChoice::Qla2xxx => {
            let cause = "qla2xxx is not supported by this version";
            Err(Failure::new(Kind::Configuration, "choose a driver", cause))
        }
    }
}

/// Whether LIO is here, and its driver for the port.
pub(super) fn target_is_here(
    kernel: &dyn Kernel,
    driver: &dyn Driver,
) -> Result<(), Failure> {
    if !kernel.exists(&paths::module(driver.module())) {
        let cause = format!("the module {} is not loaded", driver.module());
        return Err(Failure::new(Kind::Node, "look at this node", cause)
            .advise("Load it at boot, before the port's driver (/etc/modules-load.d)"));
    }
    if !kernel.exists(Path::new(paths::TARGET)) {
        let cause = format!("{} is not there", paths::TARGET);
        return Err(Failure::new(Kind::Node, "look at this node", cause)
            .advise("Load target_core_mod and mount configfs: sys-kernel-config.mount"));
    }
    Ok(())
}

/// A backstore that holds another disk than the one that the group says would be served
/// under a wrong identity.
fn same_disks(group: &Group, disks: &[Disk], export: &Export) -> Result<(), Failure> {
    for disk in disks {
        let path = lio::backstore_path(group.wwnn, disk.lun);
        let Some(there) = export.backstore(&path) else { continue };
        if !there.holds(group.wwnn, disk) {
            let cause = format!(
                "LUN {} is exported from {} and should be {} ({})",
                disk.lun,
                there.device.display(),
                disk.device,
                disk.name
            );
            return Err(Failure::new(Kind::Failed, "look at this node", cause)
                .advise("Stop the group here first"));
        }
    }
    Ok(())
}

/// Refuses to take back a disk that another node has taken while it is exported here: with
/// our key on it again, both could write.
fn not_lost(group: &Group, here: &Here, key: Key) -> Result<(), Failure> {
    let lost = here.disks.iter().zip(&here.reservations).find(|(disk, now)| {
        let path = lio::backstore_path(group.wwnn, disk.lun);
        let exported = here.found.export.backstore(&path).is_some_and(|b| b.enabled);
        exported && now.keys.iter().any(|other| *other != key)
    });
    let Some((disk, _)) = lost else { return Ok(()) };
    let cause = format!("LUN {} is exported, and {} is another's", disk.lun, disk.name);
    Err(Failure::new(Kind::Failed, "look at this node", cause)
        .advise("Stop the group here first"))
}

fn build(
    kernel: &dyn Kernel,
    node: &str,
    scope: &Scope,
    group: &Group,
    here: &Here,
    budget: Budget,
    phases: &mut Phases,
) -> Result<(), Failure> {
    let key = ownership::key_of(node);
    expedited(kernel, scope, budget, || {
        let [frame, own, rest @ ..] = steps(kernel, group, here, key);
        apply(kernel, &frame, budget)?;
        let results = match group.ownership {
            Ownership::Scsi3Pr => ownership::own(kernel, &here.disks, &own, key, budget)?,
            Ownership::None => own.run(kernel, budget),
        };
        done(own.title, results)?;
        phases.end(kernel, "own");
        rest.iter().try_for_each(|step| apply(kernel, step, budget))
    })?;
    phases.end(kernel, "export");
    not_elsewhere(kernel, &here.absent, budget)?;
    phases.end(kernel, "wait");
    let create = |(port, physical): &(PortSpec, PhysicalPort)| {
        vec![fabric::create(physical, port.wwpn, group.wwnn)]
    };
    let appear =
        Step::new("create the virtual port", here.absent.iter().map(create).collect());
    appear.apply(kernel, budget).map_err(|errors| {
        Failure::kernel(appear.title, &errors)
            .advise("The kernel's log has the driver's own words")
    })?;
    // While the port logs in and initiators find it: before they use what they know of.
    disk::rescan(kernel, &here.disks, budget);
    for port in group.ports.iter().filter(|port| !here.lost.contains(port)) {
        active(kernel, port, budget)?;
    }
    for PortSpec { wwpn, .. } in &here.lost {
        log::warn!("{wwpn} is left out: no physical port here is online in its fabric");
    }
    phases.end(kernel, "login");
    Ok(())
}

/// The steps up to the virtual port. The second owns each disk and then has LIO open it:
/// while one chain waits for its disk, another uses this node.
pub(super) fn steps(
    kernel: &dyn Kernel,
    group: &Group,
    here: &Here,
    key: Key,
) -> [Step; 4] {
    let now = &here.found.export;
    let [frame, open, luns, map] =
        export_steps(kernel, group, here.driver, &here.disks, now);
    let own = here.disks.iter().zip(open.chains).enumerate().map(|(at, (disk, open))| {
        let take = match group.ownership {
            // Of one that nothing is known of: as if it were free.
            Ownership::Scsi3Pr => {
                let now = here.reservations.get(at).cloned().unwrap_or_default();
                ownership::take(&disk.node, key, &now)
            }
            Ownership::None => Chain::new(),
        };
        [take, open].concat()
    });
    let own = Step::new("own the disks and make the backstores", own.collect());
    [frame, own, luns, map]
}

/// Exports what is not exported yet, disks first.
pub(super) fn export(
    kernel: &dyn Kernel,
    group: &Group,
    driver: &dyn Driver,
    disks: &[Disk],
    now: &Export,
    budget: Budget,
) -> Result<(), Failure> {
    let steps = export_steps(kernel, group, driver, disks, now);
    steps.iter().try_for_each(|step| apply(kernel, step, budget))
}

fn apply(kernel: &dyn Kernel, step: &Step, budget: Budget) -> Result<(), Failure> {
    done(step.title, step.run(kernel, budget))
}

/// Whether each chain of a step came to its end.
fn done(title: &'static str, results: Vec<ChainResult>) -> Result<(), Failure> {
    let errors: Vec<_> = results.into_iter().filter_map(|r| r.failed).collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::kernel(title, &errors).advise(advice(&errors))),
    }
}

/// What is not exported yet, disks first.
fn export_steps(
    kernel: &dyn Kernel,
    group: &Group,
    driver: &dyn Driver,
    disks: &[Disk],
    now: &Export,
) -> [Step; 4] {
    let mut frame = lio::frame(group, driver);
    frame.extend(state_directory(kernel));
    [
        Step::new("make the target's directories", frame),
        Step::new("make the backstores", lio::build(group, disks, now)),
        Step::new("make the LUNs", lio::luns(group, driver, now)),
        Step::new("map the LUNs", lio::mapped_luns(group, driver, now)),
    ]
}

/// Without this directory LIO refuses even those reservations of initiators that it need
/// not store (`core_scsi3_update_and_write_aptpl`).
fn state_directory(kernel: &dyn Kernel) -> Option<Chain> {
    let root = PathBuf::from(kernel.read(&paths::lio_dbroot()).ok()?.trim());
    let known = ["/var", "/etc"].iter().any(|dir| paths::is_below(&root, dir));
    let make = |path| Op::MakeDir(path);
    known.then(|| vec![make(root.clone()), make(root.join("pr"))])
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

/// Refuses while this node sees one of the names logged in on another node. With fencing
/// that is news that has not got here yet: a switch notices a dead FCoE port only when
/// some keep-alives are missing, 20 s by default. So it is given all the time there is; a
/// start that has failed is not tried again.
fn not_elsewhere(
    kernel: &dyn Kernel,
    absent: &[(PortSpec, PhysicalPort)],
    budget: Budget,
) -> Result<(), Failure> {
    for (port, _) in absent {
        while let Some(remote) = fabric::logged_in_elsewhere(kernel, port.wwpn)
            .map_err(|error| Failure::kernel("look for the port", &[error]))?
        {
            if budget.is_over(kernel) {
                let cause = format!("{} is logged in elsewhere ({remote})", port.wwpn);
                return Err(Failure::new(Kind::Failed, "look for the port", cause)
                    .advise("Stop or fence the node that still serves it"));
            }
            kernel.sleep(LOOK_AGAIN);
        }
    }
    Ok(())
}

fn active(kernel: &dyn Kernel, port: &PortSpec, budget: Budget) -> Result<(), Failure> {
    let step = "wait for the virtual port";
    loop {
        let ports =
            fabric::virtual_ports(kernel).map_err(|e| Failure::kernel(step, &[e]))?;
        let vport = ports.into_iter().find(|vport| vport.wwpn == port.wwpn);
        let state = vport.as_ref().map_or("gone", |vport| &vport.state);
        let host = fabric::host_of(kernel, port.wwpn);
        let online = host.as_ref().filter(|host| host.state == "Online");
        if let ("Active", Some(host), Some(vport)) = (state, online, &vport) {
            log::info!("{} is Active on {} as {}", port.wwpn, vport.parent, host.fcid);
            return Ok(());
        }
        let wwpn = port.wwpn;
        if let Some(advice) = fabric::hopeless(state) {
            let cause = format!("{wwpn} is in state '{state}'");
            return Err(Failure::new(Kind::Node, step, cause).advise(advice));
        }
        if budget.is_over(kernel) || vport.is_none() {
            let spent = budget.spent(kernel).as_secs_f32();
            let cause = format!("{wwpn} is in state '{state}' after {spent:.1} s");
            return Err(Failure::new(Kind::Failed, step, cause)
                .advise("See the fabric's log for a refused login"));
        }
        kernel.sleep(LOOK_AGAIN);
    }
}
