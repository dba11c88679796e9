//! `understudy takeover` and `giveback`: a move, commanded through Pacemaker and watched.

use std::io::Write;
use std::time::{Duration, Instant};

use understudy_core::budget::Budget;
use understudy_core::failure::{Failure, Kind};
use understudy_core::kernel::RealKernel;
use understudy_core::moves::{self, Move};
use understudy_core::params::quoted;
use understudy_core::verbs::check_node;

use crate::cluster::{self, Configuration, Configured, Member, Resource, Rule, View};
use crate::exit::Code;

use super::line::Line;
use super::tied::tied;
use super::{TIME, complain};

/// Between two looks at the cluster.
const AGAIN: Duration = Duration::from_millis(300);
/// For the move: a stop that fails is followed by a fence, and by a start after it.
const MOVE: Duration = Duration::from_secs(300);

/// A move to a node, or to the only other one.
pub fn takeover(kernel: &RealKernel, this: &str, line: &Line) -> Code {
    commanded(Verb::Takeover, kernel, this, line)
}

/// A move to the node that the group belongs to.
pub fn giveback(kernel: &RealKernel, this: &str, line: &Line) -> Code {
    commanded(Verb::Giveback, kernel, this, line)
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Takeover,
    Giveback,
}

fn commanded(verb: Verb, kernel: &RealKernel, this: &str, line: &Line) -> Code {
    match carry_out(verb, kernel, this, line) {
        Ok(()) => Code::Success,
        Err(failure) => {
            let code =
                if failure.kind == Kind::Node { Code::Installed } else { Code::Failed };
            complain(&failure.to_string(), code)
        }
    }
}

fn carry_out(
    verb: Verb,
    kernel: &RealKernel,
    this: &str,
    line: &Line,
) -> Result<(), Failure> {
    let view = cluster::view()?;
    let group = view.group(line.word())?;
    let configuration = Configuration::read(this)?;
    let configured = configuration.group(&group.id)?;
    let target = target(verb, &view, group, configured.home(), line.value("--node"))?;
    let name = &target.name;
    if group.nodes.contains(name) && group.state == "Started" {
        say(&format!("{} is on {name} already", group.id));
        return Ok(());
    }
    if let Some(why) = never(&view, group, target) {
        return Err(veto(why));
    }
    if let Some(rule) = in_the_way(&configuration.rules_of(&group.id)?, &group.id, name) {
        let cause = format!("rule {} keeps {} from {name}", rule.id, group.id);
        return Err(veto(cause).advise(
            "Whoever made it had a reason. Once that is over, take it away: crm_resource \
             --clear, or --clear --expired for rules that have ended",
        ));
    }
    let on = group.nodes.first();
    if let Some(why) = on.and_then(|on| tied(kernel, this, configured, on)) {
        return Err(
            veto(why).advise("Move those groups away first: they would go with it")
        );
    }
    match (doubts(kernel, this, group, configured, target), line.has("--force")) {
        (Some(why), false) => {
            return Err(veto(why).advise("--force goes on regardless"));
        }
        (Some(why), true) => say(&format!("{why}; going on, as --force says")),
        (None, _) => {}
    }
    let from = group.nodes.first().map_or("no node", String::as_str);
    say(&format!("{}: from {from} to {name}", group.id));
    cluster::order_move(&group.id, name)?;
    let moved = follow(&group.id, name);
    // Also where the move failed: no rule of it is to stay.
    let cleared = cluster::forget_move(&group.id);
    let away = moved?;
    let away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
    let moved = Move { group: group.id.clone(), node: name.clone(), away_ms };
    // For the metrics; the move is done all the same.
    if let Err(failure) = moves::remember(kernel, &moved) {
        log::warn!("{failure}");
    }
    cleared?;
    let (away, step) = (away.as_secs_f64(), AGAIN.as_secs_f64());
    say(&format!(
        "{}: on {name}; away for {away:.1} s, give or take {step:.1}",
        group.id
    ));
    Ok(())
}

