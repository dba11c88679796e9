//! The node that a group is to go to: the named one, its home, or the best of the others.

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::is_same_node;
use understudy_core::text::quoted;

use crate::cluster::{Member, Resource, Rule, Says, Standing, View};

/// Which of the two commands was given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `takeover`.
    Takeover,
    /// `giveback`.
    Giveback,
}

/// The node that a group is to go to.
pub struct Target<'a> {
    /// The node.
    pub node: &'a Member,
    /// Why this node was chosen, where there were several.
    pub why: Option<String>,
}

/// Returns the node that a group is to go to.
///
/// # Errors
/// There is no such node, or nothing speaks for one node more than for another.
pub fn target<'a>(
    verb: Verb,
    view: &'a View,
    rules: &[Rule],
    group: &Resource,
    home: Option<&str>,
    node: Option<&str>,
) -> Result<Target<'a>, Failure> {
    let named = |name: &str| {
        let missing = || unchosen(format!("{} is no node of the cluster", quoted(name)));
        let node = view.node(name).ok_or_else(missing)?;
        Ok(Target { node, why: None })
    };
    if verb == Verb::Giveback {
        return named(home.ok_or_else(|| {
            unchosen(format!("{} has no home", group.id))
                .advise("Set its parameter home, or name a node: takeover --node")
        })?);
    }
    if let Some(name) = node {
        return named(name);
    }
    let others = view.nodes.iter().filter(|node| !group.nodes.contains(&node.name));
    match others.collect::<Vec<_>>().as_slice() {
        // What speaks against the only other node is said where the move is refused.
        [only] => Ok(Target { node: only, why: None }),
        [] => Err(unchosen("there is no other node".into())),
        several => choose(view, rules, group, home, several),
    }
}

/// Chooses a node for a group. Only nodes that can take the group count, and of these
/// only the ones that say most of it ([`Says`]). Among those it is the group's home, or
/// else the first by name.
fn choose<'a>(
    view: &View,
    rules: &[Rule],
    group: &Resource,
    home: Option<&str>,
    nodes: &[&'a Member],
) -> Result<Target<'a>, Failure> {
    let (mut able, mut against) = (Vec::new(), Vec::new());
    for node in nodes {
        match Standing::of(view, rules, group, node) {
            Standing::Able(says) => able.push((says, *node)),
            Standing::Lacking(why) | Standing::Silent(why) | Standing::Barred(why) => {
                against.push(why);
            }
        }
    }
    let id = &group.id;
    let Some(most) = able.iter().map(|(says, _)| *says).max() else {
        let cause = format!("no other node can take {id}: {}", against.join("; "));
        return Err(unchosen(cause).advise(
            "Mend one of them, or name one that only lacks something: --node NODE --force",
        ));
    };
    let mut best: Vec<_> = able
        .into_iter()
        .filter(|(says, _)| *says == most)
        .map(|(_, node)| node)
        .collect();
    best.sort_by(|one, other| one.name.cmp(&other.name));
    let is_home =
        |node: &&&Member| home.is_some_and(|home| is_same_node(home, &node.name));
    let at_home = best.iter().find(is_home).copied();
    let (Some(node), words) = (at_home.or(best.first().copied()), most.words()) else {
        return Err(unchosen("there is no other node".into()));
    };
    let name = &node.name;
    let why = match (at_home, best.len()) {
        (Some(_), _) => format!("{name} is its home, and {words}"),
        (None, 1) => format!("{name} alone {words}"),
        (None, _) if most == Says::Nothing => {
            return Err(unchosen(
                "there is more than one, and none says anything".into(),
            )
            .advise("Say which: --node NODE"));
        }
        (None, _) => format!("{name} is the first by name that {words}"),
    };
    Ok(Target { node, why: Some(why) })
}

fn unchosen(cause: String) -> Failure {
    Failure::new(Kind::Failed, "choose the node", cause)
}

#[cfg(test)]
mod tests {
    use super::super::sample::view;
    use super::*;

    #[test]
    fn a_home_is_found_in_any_case() {
        let now = view(&["a"], "Started", true);
        let to = |verb, home, node| {
            let found = target(verb, &now, &[], &now.resources[0], home, node);
            found
                .map(|target| target.node.name.clone())
                .map_err(|failure| failure.to_string())
        };
        assert_eq!(to(Verb::Giveback, Some("B"), None).unwrap(), "b");
        assert_eq!(to(Verb::Takeover, None, Some("B")).unwrap(), "b");
        let missing = to(Verb::Giveback, Some("c"), None).unwrap_err();
        assert!(missing.contains("'c' is no node of the cluster"), "{missing}");
    }

    /// Returns the node that is chosen, and why. Nodes `b`, `c` and `d` report these, in
    /// this order: their `ready-g`, their ports or nothing.
    fn chosen(said: &[(Option<i32>, Option<u32>)], home: &str) -> String {
        let mut now = view(&["a"], "Started", true);
        now.nodes.truncate(1);
        for (name, (ready, ports_online)) in ["b", "c", "d"].into_iter().zip(said) {
            let ready = ready.map(|word| ("g".to_owned(), word)).into_iter().collect();
            let (name, ports_online) = (name.to_owned(), *ports_online);
            now.nodes.push(Member {
                name,
                online: true,
                standby: ports_online == Some(99),
                maintenance: false,
                ports_online,
                ready,
            });
        }
        let group = &now.resources[0];
        match target(Verb::Takeover, &now, &[], group, Some(home), None) {
            Ok(Target { node, why }) => {
                format!("{}: {}", node.name, why.unwrap_or_default())
            }
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn of_several_nodes_one_that_says_most_is_taken_and_its_home_first() {
        const READY: (Option<i32>, Option<u32>) = (Some(0), Some(1));
        const PORTS: (Option<i32>, Option<u32>) = (None, Some(1));
        const SILENT: (Option<i32>, Option<u32>) = (None, None);
        const LACKS: (Option<i32>, Option<u32>) = (Some(-1), Some(1));
        const NO_PORT: (Option<i32>, Option<u32>) = (Some(0), Some(0));
        const STANDBY: (Option<i32>, Option<u32>) = (None, Some(99));
        assert_eq!(chosen(&[SILENT], "a"), "b: ");
        let all = "says that it has all that the group needs";
        assert_eq!(chosen(&[SILENT, READY], "a"), format!("c: c alone {all}"));
        assert_eq!(chosen(&[PORTS, READY, LACKS], "b"), format!("c: c alone {all}"));
        let first = format!("b: b is the first by name that {all}");
        assert_eq!(chosen(&[READY, READY], "a"), first);
        assert_eq!(chosen(&[READY, READY], "C"), format!("c: c is its home, and {all}"));
        let ports = "c: c alone says that it has ports online";
        assert_eq!(chosen(&[STANDBY, PORTS, SILENT], "b"), ports);
        assert!(chosen(&[SILENT, SILENT], "c").starts_with("c: c is its home"));
        let unclear = chosen(&[SILENT, SILENT], "a");
        assert!(
            unclear.contains("none says anything. Say which: --node NODE"),
            "{unclear}"
        );
        let vote = chosen(&[LACKS, SILENT], "b");
        assert!(vote.contains("c says nothing of its ports"), "{vote}");
        let none = chosen(&[LACKS, NO_PORT, STANDBY], "b");
        for why in ["b says that it lacks", "c has no physical port", "d is in standby"] {
            assert!(none.contains(why), "{none}");
        }
    }
}
