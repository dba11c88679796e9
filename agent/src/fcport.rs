//! The actions of `ocf:understudy:fcport`: a clone that reports to the cluster how many
//! physical ports are online on its node, and for which groups the node has all that they
//! need.

use std::cell::OnceCell;
use std::time::Duration;

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::is_same_node;
use understudy_core::config::params::FCPORT;
use understudy_core::config::reader::Reader;
use understudy_core::disks::content;
use understudy_core::kernel::Kernel;
use understudy_core::kernel::late::Purpose;
use understudy_core::run_files::tries;
use understudy_core::run_files::watch::{self, Seen};
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::{Health, Level, check_node, health, keep_out};

use crate::cluster::{self, COULD, Configuration, Configured, LACKS, MAY_COME};
use crate::environment::Environment;
use crate::exit::{Code, Outcome};

/// How often to look whether this node could serve each group, where nothing but a
/// commanded takeover asks for it.
const SELDOM: Duration = Duration::from_secs(60);

/// Carries out an action. Returns nothing if there is no such action.
pub fn act(action: &str, environment: &Environment) -> Option<Outcome> {
    let acts = matches!(action, "start" | "stop" | "monitor" | "status");
    if acts && !environment.may_act() {
        let reason = format!("{action}: only root may keep the watch; be root");
        return Some(Outcome { code: Code::Permission, reason: Some(reason) });
    }
    Some(match action {
        "start" => Outcome::of(start(environment)),
        "stop" => stop(environment),
        "monitor" | "status" => monitor(environment),
        "validate-all" => Outcome::of(
            dampen(environment).and_then(|_| seconds(environment, "giveback")).map(drop),
        ),
        _ => return None,
    })
}

fn start(environment: &Environment) -> Result<(), Failure> {
    dampen(environment)?;
    let kernel = &*environment.kernel();
    // Learn it now, before a group has to be taken over in a hurry.
    cluster::learn_word(kernel);
    tell(&watch::begin(kernel, &environment.instance)?)
}

fn monitor(environment: &Environment) -> Outcome {
    let (kernel, instance) = (&*environment.kernel(), &environment.instance);
    let node = environment.node(kernel);
    let elsewhere = |fabric| cluster::online_elsewhere(fabric, &node);
    let seen = dampen(environment)
        .and_then(|time| watch::look(kernel, instance, time, &elsewhere));
    let seen = match seen {
        Ok(Some(seen)) => seen,
        Ok(None) => return Outcome::plain(Code::NotRunning),
        Err(failure) => return Outcome::failed(failure.to_string()),
    };
    match keep_out(kernel, Budget::new(kernel, environment.inner_timeout())) {
        Ok(out) => out.iter().for_each(|wwpn| {
            log::warn!("a reset of its HBA had let {wwpn} in; it was logged out again");
        }),
        Err(errors) => errors.iter().for_each(|error| log::warn!("{error}")),
    }
    // This is reported each time: the cluster may have forgotten it.
    seen.online.iter().for_each(|(fabric, n)| cluster::publish_online_now(*fabric, *n));
    match tell(&seen).and_then(|()| tell_ready(environment, &node)) {
        Ok(()) => said(&seen),
        Err(failure) => Outcome::failed(failure.to_string()),
    }
}

