//! Check: would a takeover succeed on this node now? Nothing is changed.

use serde::Serialize;

use crate::action::Action;
use crate::action::failure::Failure;
use crate::config::group::{DiskSpec, Group, Ownership, PortSpec};
use crate::disks::disk::{self, Disk};
use crate::disks::holders;
use crate::disks::ownership::{self, Keys};
use crate::fc::{self, PhysicalPort};
use crate::kernel::{self, Chain, Kernel, Op, paths};
use crate::lio::{self, Driver, Situation};
use crate::saved_reservations;
use crate::situation::found::Found;
use crate::situation::neighbours::{self, Saved};
use crate::situation::scope::Scope;

use super::here::{left_out, misconfigured, orphaned, state_device};
use super::multipath;
use super::nftables;
use super::status::{Owner, owner};
use super::{survey, unseen};

/// A result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
#[non_exhaustive]
pub struct Finding {
    /// The subject of the check, in a word or two.
    pub what: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found, in a sentence.
    pub found: String,
    /// What to do about it; empty if nothing is to be done.
    pub advice: String,
}

/// How bad a finding is. The list is exhaustive, and in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything is as it should be.
    Good,
    /// Something is wrong, but a takeover would succeed.
    Doubtful,
    /// A takeover would fail.
    Bad,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, found: String, advice: &str) -> Self {
        Self { what, verdict, found, advice: advice.to_owned() }
    }

    /// Returns a finding that nothing is wrong.
    pub fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Good, found.into(), "")
    }

    /// Returns a finding of something wrong that does not stop a takeover.
    pub fn doubtful(what: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(what, Verdict::Doubtful, found.into(), advice)
    }

    /// Returns a finding of something that makes a takeover fail.
    pub fn bad(what: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(what, Verdict::Bad, found.into(), advice)
    }

    /// Returns a bad finding for each cause of a failure, or a good one if there is none.
    fn of<T>(what: &'static str, found: Result<T, Failure>, well: &str) -> Vec<Self> {
        match found {
            Ok(_) => vec![Self::good(what, well)],
            Err(failure) => {
                let causes = failure.causes.iter();
                causes
                    .map(|cause| Self::bad(what, cause.to_string(), &failure.advice))
                    .collect()
            }
        }
    }
}

/// Checks everything that a takeover needs of this node, and returns all findings.
pub fn check(action: &Action, scope: &Scope) -> Vec<Finding> {
    let Action { kernel, budget, .. } = *action;
    let group = match &scope.group {
        Ok(group) => group,
        Err(error) => {
            return Finding::of::<()>("parameters", Err(misconfigured(error)), "");
        }
    };
    let (luns, ports) = (group.disks.len(), group.ports.len());
    let told =
        format!("LUNs: {luns}, ports: {ports}, initiators: {}", group.initiators.len());
    let mut findings = vec![Finding::good("parameters", told)];
    findings.extend(numbers(group));
    let drivers = lio::candidates(group.driver);
    let loaded = drivers.iter().filter(|d| kernel.exists(&paths::module(d.module())));
    let loaded: Vec<_> = loaded.map(|driver| driver.module()).collect();
    let well = format!("LIO is here, with {}", loaded.join(" and "));
    findings.extend(Finding::of("target", lio::is_here(kernel, &drivers), &well));
    findings.extend(physical_ports(action, scope, group, &drivers));
    findings.extend(port_ids(kernel));
    let specs = group.all_disks();
    let found = disk::find_all(kernel, &specs, &scope.in_use());
    let disks = found.clone().unwrap_or_else(|_| disk::find_any(kernel, &specs));
    let found = Finding::of("disks", found, &format!("all {luns} are here"));
    findings.extend(to_come(found, scope));
    findings.extend(doubtful_names(&specs));
    let held = holders::none(kernel, &disks);
    findings.extend(Finding::of("holders", held, "nothing else on this node has a disk"));
    let who = disk::identified(kernel, &disks, budget);
    findings.extend(Finding::of(
        "identity",
        who,
        "each disk is what this node knows it as",
    ));
    let whose = scope.claims.allow(kernel, group, &disks);
    findings.extend(Finding::of("whose", whose, "no other group here has any of it"));
    findings.extend(to_come(readable(action, &disks), scope));
    findings.extend(to_come(state(action, group, &disks), scope));
    if group.ownership == Ownership::Scsi3Pr {
        let whole = disk::whole(kernel, &disks);
        findings.extend(Finding::of("whole", whole, "no disk is a part of another"));
        findings.extend(reservations(action, &disks));
        findings.extend(multipath::findings(kernel, &disks, budget));
    }
    findings.extend(changed_by_others(kernel, group, &disks));
    findings
}

