//! Check: would a takeover succeed on this node, now? Nothing is changed.

use std::path::Path;

use serde::Serialize;

use crate::budget::Budget;
use crate::disk::{self, Disk};
use crate::fabric;
use crate::failure::Failure;
use crate::group::{Group, Ownership};
use crate::kernel::{Chain, Kernel, Op, paths};
use crate::lio::Driver;
use crate::ownership;
use crate::scope::Scope;

use super::look;
use super::takeover::{driver, misconfigured};

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// As it should be.
    pub fn good(what: &'static str, found: impl Into<String>) -> Self {
        let (found, advice) = (found.into(), String::new());
        Self { what, verdict: Verdict::Good, found, advice }
    }

    /// Not as it should be.
    pub fn doubtful(
        what: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (found, advice) = (found.into(), advice.into());
        Self { what, verdict: Verdict::Doubtful, found, advice }
    }

    /// In the way of a takeover.
    pub fn bad(
        what: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (found, advice) = (found.into(), advice.into());
        Self { what, verdict: Verdict::Bad, found, advice }
    }

    /// One for each cause of a failure.
    fn of(what: &'static str, failure: &Failure) -> Vec<Self> {
        let causes = failure.causes.iter();
        causes.map(|cause| Self::bad(what, cause, &failure.advice)).collect()
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
        Err(error) => return Finding::of("parameters", &misconfigured(error)),
    };
    let (luns, ports) = (group.disks.len(), group.ports.len());
    let told =
        format!("LUNs: {luns}, ports: {ports}, initiators: {}", group.initiators.len());
    let mut findings = vec![Finding::good("parameters", told)];
    match driver(group) {
        Ok(driver) => {
            findings.push(target(kernel, driver));
            findings.extend(physical_ports(kernel, scope, group, driver));
        }
        Err(failure) => findings.extend(Finding::of("driver", &failure)),
    }
    match disk::find_all(kernel, &group.disks) {
        Ok(_) => findings.push(Finding::good("disks", format!("all {luns} are here"))),
        Err(failure) => findings.extend(Finding::of("disks", &failure)),
    }
    let disks = disk::find_any(kernel, &group.disks);
    findings.extend(readable(kernel, &disks, budget));
    if group.ownership == Ownership::Scsi3Pr {
        findings.extend(reservations(kernel, node, &disks, budget));
    }
    findings
}

fn target(kernel: &dyn Kernel, driver: &dyn Driver) -> Finding {
    let (module, what) = (driver.module(), "target");
    if !kernel.exists(&paths::module(module)) {
        let advice = "Load it at boot, before the port's driver (/etc/modules-load.d)";
        return Finding::bad(what, format!("the module {module} is not loaded"), advice);
    }
    if !kernel.exists(Path::new(paths::TARGET)) {
        let advice = "Load target_core_mod and mount configfs: sys-kernel-config.mount";
        return Finding::bad(what, format!("{} is not there", paths::TARGET), advice);
    }
    Finding::good(what, format!("LIO is here, with {module}"))
}

fn physical_ports(
    kernel: &dyn Kernel,
    scope: &Scope,
    group: &Group,
    driver: &dyn Driver,
) -> Vec<Finding> {
    let what = "port";
    let found = match look(kernel, scope) {
        Ok(found) => found,
        Err(failure) => return Finding::of(what, &failure),
    };
    let one = |port: &crate::group::PortSpec| {
        let wwpn = port.wwpn;
        if let Some(vport) = found.vports.iter().find(|vport| vport.wwpn == wwpn) {
            let told = format!("{wwpn} is {} here, on {}", vport.state, vport.parent);
            return vec![Finding::good(what, told)];
        }
        match fabric::choose(kernel, port, driver) {
            Ok(physical) => {
                let (host, free) = (physical.host, physical.vports_free);
                let told =
                    format!("{wwpn} would go to {host}, which has room for {free}");
                vec![Finding::good(what, told)]
            }
            Err(failure) => Finding::of(what, &failure),
        }
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
    let (mut findings, mut here, mut elsewhere, mut nobodys) = (Vec::new(), 0, 0, 0);
    for (disk, now) in disks.iter().zip(ownership::read(kernel, &nodes, budget)) {
        match now {
            Ok(now) if now.owned_by(ours) => here += 1,
            Ok(now) if now.holder.is_none() && now.keys.is_empty() => nobodys += 1,
            Ok(_) => elsewhere += 1,
            Err(error) => {
                let found = format!("LUN {} ({}): {error}", disk.lun, disk.device);
                let advice = "A disk without persistent reservations needs \
                              ownership=none, and something else that guarantees one owner";
                findings.push(Finding::bad(what, found, advice));
            }
        }
    }
    let told = [(here, "this node's"), (elsewhere, "another's"), (nobodys, "nobody's")];
    let told = told.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, whose)| format!("{count} {whose}")).collect();
    if !told.is_empty() {
        findings.push(Finding::good(what, told.join(", ")));
    }
    findings
}
