//! Takeover: own the disks, build the target, and only then let the port appear.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::expedited::expedited;
use super::look;
use super::release;
use crate::budget::Budget;
use crate::disk::{self, Disk};
use crate::fabric::{self, PhysicalPort, VirtualPort};
use crate::failure::{Failure, Kind};
use crate::group::{Group, LinkLoss, Ownership, PortSpec, STATE};
use crate::kept;
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
/// How much of it may be waited for a physical port that another group turns on.
const PERCENT_TO_BE_LIT: u32 = 40;
/// Between two looks at a state that the kernel announces by no event.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A takeover's observations: what this node has for the group.
pub(super) struct Here {
    pub driver: &'static dyn Driver,
    /// The LUNs' disks.
    pub disks: Vec<Disk>,
    /// The state device, where the group has one.
    pub state: Option<Disk>,
    /// As the disks report it; empty where it was not asked for.
    pub reservations: Vec<Reservation>,
    pub found: Found,
    /// The ports that have to appear, with the physical port for each: to be made, or made
    /// before and kept ([`Found::is_kept`]).
    pub absent: Vec<(PortSpec, PhysicalPort)>,
    /// Those that cannot be made here; see [`left_out`].
    pub lost: Vec<PortSpec>,
}

/// What a takeover does, in its order.
pub(super) struct Steps {
    /// The backstores' directory; then each disk is owned and LIO opens it: while one
    /// chain waits for its disk, another uses this node.
    pub disks: [Step; 2],
    /// The target of a driver that needs no port for it.
    pub export: Vec<Step>,
    /// The moment in which the names appear on the fabric.
    pub create: Step,
    /// The target of a driver that binds it to its port, and that it serves from now on.
    pub bound: Vec<Step>,
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
    let mut here = with_a_port(kernel, scope, group, budget)?;
    let exported = here.found.export.backstores.iter().any(|b| b.enabled);
    let owned = here.owned();
    if exported || !ownership::seem_free(kernel, &owned, budget) {
        here = here.with_owners(kernel, group, budget)?;
        not_lost(group, &here, ownership::key_of(node))?;
    }
    let entry = |(port, physical): &(PortSpec, PhysicalPort)| {
        Entry::new(kernel, node, group, &owned, port, physical)
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

/// Observes; and where no physical port will do and one is dark, waits for it to be turned
/// on by the group whose names it has: after a failure both come to this node at once.
fn with_a_port(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    budget: Budget,
) -> Result<Here, Failure> {
    let patience = budget.first(PERCENT_TO_BE_LIT);
    loop {
        match observe(kernel, scope, group) {
            Err(failure)
                if failure.step == fabric::CHOOSE
                    && !patience.is_over(kernel)
                    && fabric::dark_ports(kernel) > 0 => {}
            answer => return answer,
        }
        kernel.sleep(LOOK_AGAIN);
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
    let drivers = lio::candidates(group.driver);
    target_is_here(kernel, &drivers)?;
    let (disks, state) = find_disks(kernel, group)?;
    let found = look(kernel, scope)?;
    same_disks(group, &disks, &found.export)?;
    same_state(state.as_ref(), &found)?;
    let (mut absent, mut lost) = (Vec::new(), Vec::new());
    for port in &group.ports {
        let vport = found.vport(port.wwpn);
        match vport {
            Some(vport) if vport.wwnn != group.wwnn => {
                let VirtualPort { vport, wwnn, .. } = vport;
                let cause = format!("{vport} has this port name, and node name {wwnn}");
                return Err(Failure::new(Kind::Failed, "look at this node", cause)
                    .advise("Delete it, or correct wwnn"));
            }
            Some(vport) if vport.is_own() && !found.serves(port.wwpn) => {
                absent
                    .push((*port, fabric::choose(kernel, port, &drivers, Some(vport))?));
            }
            Some(_) if !found.is_kept(port.wwpn) => {}
            None if found.is_bound(port.wwpn) => return Err(widowed(&found, port)),
            None if left_out(kernel, group, port) => lost.push(*port),
            _ => absent.push((*port, fabric::choose(kernel, port, &drivers, vport)?)),
        }
    }
    if let Some((_, physical)) = absent.iter().find(|(port, its)| {
        port.wwpn == its.wwpn && fabric::wwnn(kernel, &its.host) != Some(group.wwnn)
    }) {
        let PhysicalPort { host, wwpn, .. } = physical;
        let its =
            fabric::wwnn(kernel, host).map_or("none".into(), |name| name.to_string());
        let cause = format!("{host} has the name {wwpn}, and node name {its}");
        return Err(Failure::new(Kind::Configuration, fabric::CHOOSE, cause)
            .advise("A group with a physical port's name has its node name as well"));
    }
    let driver = driver(kernel, group, &found, &absent)?;
    target_is_here(kernel, &[driver])?;
    absent.iter().try_for_each(|(_, physical)| driver.ready(kernel, physical.wwpn))?;
    // A target that belongs to its port cannot be there without it.
    let all = lost.len() == group.ports.len() || driver.binds();
    if let Some(port) = lost.first().filter(|_| all) {
        fabric::choose(kernel, port, &drivers, None)?;
    }
    Ok(Here { driver, disks, state, reservations: Vec::new(), found, absent, lost })
}

/// Whether a group is served without one of its ports here: its fabric is lost to this
/// node, and that is to be no failure. The other ones serve every LUN too. Once the fabric
/// is back, a monitor misses the port.
pub(super) fn left_out(kernel: &dyn Kernel, group: &Group, port: &PortSpec) -> bool {
    group.link_loss == LinkLoss::Degraded && fabric::is_lost(kernel, port)
}

/// The disks of a group's LUNs, and its state device.
///
/// # Errors
/// See [`disk::find_all`].
pub(super) fn find_disks(
    kernel: &dyn Kernel,
    group: &Group,
) -> Result<(Vec<Disk>, Option<Disk>), Failure> {
    let specs: Vec<_> = group.disks.iter().cloned().chain(group.state_disk()).collect();
    let found = disk::find_all(kernel, &specs)?;
    let (state, disks): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|disk| disk.lun == STATE);
    Ok((disks, state.into_iter().next()))
}

/// A target whose port was deleted by somebody else: it takes no other port, and while it is
/// there no other target can have its name.
pub(super) fn widowed(found: &Found, port: &PortSpec) -> Failure {
    let path = found.export.tree(port.wwpn).map(|tree| tree.path.clone());
    let cause = format!("the target {} has lost its port", port.wwpn);
    let failure = Failure::new(Kind::Node, "look at this node", cause)
        .advise("Boot the node: its kernel cannot bind the target to a new port");
    Failure { path, ..failure }
}

impl Here {
    /// Every disk that a node owns or does not: the LUNs', then the state device.
    pub(super) fn owned(&self) -> Vec<Disk> {
        self.disks.iter().chain(&self.state).cloned().collect()
    }

    /// With the disks' owners, where reservations are ours to make.
    pub(super) fn with_owners(
        self,
        kernel: &dyn Kernel,
        group: &Group,
        budget: Budget,
    ) -> Result<Self, Failure> {
        let reservations = match group.ownership {
            Ownership::Scsi3Pr => ownership::observe(kernel, &self.owned(), budget)?,
            Ownership::None => Vec::new(),
        };
        Ok(Self { reservations, ..self })
    }
}

/// The driver that serves the group here: that of its targets, or else of its ports.
pub(super) fn driver(
    kernel: &dyn Kernel,
    group: &Group,
    found: &Found,
    absent: &[(PortSpec, PhysicalPort)],
) -> Result<&'static dyn Driver, Failure> {
    let candidates = lio::candidates(group.driver);
    let of_host = |host: &str| candidates.iter().copied().find(|d| d.serves(host));
    let bare = found.vports.iter().filter(|v| found.export.tree(v.wwpn).is_none());
    let hosts = bare.map(|vport| fabric::host_driver(kernel, &vport.parent));
    let drivers = found.export.trees.iter().map(|tree| tree.driver);
    let drivers = drivers.chain(hosts.filter_map(|host| of_host(&host)));
    let ports = absent.iter().filter_map(|(_, physical)| of_host(&physical.driver));
    let drivers: Vec<_> = drivers.chain(ports).collect();
    match drivers.iter().find(|driver| Some(driver) != drivers.first().as_ref()) {
        None => Ok(drivers.first().or(candidates.first()).copied().unwrap_or(&TCM_FC)),
        Some(other) => {
            let first = drivers.first().map_or("", |driver| driver.name());
            let cause = format!("its ports are of {first} and {}", other.name());
            Err(Failure::new(Kind::Node, "choose a driver", cause)
                .advise("A group's ports have one driver: say which by driver"))
        }
    }
}

/// Whether LIO is here, and one of these drivers.
pub(super) fn target_is_here(
    kernel: &dyn Kernel,
    drivers: &[&dyn Driver],
) -> Result<(), Failure> {
    let loaded = |driver: &&dyn Driver| kernel.exists(&paths::module(driver.module()));
    if let (false, Some(driver)) = (drivers.iter().any(loaded), drivers.first()) {
        let cause = format!("the module {} is not loaded", driver.module());
        return Err(
            Failure::new(Kind::Node, "look at this node", cause).advise(driver.loaded())
        );
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

/// A keeper that keeps on another device would be believed to be this group's.
fn same_state(state: Option<&Disk>, found: &Found) -> Result<(), Failure> {
    for device in found.keepers.iter().filter_map(|keeper| keeper.device.as_ref()) {
        if state.is_none_or(|state| state.node != *device) {
            let cause = format!("reservations are kept on {} here", device.display());
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
    let lit = here.found.vports.iter().filter(|port| {
        port.is_own() && here.absent.iter().any(|(absent, _)| absent.wwpn == port.wwpn)
    });
    let lit = lit.map(|port| vec![fabric::delete(kernel, port)]).collect();
    // Initiators that meet it without its LUNs never ask again.
    apply(kernel, &Step::new("turn the physical port off", lit), budget)?;
    let Steps { disks: [frame, own], export, create, bound } =
        steps(kernel, group, here, key);
    expedited(kernel, scope, budget, || {
        apply(kernel, &frame, budget)?;
        let results = match group.ownership {
            Ownership::Scsi3Pr => {
                ownership::own(kernel, &here.owned(), &own, key, budget)?
            }
            Ownership::None => own.run(kernel, budget),
        };
        done(own.title, results)?;
        phases.end(kernel, "own");
        if let Some(state) = &here.state {
            let (disks, export) = (&here.disks, &here.found.export);
            let give_back = kept::give_back(kernel, group, state, disks, export, budget)?;
            apply(kernel, &give_back, budget)?;
            phases.end(kernel, "give back");
        }
        export.iter().try_for_each(|step| apply(kernel, step, budget))
    })?;
    phases.end(kernel, "export");
    not_elsewhere(kernel, &here.absent, budget)?;
    phases.end(kernel, "wait");
    create.apply(kernel, budget).map_err(|errors| {
        Failure::kernel(create.title, &errors)
            .advise("The kernel's log has the driver's own words")
    })?;
    if !bound.is_empty() {
        bind(kernel, scope, group, here, &bound, budget)?;
    }
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

/// Builds the target on ports that are there, and serves. A new port has logged in by
/// itself, as an initiator; it logs in again with its target.
fn bind(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    here: &Here,
    steps: &[Step],
    budget: Budget,
) -> Result<(), Failure> {
    for port in group.ports.iter().filter(|p| !here.found.is_kept(p.wwpn)) {
        active(kernel, port, budget)?;
    }
    expedited(kernel, scope, budget, || {
        steps.iter().try_for_each(|step| apply(kernel, step, budget))
    })
}

/// Everything up to the moment from which on the ports are served.
pub(super) fn steps(kernel: &dyn Kernel, group: &Group, here: &Here, key: Key) -> Steps {
    let now = &here.found.export;
    let [frame, open, target @ ..] =
        export_steps(kernel, group, here.driver, &here.disks, now);
    let open = open.chains.into_iter().chain(here.state.iter().map(|_| Chain::new()));
    let owned = here.owned();
    let own = owned.iter().zip(open).enumerate().map(|(at, (disk, open))| {
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
    let create = here.absent.iter().map(|(port, physical)| {
        match here.found.vport(port.wwpn) {
            None => vec![fabric::create(kernel, physical, port.wwpn, group.wwnn)],
            // On without a target: it was turned off before there was one.
            Some(vport) if vport.is_own() => {
                vec![fabric::create(kernel, physical, port.wwpn, group.wwnn)]
            }
            Some(vport) if vport.is_disabled() => Chain::new(),
            // Initiators have met it empty: it logs in anew.
            Some(vport) => vec![fabric::log_out(vport)],
        }
    });
    let create = Step::new("create the virtual port", create.collect());
    let (mut export, mut bound) = (target.to_vec(), Vec::new());
    if here.driver.binds() {
        std::mem::swap(&mut export, &mut bound);
        let serve = group.ports.iter().map(|port| serve(here, port)).collect();
        bound.push(Step::new("serve", serve));
    }
    Steps { disks: [frame, own], export, create, bound }
}

/// Has a port serve whose target is bound to it.
fn serve(here: &Here, port: &PortSpec) -> Chain {
    let wwpn = port.wwpn;
    let enabled = here.found.export.tree(wwpn).is_some_and(|tree| tree.enabled);
    let kept = here.found.vport(wwpn).filter(|_| here.found.is_kept(wwpn));
    match kept {
        _ if !enabled => vec![lio::enable(here.driver, wwpn)],
        Some(vport) => vec![fabric::log_in(vport)],
        None => Chain::new(),
    }
}

/// Exports what is not exported yet, disks first; given with the state device.
pub(super) fn export(
    kernel: &dyn Kernel,
    group: &Group,
    driver: &dyn Driver,
    (disks, state): (&[Disk], Option<&Disk>),
    now: &Export,
    budget: Budget,
) -> Result<(), Failure> {
    let [frame, open, rest @ ..] = export_steps(kernel, group, driver, disks, now);
    apply(kernel, &frame, budget)?;
    apply(kernel, &open, budget)?;
    if let Some(state) = state {
        apply(
            kernel,
            &kept::give_back(kernel, group, state, disks, now, budget)?,
            budget,
        )?;
    }
    rest.iter().try_for_each(|step| apply(kernel, step, budget))
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
) -> [Step; 5] {
    let mut targets = lio::targets(group, driver, now);
    let mut frame = vec![lio::frame(group)];
    if !driver.binds() {
        frame.append(&mut targets);
    }
    let root = kept::root(kernel);
    frame.extend(root.as_deref().map(state_directory));
    let mut backstores = lio::build(group, disks, now);
    if let (Some(root), Some(_)) = (root, &group.state) {
        for (disk, chain) in disks.iter().zip(&mut backstores) {
            if !now.is_linked(&lio::backstore_path(group.wwnn, disk.lun)) {
                chain.extend(kept::lead(&root, group, disk));
            }
        }
    }
    [
        Step::new("make the target's directories", frame),
        Step::new("make the backstores", backstores),
        Step::new("make the target ports", targets),
        Step::new("make the LUNs", lio::luns(group, driver, now)),
        Step::new("map the LUNs", lio::mapped_luns(group, driver, now)),
    ]
}

/// Without this directory LIO refuses even those reservations of initiators that it need
/// not store (`core_scsi3_update_and_write_aptpl`).
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
