//! crash-points: on a live kernel the agent is killed by SIGKILL after some of its
//! operations, in a start and in a stop. After each kill, a stop leaves nothing and a
//! start serves. This is a sample: the simulated kernel goes through every point.

use std::time::Duration;

use super::stranger::Stranger;
use super::{Seen, World};
use crate::error::{Error, Result};
use crate::progress;

/// The distance between the points that are tried: every sixth is.
const SAMPLE: u32 = 6;
/// A number of operations that no action reaches.
const END: u32 = 99;
/// How long all points may take, at a few calls of the agent each.
const TIME: Duration = Duration::from_secs(300);

/// Plays crash-points.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let stranger = Stranger::new();
    // The scenario that is played beside this one mostly uses the other node.
    let node = world.node(group.partner)?;
    for action in ["start", "stop"] {
        let step =
            progress::step(format!("{action} killed: stop is clean, start serves"));
        let said = node
            .run(&script(&stranger, &stranger.environment(group, None), action), TIME)?;
        let points = said.split_whitespace().count();
        if points < 3 {
            return Err(Error::other(format!(
                "{action}: killed at {points} points only"
            )));
        }
        step.done(&format!("{points} points"));
        stranger.left_nothing(node)?;
    }
    Ok(Seen::default())
}

/// Returns a script that kills `action` at one point after the other, until `action` ends
/// by itself. The script prints each point from which the group recovered.
fn script(stranger: &Stranger, environment: &str, action: &str) -> String {
    let leavings = stranger.leavings();
    format!(
        "export {environment}
         agent=/usr/lib/ocf/resource.d/understudy/vport log=/tmp/crash-points
         must() {{ $agent $1 2> $log || fail \"$1: exit code $?\"; }}
         fail() {{ echo \"point $n: $*\"; tail -n 3 $log; exit 1; }} >&2
         for n in $(seq 0 {SAMPLE} {END}); do
             # It is killed in a group that is served.
             [ {action} = start ] || must start
             env UNDERSTUDY_DIE_AFTER=$n $agent {action} 2> $log; said=$?
             must stop
             left=$({leavings})
             [ -z \"$left\" ] || fail \"left behind: $left\"
             [ $said -eq 137 ] || break
             must start; must monitor; must stop
             echo $n
         done
         [ $said -eq 0 ] || fail \"{action}: exit code $said\""
    )
}