/// Reports for each group whether this node has all that it needs and, if so configured,
/// whether it may come home.
fn tell_ready(environment: &Environment, node: &str) -> Result<(), Failure> {
    let patience = seconds(environment, "giveback")?;
    let (kernel, instance) = (&*environment.kernel(), &environment.instance);
    if patience.is_none() && !watch::note_look_if_due(kernel, instance, SELDOM)? {
        return Ok(());
    }
    let configuration = match Configuration::read(node) {
        Ok(configuration) => configuration,
        // A takeover that is commanded on another node then goes without this report.
        Err(failure) if patience.is_none() => {
            log::warn!("{failure}");
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    let groups: Vec<_> = configuration.groups().collect();
    // The cluster is asked once, and only where a disk comes with another resource.
    let view = OnceCell::new();
    let seen = || view.get_or_init(|| cluster::view().ok()).as_ref();
    // A disk that does not answer must not take the time of all.
    let whole = Budget::new(kernel, environment.inner_timeout());
    let scope = |group: &&Configured| configuration.scope(kernel, group, node, seen);
    let scopes: Vec<_> = groups.iter().map(scope).collect();
    keep_content(kernel, &groups, &scopes);
    let each = groups.iter().zip(scopes).zip((1..=groups.len()).rev());
    let could = each.map(|((group, scope), left)| {
        let kernel = &*environment.kernel_for(&group.id, Purpose::Looks);
        let budget = whole.share(kernel, left);
        (group.id.clone(), could_serve(kernel, node, scope, budget))
    });
    let steady = watch::could_serve_for(kernel, instance, could.collect())?;
    groups.iter().try_for_each(|group| {
        let at_home = group.home().is_some_and(|home| is_same_node(home, node));
        let may_come = at_home && !tries::is_open(kernel, &group.id);
        let steady = steady.get(&group.id).copied().flatten();
        let word = word(steady, patience.filter(|_| may_come));
        cluster::publish(&cluster::ready(&group.id), word)
    })
}

/// Keeps what initiators wrote on the disks of these groups from this node's own programs.
fn keep_content(
    kernel: &dyn Kernel,
    groups: &[&Configured],
    scopes: &[Result<Scope, Failure>],
) {
    let disks = |scope: &Result<Scope, Failure>| {
        let group = scope.as_ref().ok()?.group.as_ref().ok()?;
        Some(group.all_disks())
    };
    let each = groups.iter().zip(scopes);
    let each = each.map(|(group, scope)| (group.id.clone(), disks(scope))).collect();
    if let Err(error) = content::keep_apart(kernel, &each) {
        log::warn!("{error}");
    }
}

/// Returns what to report of a group that could be served here for `steady` seconds, and
/// that may come home after as many as `patience` says; nothing there means never.
fn word(steady: Option<u64>, patience: Option<u32>) -> i32 {
    match (steady, patience) {
        (Some(steady), Some(patience)) if steady >= u64::from(patience) => MAY_COME,
        (Some(_), _) => COULD,
        (None, _) => LACKS,
    }
}

/// Returns whether this node serves a group well, or has all that it needs. Returns
/// nothing where something of the group is here and has failed: an action may be under
/// way, and will itself report how it ends. A node on which the group's parameters are
/// not known lacks them.
fn could_serve(
    kernel: &dyn Kernel,
    node: &str,
    scope: Result<Scope, Failure>,
    budget: Budget,
) -> Option<bool> {
    let scope = match scope {
        Ok(scope) => scope,
        Err(failure) => {
            log::warn!("{failure}");
            return Some(false);
        }
    };
    match health(&Action::new(kernel, node, budget), &scope, Level::Port) {
        Health::Running => Some(true),
        Health::NotRunning => Some(check_node(kernel, &scope, budget).is_ok()),
        Health::Degraded(_) => Some(false),
        Health::Failed(_) => None,
    }
}

/// Returns the outcome of a monitor. A fabric that this node has lost shows where
/// operators look.
fn said(Seen { online, dark, .. }: &Seen) -> Outcome {
    let lost = online.iter().filter(|(_, ports)| **ports == 0);
    let lost: Vec<_> = lost.map(|(fabric, _)| fabric.to_string()).collect();
    if lost.is_empty() && (!online.is_empty() || *dark > 0) {
        return Outcome::plain(Code::Success);
    }
    let fabrics = match lost.as_slice() {
        [] => "any fabric".to_owned(),
        lost => format!("fabric {}", lost.join(", ")),
    };
    let reason = format!("no physical port is online in {fabrics}");
    Outcome { code: Code::Degraded, reason: Some(reason) }
}

fn stop(environment: &Environment) -> Outcome {
    let told = match watch::end(&*environment.kernel(), &environment.instance) {
        Ok(Some(told)) => told,
        // What another resource has reported to the cluster stays reported.
        Ok(None) => return Outcome::plain(Code::Success),
        Err(failure) => return Outcome::failed(failure.to_string()),
    };
    let names = |fabric| [cluster::ports_in(fabric), cluster::online_now(fabric)];
    let fabrics = told.fabrics.into_iter().flat_map(names);
    let groups = told.groups.iter().map(|group| cluster::ready(group));
    // An attribute that cannot be withdrawn ends with the node's membership: the node
    // need not be fenced.
    for name in fabrics.chain(groups).chain([cluster::PORTS.to_owned()]) {
        if let Err(failure) = cluster::withdraw(&name) {
            log::warn!("{failure}");
        }
    }
    Outcome::plain(Code::Success)
}

/// Reports to the cluster what has been so for long enough. A dark port counts as online:
/// it comes online with its group.
fn tell(Seen { steady, dark, .. }: &Seen) -> Result<(), Failure> {
    cluster::publish(cluster::PORTS, steady.values().sum::<u32>() + dark)?;
    steady.iter().try_for_each(|(fabric, ports)| {
        cluster::publish(&cluster::ports_in(*fabric), *ports)
    })
}

fn dampen(environment: &Environment) -> Result<Duration, Failure> {
    let seconds = seconds(environment, "dampen")?.unwrap_or_default();
    Ok(Duration::from_secs(seconds.into()))
}

/// Returns a parameter in seconds. Returns nothing where it is not set.
fn seconds(environment: &Environment, name: &str) -> Result<Option<u32>, Failure> {
    let mut read = Reader::new(FCPORT, |name: &str| environment.param(name));
    let seconds = read.number(name);
    read.finish(Some(seconds)).map_err(|faults| {
        Failure::new(Kind::Configuration, "read the parameters", faults.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_comes_home_after_its_time_and_never_without_one() {
        assert_eq!(word(Some(300), Some(300)), MAY_COME);
        assert_eq!(word(Some(299), Some(300)), COULD);
        assert_eq!(word(Some(999), None), COULD);
        assert_eq!(word(None, Some(300)), LACKS);
    }
}