fn target<'a>(
    verb: Verb,
    view: &'a View,
    group: &Resource,
    home: Option<&str>,
    node: Option<&str>,
) -> Result<&'a Member, Failure> {
    let failure = |cause: String| Failure::new(Kind::Failed, "choose the node", cause);
    let named = |name: &str| {
        let missing = || failure(format!("{} is no node of the cluster", quoted(name)));
        view.node(name).ok_or_else(missing)
    };
    if verb == Verb::Giveback {
        return named(home.ok_or_else(|| {
            failure(format!("{} has no home", group.id))
                .advise("Set its parameter home, or name a node: takeover --node")
        })?);
    }
    if let Some(name) = node {
        return named(name);
    }
    let others = view.nodes.iter().filter(|node| !group.nodes.contains(&node.name));
    match others.collect::<Vec<_>>().as_slice() {
        [only] => Ok(only),
        [] => Err(failure("there is no other node".into())),
        _ => {
            Err(failure("there is more than one".into()).advise("Say which: --node NODE"))
        }
    }
}

/// What nobody may override, if anything: Pacemaker would not move the group, or it would
/// have nowhere to go.
fn never(view: &View, group: &Resource, target: &Member) -> Option<String> {
    let (id, name) = (&group.id, &target.name);
    let reasons = [
        (view.maintenance, "the cluster is in maintenance mode".into()),
        (!group.managed, format!("{id} is not managed")),
        (group.blocked, format!("{id} is blocked by a failure; clean it up first")),
        (group.nodes.is_empty(), format!("{id} is {}", group.state.to_lowercase())),
        (!target.online, format!("{name} is not online")),
        (target.standby, format!("{name} is in standby")),
        (target.maintenance, format!("{name} is in maintenance mode")),
    ];
    reasons.into_iter().find_map(|(applies, why)| applies.then_some(why))
}

/// Returns the rule that keeps a group from a node, if there is one. One of ours that a
/// killed command has left is none: the next move has it in its place.
fn in_the_way<'a>(rules: &'a [Rule], group: &str, node: &str) -> Option<&'a Rule> {
    let ours = cluster::rule_of_move(group);
    rules.iter().find(|rule| rule.id != ours && rule.bans(node))
}

/// What speaks against the node, if anything. Its disks can be looked at from itself only;
/// another node's `fcport` says each minute whether it lacks something.
fn doubts(
    kernel: &RealKernel,
    this: &str,
    group: &Resource,
    configured: &Configured,
    target: &Member,
) -> Option<String> {
    let name = &target.name;
    if target.ports_online == Some(0) {
        return Some(format!("{name} has no physical port online"));
    }
    if target.ready.get(&group.id) == Some(&cluster::LACKS) {
        let id = &group.id;
        return Some(format!(
            "{name} says that it lacks something; understudy check {id}, there, says what"
        ));
    }
    if name != this {
        return None;
    }
    let scope = configured.scope(kernel);
    scope
        .and_then(|scope| check_node(kernel, &scope, Budget::new(kernel, TIME)))
        .err()
        .map(|failure| failure.to_string())
}

fn veto(why: String) -> Failure {
    Failure::new(Kind::Failed, "not moved", why)
}

/// Waits until the group is served by a node; gives back how long it was served by none.
fn follow(id: &str, node: &str) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let (mut left, mut told) = (None, String::new());
    loop {
        let view = cluster::view()?;
        let state = State::of(&view, id, node);
        if state != State::Before {
            left.get_or_insert_with(Instant::now);
        }
        let now = state.words(id, node);
        if now != told {
            say(&now);
            told = now;
        }
        match (state, left) {
            (State::There, Some(left)) => return Ok(left.elapsed()),
            (State::Lost(why), _) => return Err(veto(why)),
            _ if begun.elapsed() > MOVE => {
                return Err(veto(format!("not there after {} s", MOVE.as_secs()))
                    .advise("See crm_mon and the cluster's log"));
            }
            _ => std::thread::sleep(AGAIN),
        }
    }
}

/// How far a move is.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing has happened yet.
    Before,
    /// It is being stopped.
    Stopping(String),
    /// The node that had it is lost, and is to be fenced.
    Fencing(String),
    /// It is nowhere, or being started.
    Starting,
    /// It is where it should be.
    There,
    /// It will not get there.
    Lost(String),
}

