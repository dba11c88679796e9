//! Check: would a takeover succeed on this node, now? Nothing is changed.

use serde::Serialize;

use crate::budget::Budget;
use crate::disk::{self, Disk};
use crate::fabric;
use crate::failure::Failure;
use crate::group::{Group, Ownership, PortSpec};
use crate::kernel::{Chain, Kernel, Op};
use crate::lio::Driver;
use crate::ownership;
use crate::scope::Scope;

use super::status::{Owner, owner};
use super::survey;
use super::takeover::{driver, left_out, misconfigured, target_is_here};

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all, module = "understudy"))]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub what: &'static str,
    /// See [`Verdict`].
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

/// How a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// A takeover would succeed, and this is not as it should be.
    Doubtful,
    /// A takeover would fail.
    Bad,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, found: String, advice: &str) -> Self {
        Self { what, verdict, found, advice: advice.to_owned() }
    }

    /// As it should be.
    pub fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Good, found.into(), "")
    }

    /// Not as it should be.
    pub fn doubtful(what: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(what, Verdict::Doubtful, found.into(), advice)
    }

    /// In the way of a takeover.
    pub fn bad(what: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(what, Verdict::Bad, found.into(), advice)
    }

    /// One for each cause of a failure, or the one that there is none.
    fn of<T>(what: &'static str, found: Result<T, Failure>, well: &str) -> Vec<Self> {
        match found {
            Ok(_) => vec![Self::good(what, well)],
            Err(failure) => {
                let causes = failure.causes.iter();
                causes.map(|cause| Self::bad(what, cause, &failure.advice)).collect()
            }
        }
    }
}

/// Looks at everything that a takeover needs of this node, whatever is wrong before.
pub fn check(
    kernel: &dyn Kernel,
    node: &str,
    scope: &Scope,
    budget: Budget,
) -> Vec<Finding> {
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
    match driver(group) {
        Ok(driver) => {
            let well = format!("LIO is here, with {}", driver.module());
            findings.extend(Finding::of("target", target_is_here(kernel, driver), &well));
            findings.extend(physical_ports(kernel, scope, group, driver));
        }
        failed => findings.extend(Finding::of("driver", failed, "")),
    }
    let found = disk::find_all(kernel, &group.disks);
    findings.extend(Finding::of("disks", found, &format!("all {luns} are here")));
    let disks = disk::find_any(kernel, &group.disks);
    findings.extend(readable(kernel, &disks, budget));
    if group.ownership == Ownership::Scsi3Pr {
        findings.extend(reservations(kernel, node, &disks, budget));
    }
    findings
}

fn physical_ports(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    driver: &dyn Driver,
) -> Vec<Finding> {
    let what = "port";
    let found = match survey(kernel, scope) {
        Ok(found) => found,
        failed => return Finding::of(what, failed, ""),
    };
    let is_lost = |port: &PortSpec| left_out(kernel, group, port);
    let all_lost = group.ports.iter().all(is_lost);
    let one = |port: &PortSpec| {
        let wwpn = port.wwpn;
        if let Some(vport) = found.vports.iter().find(|vport| vport.wwpn == wwpn) {
            let told = format!("{wwpn} is {} here, on {}", vport.state, vport.parent);
            return vec![Finding::good(what, told)];
        }
        let chosen = fabric::choose(kernel, port, driver);
        let well = chosen.as_ref().map_or_else(
            |_| String::new(),
            |port| {
                format!(
                    "{wwpn} would go to {}, with room for {}",
                    port.host, port.vports_free
                )
            },
        );
        let mut findings = Finding::of(what, chosen, &well);
        if is_lost(port) && !all_lost {
            findings.iter_mut().for_each(|finding| finding.verdict = Verdict::Doubtful);
        }
        findings
    };
    group.ports.iter().flat_map(one).collect()
}

fn readable(kernel: &dyn Kernel, disks: &[Disk], budget: Budget) -> Vec<Finding> {
    let what = "reads";
    let chains: Vec<Chain> =
        disks.iter().map(|disk| vec![Op::ReadDisk(disk.node.clone())]).collect();
    let results = kernel.run(&chains, budget.end);
    let failed = disks.iter().zip(results).filter_map(|(disk, result)| {
        let found = format!("LUN {}: {}", disk.lun, result.failed?);
        Some(Finding::bad(what, found, "See the kernel's log; check the disk's paths"))
    });
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() && !disks.is_empty() {
        return vec![Finding::good(what, format!("{} disks answer", disks.len()))];
    }
    failed
}

/// Whether the disks do what an owner needs, and whose they are.
fn reservations(
    kernel: &dyn Kernel,
    node: &str,
    disks: &[Disk],
    budget: Budget,
) -> Vec<Finding> {
    let what = "reservations";
    let nodes: Vec<_> = disks.iter().map(|disk| disk.node.clone()).collect();
    let ours = ownership::key_of(node);
    let (mut findings, mut counts) = (Vec::new(), [0; 3]);
    let [here, elsewhere, nobodys] = &mut counts;
    for (disk, now) in disks.iter().zip(ownership::read(kernel, &nodes, budget)) {
        if let Err(error) = &now {
            let found = format!("LUN {} ({}): {error}", disk.lun, disk.device);
            let advice = "A disk without persistent reservations needs ownership=none, \
                          and something else that guarantees one owner";
            findings.push(Finding::bad(what, found, advice));
        }
        match owner(Some(now), ours).0 {
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