/// Returns a finding for each way in which targetcli's service would change the group's
/// targets or take its disks.
fn changed_by_others(kernel: &dyn Kernel, group: &Group, disks: &[Disk]) -> Vec<Finding> {
    let what = "neighbours";
    let unguarded = neighbours::unguarded(kernel);
    let mut findings = Vec::new();
    if !unguarded.is_empty() {
        let found = format!("{} would clear this group's LUNs", unguarded.join(" and "));
        let advice = "Turn it off (systemctl disable), or restore the package's own \
                      understudy.conf beside it: neighbours.md";
        findings.push(Finding::doubtful(what, found, advice));
    }
    if let Some(saved) = Saved::read(kernel) {
        let has = saved.has(kernel, group, disks, !unguarded.is_empty());
        if !has.is_empty() {
            let found = format!("{} has {}", saved.file.display(), has.join(", "));
            let advice = "A boot would restore that beside the group: while no group \
                          is here, delete it in targetcli and save";
            findings.push(Finding::doubtful(what, found, advice));
        }
    }
    findings
}

/// Returns findings about disks. If the disks are not on this node yet
/// ([`Scope::maker`]), no finding is bad, because nothing can be judged.
fn to_come(findings: impl IntoIterator<Item = Finding>, scope: &Scope) -> Vec<Finding> {
    let judged = |finding: Finding| match &scope.maker {
        Some(maker) if finding.verdict == Verdict::Bad => Finding::doubtful(
            finding.what,
            format!(
                "{}; it is made by {maker}, which does not run here: it cannot be judged",
                finding.found
            ),
            &format!("See that {maker} could run here"),
        ),
        _ => finding,
    };
    findings.into_iter().map(judged).collect()
}