impl State {
    fn of(view: &View, id: &str, node: &str) -> Self {
        let Some(group) = view.resource(id) else {
            return Self::Lost(format!("{id} is configured no more"));
        };
        if group.blocked {
            return Self::Lost(format!("{id} is blocked by a failure"));
        }
        match group.nodes.first() {
            Some(on) if on == node && group.state == "Started" => Self::There,
            Some(on) if on != node => match view.node(on) {
                Some(member) if !member.online => Self::Fencing(on.clone()),
                _ if group.state == "Stopping" => Self::Stopping(on.clone()),
                _ => Self::Before,
            },
            _ => Self::Starting,
        }
    }

    fn words(&self, id: &str, node: &str) -> String {
        match self {
            Self::Before => format!("{id}: commanded"),
            Self::Stopping(on) => format!("{id}: stops on {on}"),
            Self::Fencing(on) => format!("{id}: {on} is lost, and fenced first"),
            Self::Starting => format!("{id}: starts on {node}"),
            Self::There => format!("{id}: started on {node}"),
            Self::Lost(why) => why.clone(),
        }
    }
}

fn say(what: &str) {
    // Whoever reads may have gone; the move goes on.
    let _ = writeln!(std::io::stdout(), "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn view(on: &[&str], state: &str, online: bool) -> View {
        let member = |name: &str, online| Member {
            name: name.into(),
            online,
            standby: false,
            maintenance: false,
            ports_online: None,
            ready: BTreeMap::new(),
        };
        View {
            maintenance: false,
            fencing: true,
            nodes: vec![member("a", online), member("b", true)],
            resources: vec![Resource {
                id: "g".into(),
                agent: "ocf:understudy:vport".into(),
                state: state.into(),
                managed: true,
                blocked: false,
                nodes: on.iter().map(|node| (*node).to_owned()).collect(),
            }],
        }
    }

    #[test]
    fn a_move_is_followed_to_its_end() {
        let state =
            |on: &[&str], its, online| State::of(&view(on, its, online), "g", "b");
        assert_eq!(state(&["a"], "Started", true), State::Before);
        assert_eq!(state(&["a"], "Stopping", true), State::Stopping("a".into()));
        assert_eq!(state(&["a"], "Stopping", false), State::Fencing("a".into()));
        assert_eq!(state(&[], "Stopped", true), State::Starting);
        assert_eq!(state(&["b"], "Starting", true), State::Starting);
        assert_eq!(state(&["b"], "Started", true), State::There);
    }

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
    fn a_home_is_found_in_any_case() {
        let now = view(&["a"], "Started", true);
        let to = |verb, home, node| {
            let found = target(verb, &now, &now.resources[0], home, node);
            found.map(|member| member.name.clone()).map_err(|failure| failure.to_string())
        };
        assert_eq!(to(Verb::Giveback, Some("B"), None).unwrap(), "b");
        assert_eq!(to(Verb::Takeover, None, Some("B")).unwrap(), "b");
        let missing = to(Verb::Giveback, Some("c"), None).unwrap_err();
        assert!(missing.contains("'c' is no node of the cluster"), "{missing}");
    }

    #[test]
    fn a_rule_in_the_way_is_left_alone() {
        let rule = |id: &str, node: &str, score: &str| Rule {
            id: id.into(),
            node: node.into(),
            score: score.into(),
        };
        let ban = [rule("home", "a", "100"), rule("cli-ban-g-on-b", "b", "-INFINITY")];
        assert_eq!(in_the_way(&ban, "g", "b"), Some(&ban[1]));
        assert_eq!(in_the_way(&ban, "g", "c"), None);
        let moved = [rule("cli-prefer-g", "a", "INFINITY")];
        assert_eq!(in_the_way(&moved, "g", "b"), Some(&moved[0]));
        assert_eq!(in_the_way(&moved, "g", "a"), None);
        let ours = [rule("understudy-move-g", "a", "INFINITY")];
        assert_eq!(in_the_way(&ours, "g", "b"), None);
    }
}
