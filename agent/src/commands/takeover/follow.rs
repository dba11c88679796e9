//! A commanded move, watched to its end.

use std::io::Write;
use std::time::{Duration, Instant};

use understudy_core::action::failure::Failure;

use super::obstacles::veto;
use crate::cluster::{self, View};

/// Time between two looks at the cluster.
pub const AGAIN: Duration = Duration::from_millis(300);
/// Time for the whole move. A stop that fails is followed by a fence, and then by a
/// start.
const MOVE: Duration = Duration::from_secs(300);
/// Time for Pacemaker to begin the move. If it is idle after that, it will not move the
/// group.
const BEGIN: Duration = Duration::from_secs(10);

/// Waits until a node serves the group. Returns for how long no node served it.
///
/// # Errors
/// The cluster does not answer, or the group will not get there.
pub fn follow(id: &str, node: &str) -> Result<Duration, Failure> {
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

/// Prints a line for the person who commanded the move.
pub fn say(what: &str) {
    // An error is ignored: the reader may have gone, and the move goes on.
    let _ = writeln!(std::io::stdout(), "{what}");
}

#[cfg(test)]
mod tests {
    use super::super::sample::view;
    use super::*;

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
}
