//! crash-points: on a live kernel the agent is killed by SIGKILL after some of its
//! operations, in a start and in a stop. After each kill, a stop leaves nothing and a
//! start serves. This is a sample: the simulated kernel goes through every point.

use std::time::Duration;

use super::stranger::Stranger;
use super::{Seen, World};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::progress;

/// The distance between the points that are tried: every sixth is.
const SAMPLE: usize = 6;
/// A number of operations that no action reaches.
const END: u32 = 99;
/// How few points are too few for a sample.
const FEW: u32 = 3;
/// How long one point may take, at a few calls of the agent.
const TIME: Duration = Duration::from_secs(120);

/// Plays crash-points.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    // The scenario that is played beside this one mostly uses the other node.
    let node = world.node(group.partner)?;
    for action in ["start", "stop"] {
        let step =
            progress::step(format!("{action} killed: stop is clean, start serves"));
        let points = kill_every(SAMPLE, node, group, action, |_| Stranger::new())?;
        step.done(&format!("{points} points"));
    }
    Ok(Seen::default())
}

/// Kills an action of the stranger at every `sample`th point, one after the other, until
/// the action ends by itself. After each kill a stop has to leave nothing, and a start has
/// to serve. Returns the number of points. `stranger` returns the stranger for a point.
///
/// # Errors
/// The group has not recovered from a kill, or there were too few points.
pub fn kill_every(
    sample: usize,
    node: &Guest,
    like: &Group,
    action: &str,
    stranger: impl Fn(u32) -> Stranger,
) -> Result<u32> {
    let mut points = 0;
    for point in (0..=END).step_by(sample) {
        let stranger = stranger(point);
        let environment = stranger.environment(like, None);
        let script = script(&stranger, &environment, action, point);
        let said = node.run(&script, TIME)?;
        match said.trim() {
            "killed" => points += 1,
            _ if points < FEW => {
                let error = format!("{action}: killed at {points} points only");
                return Err(Error::other(error));
            }
            _ => {
                stranger.left_nothing(node)?;
                return Ok(points);
            }
        }
    }
    Err(Error::other(format!("{action}: has more than {END} operations")))
}

/// Returns a script that kills `action` after `point` operations, and has the group stop,
/// start and stop again. The script prints `killed`, or `ended` if the action has fewer
/// operations.
fn script(stranger: &Stranger, environment: &str, action: &str, point: u32) -> String {
    let leavings = stranger.leavings();
    format!(
        "export {environment}
         agent=/usr/lib/ocf/resource.d/understudy/vport log=/tmp/crash-points
         must() {{ $agent $1 2> $log || fail \"$1: exit code $?\"; }}
         fail() {{ echo \"point {point}: $*\"; tail -n 3 $log; exit 1; }} >&2
         # It is killed in a group that is served.
         [ {action} = start ] || must start
         env UNDERSTUDY_DIE_AFTER={point} $agent {action} 2> $log; said=$?
         must stop
         left=$({leavings})
         [ -z \"$left\" ] || fail \"left behind: $left\"
         [ $said -ne 0 ] || {{ echo ended; exit; }}
         [ $said -eq 137 ] || fail \"{action}: exit code $said\"
         must start; must monitor; must stop
         echo killed"
    )
}
