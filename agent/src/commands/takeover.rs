//! `understudy takeover` and `giveback`: a move, commanded through Pacemaker and watched.

use std::io::Write;
use std::time::{Duration, Instant};

use understudy_core::action::budget::Budget;
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::is_same_node;
use understudy_core::kernel::Kernel;
use understudy_core::run_files::moves::{self, Move};
use understudy_core::situation::scope::Scope;
use understudy_core::text::quoted;
use understudy_core::verbs::check_node;

use crate::cluster::standing::{ban, unusable};
use crate::cluster::{self, Configuration, Member, Resource, Rule, Says, Standing, View};
use crate::exit::Code;

use super::line::Line;
use super::tied::tied;
use super::{TIME, complain};

/// Time between two looks at the cluster.
const AGAIN: Duration = Duration::from_millis(300);
/// Time for the whole move. A stop that fails is followed by a fence, and then by a
/// start.
const MOVE: Duration = Duration::from_secs(300);
/// Time for Pacemaker to begin the move. If it is idle after that, it will not move the
/// group.
const BEGIN: Duration = Duration::from_secs(10);

/// Moves a group to the named node, or to one of the others that can take it.
pub fn takeover(kernel: &dyn Kernel, this: &str, line: &Line) -> Code {
    commanded(Verb::Takeover, kernel, this, line)
}

/// Moves a group to the node that it belongs to.
pub fn giveback(kernel: &dyn Kernel, this: &str, line: &Line) -> Code {
    commanded(Verb::Giveback, kernel, this, line)
}

/// Which of the two commands was given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Takeover,
    Giveback,
}

fn commanded(verb: Verb, kernel: &dyn Kernel, this: &str, line: &Line) -> Code {
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
    kernel: &dyn Kernel,
    this: &str,
    line: &Line,
) -> Result<(), Failure> {
    let view = cluster::view()?;
    let group = view.group(line.word())?;
    let configuration = Configuration::read(this)?;
    let configured = configuration.group(&group.id)?;
    if let (Verb::Giveback, Err(failure)) = (verb, &configured.parameters) {
        return Err(failure.clone());
    }
    let (rules, home) = (configuration.rules_of(&group.id)?, configured.home());
    let target = target(verb, &view, &rules, group, home, line.value("--node"))?;
    let (target, chosen) = (target.node, target.why);
    let name = &target.name;
    if group.nodes.contains(name) && group.state == "Started" {
        say(&format!("{} is on {name} already", group.id));
        return Ok(());
    }
    if let Some(why) = never(&view, group, target) {
        return Err(veto(why));
    }
    if let Some(rule) = ban(&view, &rules, group, name) {
        let cause = format!("rule {rule} keeps {} from {name}", group.id);
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
    let scope = || configuration.scope(kernel, configured, this, || Some(&view));
    let standing = Standing::of(&view, &rules, group, target);
    match (doubts(kernel, this, standing, target, scope), line.has("--force")) {
        (Some(why), false) => {
            return Err(veto(why).advise("--force goes on regardless"));
        }
        (Some(why), true) => say(&format!("{why}; going on, as --force says")),
        (None, _) => {}
    }
    if let Some(why) = chosen {
        say(&format!("{}: {why}", group.id));
    }
    let from = group.nodes.first().map_or("no node", String::as_str);
    say(&format!("{}: from {from} to {name}", group.id));
    cluster::order_move(&group.id, name)?;
    let moved = follow(&group.id, name);
    // Also where the move failed: no rule of ours is to stay.
    let cleared = cluster::forget_move(&group.id);
    let away = moved?;
    let away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
    let moved = Move { group: group.id.clone(), node: name.clone(), away_ms };
    // This is for the metrics only: where it fails, the move is done nevertheless.
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

/// The node that a group is to go to.
struct Target<'a> {
    node: &'a Member,
    /// Why this node was chosen, where there were several.
    why: Option<String>,
}

fn target<'a>(
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

/// Returns a reason against the move that nobody may override, if there is one: Pacemaker
/// would not move the group, or the group would have nowhere to go.
fn never(view: &View, group: &Resource, target: &Member) -> Option<String> {
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
fn doubts(
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

fn veto(why: String) -> Failure {
    Failure::new(Kind::Failed, "not moved", why)
}

/// Waits until a node serves the group. Returns for how long no node served it.
fn follow(id: &str, node: &str) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let (mut left, mut told) = (None, String::new());
    // How many looks in a row have found nothing begun, and nothing to do.
    let mut idle = 0;
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
        // A cluster that does not answer this may be busy with the move.
        let late = state == State::Before && begun.elapsed() > BEGIN;
        idle = if late && cluster::is_idle().unwrap_or(false) { idle + 1 } else { 0 };
        match (state, left) {
            (State::There, Some(left)) => return Ok(left.elapsed()),
            (State::Lost(why), _) => return Err(veto(why)),
            _ if idle > 1 => {
                return Err(veto(format!("Pacemaker has {id} stay where it is")).advise(
                    "crm_simulate -sL shows its scores; a node may lack the agent",
                ));
            }
            _ if begun.elapsed() > MOVE => {
                return Err(veto(format!("not there after {} s", MOVE.as_secs()))
                    .advise("See crm_mon and the cluster's log"));
            }
            _ => std::thread::sleep(AGAIN),
        }
    }
}

/// How far a move has got.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing has happened yet.
    Before,
    /// The group is being stopped on this node.
    Stopping(String),
    /// This node had the group and is lost; it is to be fenced.
    Fencing(String),
    /// The group is nowhere, or being started.
    Starting,
    /// The group is where it should be.
    There,
    /// The group will not get there, for this reason.
    Lost(String),
}

impl State {
    fn of(view: &View, id: &str, node: &str) -> Self {
        let Some(group) = view.resource(id) else {
            return Self::Lost(format!("{id} is no longer configured"));
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
    // An error is ignored: the reader may have gone, and the move goes on.
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
                within: Vec::new(),
            }],
            bans: Vec::new(),
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
    fn silence_speaks_against_another_node_alone() {
        let silent = || Standing::Silent("says nothing".into());
        assert_eq!(against(silent(), false).as_deref(), Some("says nothing"));
        assert_eq!(against(silent(), true), None);
        let lacking = Standing::Lacking("lacks a disk".into());
        assert_eq!(against(lacking, true).as_deref(), Some("lacks a disk"));
        assert_eq!(against(Standing::Able(Says::Ready), false), None);
    }

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
