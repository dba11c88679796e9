//! What speaks against a move: what nobody may override, and what `--force` does.

use understudy_core::action::budget::Budget;
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::is_same_node;
use understudy_core::kernel::Kernel;
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::check_node;

use super::super::TIME;
use crate::cluster::standing::unusable;
use crate::cluster::{Member, Resource, Standing, View};

/// Returns a reason against the move that nobody may override, if there is one: Pacemaker
/// would not move the group, or the group would have nowhere to go.
pub fn never(view: &View, group: &Resource, target: &Member) -> Option<String> {
    let id = &group.id;
    let reasons = [
        (view.maintenance, "the cluster is in maintenance mode".into()),
        (!group.managed, format!("{id} is not managed")),
        (group.blocked, format!("{id} is blocked by a failure; clean it up first")),
        (group.nodes.is_empty(), format!("{id} is {}", group.state.to_lowercase())),
    ];
    let of_group = reasons.into_iter().find_map(|(applies, why)| applies.then_some(why));
    of_group.or_else(|| unusable(target))
}

/// Returns what speaks against the node, if anything. A node's disks can be looked at
/// only from the node itself. Another node's `fcport` reports each minute whether that
/// node lacks something. A node that reports nothing where others do may have no agent at
/// all.
pub fn doubts(
    kernel: &dyn Kernel,
    this: &str,
    standing: Standing,
    target: &Member,
    scope: impl FnOnce() -> Result<Scope, Failure>,
) -> Option<String> {
    let here = is_same_node(&target.name, this);
    let against = against(standing, here);
    if against.is_some() || !here {
        return against;
    }
    scope()
        .and_then(|scope| check_node(kernel, &scope, Budget::new(kernel, TIME)))
        .err()
        .map(|failure| failure.to_string())
}

/// Returns what a node's standing says against it, if anything. Of the node on which the
/// command runs its silence says nothing: its agent is here.
fn against(standing: Standing, here: bool) -> Option<String> {
    match standing {
        Standing::Lacking(why) => Some(why),
        Standing::Silent(why) if !here => Some(why),
        Standing::Silent(_) | Standing::Able(_) | Standing::Barred(_) => None,
    }
}

/// Returns the failure of a move that is refused, or that Pacemaker does not make.
pub fn veto(why: String) -> Failure {
    Failure::new(Kind::Failed, "not moved", why)
}

#[cfg(test)]
mod tests {
    use super::super::sample::view;
    use super::*;
    use crate::cluster::Says;

    #[test]
    fn what_cannot_be_moved_is_refused_with_the_reason() {
        let mut now = view(&["a"], "Started", true);
        let why = |view: &View| never(view, &view.resources[0], &view.nodes[1]);
        assert_eq!(why(&now), None);
        now.nodes[1].standby = true;
        assert_eq!(why(&now).unwrap(), "b is in standby");
        now.resources[0].managed = false;
        assert_eq!(why(&now).unwrap(), "g is not managed");
    }

    #[test]
    fn silence_speaks_against_another_node_alone() {
        let silent = || Standing::Silent("says nothing".into());
        assert_eq!(against(silent(), false).as_deref(), Some("says nothing"));
        assert_eq!(against(silent(), true), None);
        let lacking = Standing::Lacking("lacks a disk".into());
        assert_eq!(against(lacking, true).as_deref(), Some("lacks a disk"));
        assert_eq!(against(Standing::Able(Says::Ready), false), None);
    }
}
