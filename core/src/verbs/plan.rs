//! Plan: the steps that a takeover or a release would take on this node now, as plain
//! values. Nothing is changed. If a step waits for something, its title says so. The plan
//! leaves out what accompanies the steps: expedited grace periods, echoes, the bar, the
//! mode of a new port, and the database's entries.

use crate::action::Action;
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::disks::ownership::{self, Held, Keys};
use crate::lio;
use crate::saved_reservations;
use crate::situation::scope::Scope;
use crate::text::quoted;

use super::here::{misconfigured, observe, state_device};
use super::release::{CLOSE, closing, logouts};
use super::takeover::{self, Steps};
use super::{look, unseen};

/// A function that returns the steps of an action.
pub type Planner = fn(&Action, &Scope) -> Result<Vec<Step>, Failure>;

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
pub fn takeover_steps(action: &Action, scope: &Scope) -> Result<Vec<Step>, Failure> {
    let Action { kernel, node, budget, .. } = *action;
    let group = scope.group.as_ref().map_err(misconfigured)?;
    let here = observe(kernel, scope, group)?.with_owners(kernel, group, budget)?;
    let keys = Keys::of(kernel, node).map_err(unseen)?;
    ownership::nobody_elses(here.disks.iter().filter_map(Held::answered), &keys)?;
    let Steps { dark, disks, before, create, after } =
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
    let steps = disks.into_iter().chain(before).chain([create]).chain(after);
    Ok(without_empty(steps.collect()))
}

/// Returns the steps of [`super::release`], without those that have nothing to do.
///
/// # Errors
/// When something exists and cannot be read.
pub fn release_steps(action: &Action, scope: &Scope) -> Result<Vec<Step>, Failure> {
    let Action { kernel, node, budget, .. } = *action;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::group::Group;
    use crate::fc::{PhysicalPort, PortState, VirtualPort, VportState};
    use crate::kernel::{Chain, Op, RealKernel};
    use crate::lio::made_up::MadeUp;
    use crate::lio::{Export, Tree};
    use crate::situation::found::Found;
    use crate::verbs::here::Here;

    const DIR: &str = "/sys/kernel/config/target/made_up_npiv/\
                       21:00:00:00:00:00:00:01@20:01:00:25:b5:00:00:0a:20:00:00:25:b5:00:00:0a";

    fn group() -> Group {
        let value = |name: &str| match name {
            "wwnn" => Some("20:00:00:25:b5:00:00:0a".to_owned()),
            "ports" => Some("20:01:00:25:b5:00:00:0a".to_owned()),
            "disks" => Some("0=naa.60014050000000000000000000000001".to_owned()),
            "initiators" => Some("21:00:00:24:ff:00:00:01".to_owned()),
            _ => None,
        };
        Group::parse("g", value).unwrap()
    }

    fn found(vports: Vec<VirtualPort>, trees: Vec<Tree>) -> Found {
        let export = Export { trees, ..Export::default() };
        Found { vports, export, keepers: Vec::new() }
    }

    fn switch(on: &str) -> Chain {
        let path = Path::new(DIR).join("tpgt_1/enable");
        vec![Op::Write { path, text: on.to_owned() }]
    }

    #[test]
    fn a_driver_whose_target_makes_its_port_is_one_file() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        let group = group();
        let port = group.ports[0].clone();
        let physical = PhysicalPort {
            host: "host2".into(),
            wwpn: "21:00:00:00:00:00:00:01".parse().unwrap(),
            state: PortState::Online,
            fabric: None,
            vports_in_use: 0,
            vports_free: 1,
            driver: "made_up".into(),
        };
        let here = Here {
            driver: &MadeUp,
            disks: Vec::new(),
            found: found(Vec::new(), Vec::new()),
            absent: vec![(port.clone(), physical)],
            lost: Vec::new(),
        };
        let keys = Keys::new("a", None);
        let Steps { disks, before, create, after, .. } =
            takeover::steps(&kernel, &group, &here, &keys).unwrap();
        let is_target = |op: &Op| *op == Op::MakeDir(DIR.into());
        assert!(!disks[0].chains.iter().flatten().any(is_target));
        assert!(before[0].chains[0].iter().any(is_target));
        let map = &before[2].chains[0];
        let at = Path::new(DIR).join("tpgt_1/acls/21:00:00:24:ff:00:00:01/lun_0");
        assert_eq!(map[0], Op::MakeDir(at));
        assert_eq!(create.chains, [switch("1")]);
        assert_eq!(after, []);

        fs::create_dir_all(root.path().join(DIR.trim_start_matches('/'))).unwrap();
        let vport = VirtualPort {
            vport: "vport-2:0-1".into(),
            parent: "host2".into(),
            wwpn: port.wwpn,
            wwnn: group.wwnn,
            state: VportState::Active,
        };
        let tree = Tree {
            wwpn: port.wwpn,
            driver: &MadeUp,
            path: DIR.into(),
            enabled: Some(true),
            has_tpg: true,
            luns: Vec::new(),
            acls: Vec::new(),
        };
        let found = found(vec![vport], vec![tree]);
        assert_eq!(logouts(&kernel, &found).unwrap(), [switch("0")]);
        let [.., (_, removed)] = lio::remove_ports(&found.export);
        assert_eq!(removed[0][1], Op::RemoveDir(DIR.into()));
    }
}