fn physical_ports(
    action: &Action,
    scope: &Scope,
    group: &Group,
    drivers: &[&'static dyn Driver],
) -> Vec<Finding> {
    let kernel = action.kernel;
    let what = "port";
    let found = match survey(kernel, scope) {
        Ok(found) => found,
        failed => return Finding::of(what, failed, ""),
    };
    // If this is not known for a port, the port is judged as one that has to be here.
    let is_lost = |port: &PortSpec| left_out(kernel, group, port).unwrap_or(false);
    let all_lost = group.ports.iter().all(is_lost);
    let unserved = |host: &str| lio::unserved(drivers, host);
    let one = |port: &PortSpec| {
        let (wwpn, there) = (port.wwpn, found.vport(port.wwpn));
        match (found.situation(wwpn), there) {
            (Situation::Serving | Situation::Partial, Some(vport)) => {
                let told = format!("{wwpn} is {} here, on {}", vport.state, vport.parent);
                return vec![Finding::good(what, told)];
            }
            (Situation::Orphaned, _) => {
                return Finding::of::<()>(what, Err(orphaned(&found, port)), "");
            }
            _ => {}
        }
        let chosen = fc::choose(kernel, port, there, &unserved);
        let well = chosen.as_ref().map_or_else(
            |_| String::new(),
            |port| match port.wwpn == wwpn {
                true => format!("{} would be turned on: {wwpn} is its name", port.host),
                false => {
                    let free = port.vports_free;
                    format!("{wwpn} would go to {}, with room for {free}", port.host)
                }
            },
        );
        let mut findings = Finding::of(what, chosen, &well);
        if is_lost(port) && !all_lost {
            findings.iter_mut().for_each(|finding| finding.verdict = Verdict::Doubtful);
        }
        findings
    };
    let mut findings: Vec<_> = group.ports.iter().flat_map(one).collect();
    let carriers = match carriers(kernel, group, &unserved, &found) {
        Ok(carriers) => carriers,
        failed => {
            findings.extend(Finding::of(what, failed, ""));
            return findings;
        }
    };
    for PhysicalPort { host, wwpn, driver, .. } in &carriers {
        let driver = drivers.iter().find(|its| its.serves(driver));
        let ready = driver.and_then(|its| Some((its, its.ready(kernel, *wwpn)?)));
        let Some((driver, ready)) = ready else { continue };
        let ready = lio::is_here(kernel, &[*driver]).and(ready);
        let well = format!("{} is ready on {host}", driver.name());
        findings.extend(Finding::of("driver", ready, &well));
        let doubts = driver.doubts(kernel, *wwpn).into_iter();
        findings.extend(
            doubts.map(|(found, advice)| Finding::doubtful("driver", found, advice)),
        );
    }
    let barred = |port: &PhysicalPort| fc::software_link(kernel, &port.host).is_some();
    if carriers.iter().any(barred) {
        findings.extend(no_bar(action));
    }
    findings
}

/// Returns a finding if a stop could set no bar on this node.
fn no_bar(action: &Action) -> Option<Finding> {
    let why = nftables::unavailable(action.kernel, action.budget)?.to_string();
    let advice = "Install nftables. Without them a stop cannot count what is in flight nor \
                  keep new commands out: it takes seconds more and may log the port out \
                  under a command, which hangs the kernel; then the node is fenced";
    Some(Finding::doubtful("bar", why, advice))
}

/// Returns the physical ports that carry the group, or would. None is listed twice.
fn carriers(
    kernel: &dyn Kernel,
    group: &Group,
    unserved: &dyn Fn(&str) -> Option<String>,
    found: &Found,
) -> Result<Vec<PhysicalPort>, Failure> {
    let mut carriers: Vec<PhysicalPort> = Vec::new();
    for port in &group.ports {
        let chosen = match found.vport(port.wwpn) {
            Some(vport) => fc::physical_ports(kernel)
                .map_err(unseen)?
                .into_iter()
                .find(|physical| physical.host == vport.parent),
            None => fc::choose(kernel, port, None, unserved).ok(),
        };
        let Some(physical) = chosen else { continue };
        if carriers.iter().all(|known| known.host != physical.host) {
            carriers.push(physical);
        }
    }
    Ok(carriers)
}

/// Returns a finding for each kind of LUN number that some initiators do not support.
fn numbers(group: &Group) -> Vec<Finding> {
    let what = "LUN numbers";
    let mut findings = Vec::new();
    if let Some(high) = group.luns().find(|lun| *lun > 255) {
        let found = format!("LUN {high} is above 255");
        let advice = "LIO gives such a number no address method (SAM-5 4.7), which Linux \
                      reads and others, such as ESXi, may not: use numbers up to 255";
        findings.push(Finding::doubtful(what, found, advice));
    }
    if group.luns().all(|lun| lun != 0) {
        let advice = "Some initiators ask LUN 0 alone which LUNs there are, and want a disk \
                      behind it: give one the number 0";
        findings.push(Finding::doubtful(what, "there is no LUN 0", advice));
    }
    findings
}

/// Returns a finding for each disk whose name may mean another disk on the partner.
fn doubtful_names(specs: &[DiskSpec]) -> Vec<Finding> {
    let doubt = |spec: &DiskSpec| {
        let found = format!("{} ({}): {}", spec.slot, spec.device, spec.device.doubt()?);
        let advice =
            "Use the disk's own name: its WWID, or its path under /dev/disk/by-id";
        Some(Finding::doubtful("names", found, advice))
    };
    specs.iter().filter_map(doubt).collect()
}

/// Returns a finding if this kernel is too old to set relative target port ids.
fn port_ids(kernel: &dyn Kernel) -> Option<Finding> {
    let release = kernel::is_before(kernel, (6, 4))?;
    let found = format!("kernel {release} gives relative target port ids by itself");
    let advice = "Usually they are the same as on a newer kernel: in the order of \
                  ports. From 6.4 on understudy sets them";
    Some(Finding::doubtful("port ids", found, advice))
}

/// Returns a finding about the state disk: whether this node can read it.
fn state(action: &Action, group: &Group, disks: &[Disk]) -> Option<Finding> {
    let what = "initiators";
    if group.state.is_none() {
        let found = "reservations that they make end when the group moves";
        return Some(Finding::good(what, found));
    }
    let disk = state_device(disks)?;
    let advice = "The state device has to be a disk of the group's own";
    Some(match saved_reservations::load(action.kernel, &disk.node, action.budget) {
        Ok(records) => {
            let luns = records.iter().filter(|record| !record.text.is_empty()).count();
            Finding::good(what, format!("reservations are kept; of {luns} LUNs now"))
        }
        Err(error) => Finding::bad(what, error.to_string(), advice),
    })
}

fn readable(action: &Action, disks: &[Disk]) -> Vec<Finding> {
    let what = "reads";
    let chains: Vec<Chain> =
        disks.iter().map(|disk| vec![Op::ReadDisk(disk.node.clone())]).collect();
    let results = action.kernel.run(&chains, action.budget.end);
    let failed = disks.iter().zip(results).filter_map(|(disk, result)| {
        let found = format!("{}: {}", disk.slot, result.failed?);
        Some(Finding::bad(what, found, "See the kernel's log; check the disk's paths"))
    });
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() && !disks.is_empty() {
        return vec![Finding::good(what, format!("{} disks answer", disks.len()))];
    }
    failed
}

/// Returns findings about reservations: whether the disks support them, and who owns
/// them.
fn reservations(action: &Action, disks: &[Disk]) -> Vec<Finding> {
    let Action { kernel, node, budget, .. } = *action;
    let what = "reservations";
    let keys = match Keys::of(kernel, node).map_err(unseen) {
        Ok(keys) => keys,
        failed => return Finding::of(what, failed, ""),
    };
    let (mut findings, mut counts) = (Vec::new(), [0; 3]);
    let [here, elsewhere, nobodys] = &mut counts;
    for (disk, now) in ownership::each(kernel, disks, budget) {
        if let Err(error) = &now {
            let found = format!("{} ({}): {error}", disk.slot, disk.device);
            findings.push(Finding::bad(what, found, ownership::advice([error])));
        }
        let others =
            now.as_ref().map(|now| ownership::nobody_elses([(disk, now)], &keys));
        if let Ok(Err(failure)) = others {
            findings.extend(Finding::of::<()>(what, Err(failure), ""));
        }
        match owner(Some(now), &keys).0 {
            Owner::ThisNode => *here += 1,
            Owner::Another => *elsewhere += 1,
            Owner::Nobody => *nobodys += 1,
            Owner::NotReserved | Owner::Unknown => {}
        }
    }
    let told = counts.iter().zip(["this node's", "another's", "nobody's"]);
    let told = told.filter(|(count, _)| **count > 0);
    let told: Vec<_> = told.map(|(count, whose)| format!("{count} {whose}")).collect();
    if !told.is_empty() {
        findings.push(Finding::good(what, told.join(", ")));
    }
    findings
}
