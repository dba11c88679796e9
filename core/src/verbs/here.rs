//! What this node has for a group, observed before anything is changed.

use std::time::Duration;

use super::{late, look, unseen};
use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind, Missing};
use crate::config::group::{Group, LinkLoss, Ownership, PortSpec, Slot};
use crate::disks::disk::{self, Disk};
use crate::disks::holders;
use crate::disks::ownership::{self, Held, Keys, Whose};
use crate::fc::{self, PhysicalPort, VirtualPort};
use crate::kernel::Kernel;
use crate::lio::{self, Driver, Export, Situation, TCM_FC, Wanted, numbers};
use crate::situation::found::Found;
use crate::situation::scope::Scope;

/// How much of the time may be spent waiting for disks after a boot, and for physical
/// ports that may come online, in percent.
const PERCENT_TO_COME: u32 = 40;
/// How long after a node's boot its disks may still come. After a power cut at a whole
/// site, arrays take longer to start than nodes. Later a missing disk is not waited for,
/// so that another node can serve soon.
const BOOTING: Duration = Duration::from_secs(600);
/// How long further disks may come after some have. An array that is up shows all its
/// disks at once.
const STRAGGLING: Duration = Duration::from_secs(5);
/// The time between two looks for a port or for disks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The observations of a takeover: what this node has for the group.
pub(super) struct Here {
    pub driver: &'static dyn Driver,
    /// Every disk that a node owns for the group: the LUNs' disks, then the state disk.
    pub disks: Vec<Held>,
    pub found: Found,
    /// The ports that have to appear, each with the physical port that is to carry it.
    /// Some have to be made, others can be used again ([`Situation::is_reusable`]).
    pub absent: Vec<(PortSpec, PhysicalPort)>,
    /// The ports that the group is served without, because their fabric is lost; see
    /// [`left_out`].
    pub lost: Vec<PortSpec>,
}

/// Observes this node, and waits for what may still come. After a boot, disks may come,
/// and a physical port's link or login. After a failure a physical port may also be dark
/// because the group that has its names is still on its way to this node, and will turn
/// it on.
pub(super) fn with_all_that_comes(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    budget: Budget,
) -> Result<Here, Failure> {
    let patience = budget.first(PERCENT_TO_COME);
    let a_port = || {
        fc::physical_ports(kernel)
            .is_ok_and(|ports| ports.iter().any(PhysicalPort::may_come))
    };
    let (disks, mut here, mut since) = (group.all_disks(), 0, kernel.now());
    let mut a_disk = || {
        let found = disk::find_any(kernel, &disks).len();
        if found != here {
            (here, since) = (found, kernel.now());
        }
        let straggles = kernel.now().saturating_sub(since) < STRAGGLING;
        kernel.now() < BOOTING && found < disks.len() && (found == 0 || straggles)
    };
    loop {
        match observe(kernel, scope, group) {
            Err(failure) if !patience.is_over(kernel) => match failure.missing {
                Some(Missing::Port) if a_port() => {}
                Some(Missing::Disk) if a_disk() => {}
                _ => return Err(failure),
            },
            answer => return answer,
        }
        kernel.sleep(LOOK_AGAIN);
    }
}

/// Checks that this node has what the group needs: modules, disks and ports. No disk may
/// be smaller than initiators know it ([`Scope::known`]). If the disks are not on this
/// node yet ([`Scope::maker`]), their absence is no failure.
pub fn check_node(
    kernel: &dyn Kernel,
    scope: &Scope,
    budget: Budget,
) -> Result<(), Failure> {
    let group = scope.group.as_ref().map_err(misconfigured)?;
    late::answers(kernel, &group.name)?;
    let here = match scope.maker {
        Some(_) => {
            let disks = disk::find_any(kernel, &group.all_disks());
            observe_with(kernel, scope, group, || Ok(disks))?
        }
        None => observe(kernel, scope, group)?,
    };
    if let Some(known) = &scope.known {
        numbers::not_smaller(kernel, group, &here.owned(), known)?;
    }
    here.with_owners(kernel, group, budget).map(drop)
}

pub(super) fn misconfigured(error: &crate::config::group::GroupError) -> Failure {
    Failure::of(Kind::Configuration, "read the parameters", error.0.clone())
}

/// Observes everything that a takeover needs, except the disks' owners. Nothing is
/// changed.
pub(super) fn observe(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
) -> Result<Here, Failure> {
    observe_with(kernel, scope, group, || find_disks(kernel, scope, group))
}

