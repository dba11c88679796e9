//! The cluster's configuration, as it is for one node.

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::{Group, Ownership};
use understudy_core::kernel::Kernel;
use understudy_core::situation::claims;
use understudy_core::situation::scope::Scope;

use super::configured::Configured;
use super::numbers::numbers_in;
use super::rules::Rule;
use super::{GROUP, View, ask, earlier, resolved, resources};

/// The cluster's configuration.
#[derive(Debug)]
pub struct Configuration {
    /// Every resource.
    resources: Vec<Configured>,
    text: String,
}

const STEP: &str = "read the configuration";
/// The fence agents that keep nodes apart by keys on disks.
const BY_KEYS: [&str; 2] = ["stonith::fence_scsi", "stonith::fence_mpath"];

impl Configuration {
    /// Reads the configuration, with the groups' parameters as they are on a node. A plain
    /// one costs a single process; Pacemaker is asked for the rest ([`resolved`]).
    ///
    /// # Errors
    /// See [`ask`].
    pub fn read(node: &str) -> Result<Self, Failure> {
        let text = ask(STEP, "cibadmin", &["--query", "--scope", "configuration"])?;
        let resources = resources::parse(&text);
        let mut resources =
            resources.map_err(|error| Failure::new(Kind::Failed, STEP, error))?;
        resolve(&mut resources, node);
        Ok(Self { resources, text })
    }

    /// Returns the takeover groups.
    pub fn groups(&self) -> impl Iterator<Item = &Configured> {
        self.resources.iter().filter(|resource| resource.agent == GROUP)
    }

    /// Returns a takeover group by its id.
    ///
    /// # Errors
    /// No group has this id.
    pub fn group(&self, id: &str) -> Result<&Configured, Failure> {
        let missing = || Failure::new(Kind::Failed, STEP, format!("{id} is not in it"));
        self.groups().find(|group| group.id == id).ok_or_else(missing)
    }

    /// Returns what there is to look for of a group on a node, what initiators know of its
    /// LUNs ([`Scope::known`]), and which resource is still
    /// to make its disks there ([`Scope::maker`]): one that has to run before the group does,
    /// and does not. A disk that is reserved is not made. `view` is asked for only where it
    /// matters.
    ///
    /// # Errors
    /// The group's parameters are not known.
    pub fn scope<'v>(
        &self,
        kernel: &dyn Kernel,
        group: &Configured,
        node: &str,
        view: impl FnOnce() -> Option<&'v View>,
    ) -> Result<Scope, Failure> {
        let known = numbers_in(&self.text, &group.id);
        let scope = Scope { known, ..group.scope(kernel)? };
        let reserves_none = |group: &Group| group.ownership == Ownership::None;
        if !scope.group.as_ref().is_ok_and(reserves_none) {
            return Ok(scope);
        }
        let earlier = earlier::before(&self.text, &self.resources, group);
        let earlier = earlier.map_err(|error| Failure::new(Kind::Failed, STEP, error))?;
        let view = if earlier.is_empty() { None } else { view() };
        let still_to_run = view.map(|view| {
            let is_missing = |id: &&&str| !view.runs(id, node);
            earlier.iter().filter(is_missing).copied().collect::<Vec<_>>().join(" or ")
        });
        Ok(Scope { maker: still_to_run.filter(|names| !names.is_empty()), ..scope })
    }

    /// Returns where a resource may run and where not, as far as rules name nodes.
    ///
    /// # Errors
    /// The configuration is no XML.
    pub fn rules_of(&self, resource: &str) -> Result<Vec<Rule>, Failure> {
        let rules = Rule::parse(&self.text, resource);
        rules.map_err(|error| Failure::new(Kind::Failed, STEP, error))
    }

    /// Returns the ids of the cluster's fence devices that keep nodes apart by keys on
    /// disks.
    pub fn fences_by_keys(&self) -> impl Iterator<Item = &str> {
        let by_keys = self.resources.iter().filter(|its| BY_KEYS.contains(&&*its.agent));
        by_keys.map(|its| its.id.as_str())
    }

    /// Returns what other groups of the cluster have of this one's names and disks, in
    /// words, wherever they run. A group whose parameters cannot be read counts as having
    /// none.
    pub fn shared(&self, kernel: &dyn Kernel, group: &Group) -> Vec<String> {
        let others = self.groups().filter(|other| other.id != group.name);
        let of = |other: &Configured| {
            let theirs = other.scope(kernel).ok()?.group.ok()?;
            let shared = claims::shared(kernel, group, &theirs).into_iter();
            let id = other.id.clone();
            Some(shared.map(move |what| format!("{what} is {id}'s too")))
        };
        others.filter_map(of).flatten().collect()
    }
}

/// Has Pacemaker resolve the parameters of groups that are no plain list.
fn resolve(resources: &mut [Configured], node: &str) {
    let mut groups: Vec<_> = resources
        .iter_mut()
        .filter(|its| its.agent == GROUP && !its.is_plain())
        .collect();
    if groups.is_empty() {
        return;
    }
    let ids: Vec<_> = groups.iter().map(|group| group.id.clone()).collect();
    let found = resolved::parameters(&ids, node);
    for group in &mut groups {
        group.parameters = match &found {
            Ok(all) => {
                let its = all.get(&group.id).cloned();
                its.ok_or_else(|| resolved::not_told(&group.id, node))
            }
            Err(failure) => Err(failure.clone()),
        };
    }
}