/// Observes everything that a takeover needs, except the disks' owners. The disks are
/// those that `find` returns.
fn observe_with(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    find: impl FnOnce() -> Result<Vec<Disk>, Failure>,
) -> Result<Here, Failure> {
    // Names are checked before disks, so that a conflict is reported even if a disk is
    // missing.
    scope.claims.allow(kernel, group, [])?;
    let drivers = lio::candidates(group.driver);
    lio::is_here(kernel, &drivers)?;
    let unserved = |host: &str| lio::unserved(&drivers, host);
    let disks = find()?;
    scope.claims.allow(kernel, group, &disks)?;
    let found = look(kernel, scope)?;
    same_disks(group, &disks, &found.export)?;
    same_state(&disks, &found)?;
    let (mut absent, mut lost) = (Vec::new(), Vec::new());
    for port in &group.ports {
        let vport = found.vport(port.wwpn);
        if let Some(VirtualPort { vport, wwnn, .. }) =
            vport.filter(|vport| vport.wwnn != group.wwnn)
        {
            let cause = format!("{vport} has this port name, and node name {wwnn}");
            return Err(Failure::new(Kind::Failed, "look at this node", cause)
                .advise("Delete it, or correct wwnn"));
        }
        match (found.situation(port.wwpn), vport) {
            (Situation::Serving, _) => {}
            // A virtual port of a start that was cut short is completed. A physical port
            // is turned off first, and turned on again with its group.
            (Situation::Partial, Some(vport)) if !vport.is_own() => {}
            (Situation::Orphaned, _) => return Err(orphaned(&found, port)),
            (_, None) if left_out(kernel, group, port)? => lost.push(port.clone()),
            _ => {
                let physical = fc::choose(kernel, port, vport, &unserved)?;
                absent.push((port.clone(), physical));
            }
        }
    }
    let own = absent.iter().filter(|(port, physical)| port.wwpn == physical.wwpn);
    own.map(|(_, physical)| physical)
        .try_for_each(|p| same_node_name(kernel, group, p))?;
    let driver = driver(kernel, group, &found, &absent)?;
    lio::is_here(kernel, &[driver])?;
    let carriers = absent.iter().map(|(_, physical)| physical.wwpn);
    carriers.filter_map(|wwpn| driver.ready(kernel, wwpn)).collect::<Result<(), _>>()?;
    let needed = match lost.len() == group.ports.len() {
        true => &lost,
        false => driver.needed(&lost),
    };
    if let Some(port) = needed.first() {
        fc::choose(kernel, port, None, &unserved)?;
    }
    let disks = disks.into_iter().map(Held::from).collect();
    Ok(Here { driver, disks, found, absent, lost })
}

/// Checks that a group with a physical port's port name also has that port's node name.
fn same_node_name(
    kernel: &dyn Kernel,
    group: &Group,
    physical: &PhysicalPort,
) -> Result<(), Failure> {
    let PhysicalPort { host, wwpn, .. } = physical;
    let its = fc::wwnn(kernel, host).map_err(fc::unreadable)?;
    if its == Some(group.wwnn) {
        return Ok(());
    }
    let its = its.map_or("none".into(), |name| name.to_string());
    let cause = format!("{host} has the name {wwpn}, and node name {its}");
    Err(Failure::new(Kind::Configuration, fc::CHOOSE, cause)
        .advise("A group with a physical port's name has its node name as well"))
}

/// Returns whether a group may be served on this node without one of its ports: the
/// configuration tolerates a lost link, and this node has lost the port's fabric. Its
/// other ports serve every LUN too. Once the fabric is back, a monitor reports the
/// missing port.
///
/// # Errors
/// When a physical port cannot be read, because it would not be known which fabrics are
/// lost.
pub(super) fn left_out(
    kernel: &dyn Kernel,
    group: &Group,
    port: &PortSpec,
) -> Result<bool, Failure> {
    match group.link_loss {
        LinkLoss::Degraded => fc::is_lost(kernel, port).map_err(unseen),
        LinkLoss::Fail => Ok(false),
    }
}

/// Returns the disks of a group: those of the LUNs, then the state disk.
pub(super) fn find_disks(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
) -> Result<Vec<Disk>, Failure> {
    let found = disk::find_all(kernel, &group.all_disks(), &scope.in_use())?;
    if group.ownership == Ownership::Scsi3Pr {
        disk::whole(kernel, &found)?;
    }
    holders::none(kernel, &found)?;
    Ok(found)
}

/// Returns those of a group's disks that are behind LUNs.
pub(super) fn luns(disks: &[Disk]) -> Vec<Disk> {
    disks.iter().filter(|disk| disk.slot != Slot::Reservations).cloned().collect()
}

/// Returns the state disk among a group's disks, if it has one.
pub(super) fn state_device(disks: &[Disk]) -> Option<&Disk> {
    disks.iter().find(|disk| disk.slot == Slot::Reservations)
}

/// Returns the failure of a target whose port somebody else has deleted. The target takes
/// no other port, and as long as it exists no new target can have its name.
pub(super) fn orphaned(found: &Found, port: &PortSpec) -> Failure {
    let path = found.export.tree(port.wwpn).map(|tree| tree.path.clone());
    let cause = format!("the target {} has lost its port", port.wwpn);
    let failure = Failure::new(Kind::Node, "look at this node", cause)
        .advise("Boot the node: its kernel cannot bind the target to a new port");
    Failure { path, ..failure }
}

impl Here {
    /// Returns every disk that a node owns for the group: the LUNs' disks, then the state
    /// disk.
    pub(super) fn owned(&self) -> Vec<Disk> {
        self.disks.iter().map(|held| held.disk.clone()).collect()
    }

    /// Returns a group beside these observations of it, as a driver is given them.
    pub(super) fn wanted<'a>(&'a self, group: &'a Group) -> Wanted<'a> {
        let Found { vports, export, .. } = &self.found;
        Wanted { group, driver: self.driver, export, vports, absent: &self.absent }
    }

    /// Returns these observations with the disks' reservations, if the group uses
    /// reservations.
    pub(super) fn with_owners(
        self,
        kernel: &dyn Kernel,
        group: &Group,
        budget: Budget,
    ) -> Result<Self, Failure> {
        let disks = match group.ownership {
            Ownership::Scsi3Pr => ownership::observe(kernel, &self.owned(), budget)?,
            Ownership::None => return Ok(self),
        };
        Ok(Self { disks, ..self })
    }
}

/// Returns the driver that serves the group on this node: the one of its targets, or else
/// of its ports.
pub(super) fn driver(
    kernel: &dyn Kernel,
    group: &Group,
    found: &Found,
    absent: &[(PortSpec, PhysicalPort)],
) -> Result<&'static dyn Driver, Failure> {
    let candidates = lio::candidates(group.driver);
    let of_host = |host: &str| candidates.iter().copied().find(|d| d.serves(host));
    // Targets decide first. A port without a target, and one that is still to appear, has
    // the driver of its host.
    let mut drivers: Vec<_> = found.export.trees.iter().map(|tree| tree.driver).collect();
    let bare = found.vports.iter().filter(|v| found.export.tree(v.wwpn).is_none());
    for vport in bare {
        let host = fc::host_driver(kernel, &vport.parent).map_err(unseen)?;
        drivers.extend(of_host(&host));
    }
    drivers.extend(absent.iter().filter_map(|(_, physical)| of_host(&physical.driver)));
    match drivers.iter().find(|driver| Some(driver) != drivers.first().as_ref()) {
        None => Ok(drivers.first().or(candidates.first()).copied().unwrap_or(&TCM_FC)),
        Some(other) => {
            let first = drivers.first().map_or("", |driver| driver.name());
            let cause =
                format!("its ports have two drivers, {first} and {}", other.name());
            Err(Failure::new(Kind::Node, "choose a driver", cause).advise(
                "All ports of a group need one driver: choose it with the \
                 parameter driver",
            ))
        }
    }
}

/// Checks that no backstore has another disk than the configured one. That disk would be
/// served under a wrong identity.
fn same_disks(group: &Group, disks: &[Disk], export: &Export) -> Result<(), Failure> {
    for disk in disks {
        let path = lio::backstore_of(group.wwnn, disk);
        let there = path.and_then(|path| export.backstore(&path));
        let Some(there) = there else { continue };
        if !there.holds(group.wwnn, disk) {
            let cause = format!(
                "{} is exported from {} and should be {} ({})",
                disk.slot,
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

/// Checks that no keeper uses another disk than the group's state disk. Its records would
/// be taken for this group's.
pub(super) fn same_state(disks: &[Disk], found: &Found) -> Result<(), Failure> {
    let state = state_device(disks);
    for device in found.keepers.iter().filter_map(|keeper| keeper.device.as_ref()) {
        if state.is_none_or(|state| state.node != *device) {
            let cause = format!("reservations are kept on {} here", device.display());
            return Err(Failure::new(Kind::Failed, "look at this node", cause)
                .advise("Stop the group here first"));
        }
    }
    Ok(())
}

/// Checks that no disk that is exported here was taken by another node. If this node took
/// it back, both could write.
pub(super) fn not_lost(group: &Group, here: &Here, keys: &Keys) -> Result<(), Failure> {
    let lost = here.disks.iter().filter_map(Held::answered).find(|(disk, now)| {
        let path = lio::backstore_of(group.wwnn, disk);
        let there = path.and_then(|path| here.found.export.backstore(&path));
        let exported = there.is_some_and(|b| b.enabled);
        exported && now.keys.iter().any(|other| keys.whose(*other) == Whose::Partners)
    });
    let Some((disk, _)) = lost else { return Ok(()) };
    let cause = format!("{} is exported, and {} is another's", disk.slot, disk.name);
    Err(Failure::new(Kind::Failed, "look at this node", cause)
        .advise("Stop the group here first"))
}
