//! bad-configuration: mistakes in a group's parameters. Each is refused with a reason
//! that names it, and with the exit code after which Pacemaker does the right thing.
//! Nothing of it remains in the kernel.

use super::stranger::Stranger;
use super::world::{COMMAND, client, fabric};
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::Side;
use crate::progress;
use crate::shelf;

/// A mistake: the parameters that are changed, and the answer that must follow.
struct Mistake {
    what: &'static str,
    change: (&'static str, String),
    code: i32,
    reason: &'static str,
}

/// Plays bad-configuration.
pub fn run(world: &World) -> Result<Seen> {
    let [_, other] = &world.groups;
    let stranger = Stranger::new();
    under_load(world, Pace::Bursts, || {
        let node = world.node(other.home)?;
        for mistake in mistakes(&stranger) {
            let step = progress::step(mistake.what);
            let (name, value) = &mistake.change;
            let environment = stranger.environment(other, Some((name, value)));
            refused(node, &environment, mistake.code, mistake.reason)?;
            stranger.left_nothing(node)?;
            step.done(&format!("exit code {}", mistake.code));
        }
        // The link must have no virtual ports: a new login of the node's port must not
        // touch the group that it serves.
        world.move_to(other, other.partner)?;
        let step = progress::step("no NPIV on the port");
        without_npiv(world, node, || {
            refused(node, &stranger.environment(other, None), 5, "Turn NPIV on")
        })?;
        stranger.left_nothing(node)?;
        step.done("exit code 5");
        world.giveback()?;
        Ok(vec![other.clone()])
    })
}

fn mistakes(stranger: &Stranger) -> Vec<Mistake> {
    let disk = &stranger.disk;
    let nopr = shelf::disks().into_iter().find(|disk| !disk.reservations);
    let nopr = nopr.map(|disk| disk.device().display().to_string()).unwrap_or_default();
    vec![
        Mistake {
            what: "a WWPN that is none",
            change: ("ports", "20:01:75:64:zz:00:00:0a".into()),
            code: 6,
            reason: "'20:01:75:64:zz:00:00:0a' is not a WWN",
        },
        Mistake {
            what: "a disk that does not exist",
            change: ("disks", "0=/dev/disk/by-id/wwn-0xabsent".into()),
            code: 5,
            reason: "LUN 0: /dev/disk/by-id/wwn-0xabsent",
        },
        Mistake {
            what: "one LUN number twice",
            change: ("disks", format!("0={disk} 0={nopr}")),
            code: 6,
            reason: "LUN 0 is given twice",
        },
        Mistake {
            what: "an unknown fabric",
            change: ("ports", format!("{}@10:00:00:00:00:00:ab:cd", stranger.wwpn)),
            code: 5,
            reason: "in fabric 10:00:00:00:00:00:ab:cd",
        },
        Mistake {
            what: "a disk without reservations",
            change: ("disks", format!("0={nopr}")),
            code: 5,
            reason: "does not support persistent reservations",
        },
    ]
}

fn refused(node: &Guest, environment: &str, code: i32, reason: &str) -> Result<()> {
    let script =
        format!("env {environment} /usr/lib/ocf/resource.d/understudy/vport start");
    let output = node.try_run(&script, COMMAND);
    let line = output.stderr.lines().find(|line| line.starts_with("ocf-exit-reason:"));
    if output.code() == Some(code) && line.is_some_and(|line| line.contains(reason)) {
        return Ok(());
    }
    Err(Error::other(format!("not {code} for \"{reason}\": {}", output.explain())))
}

/// Runs `look` while a node's physical port is logged in to a fabric that grants no
/// virtual ports.
fn without_npiv(
    world: &World,
    node: &Guest,
    look: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut client = client(&world.lab, Side::A)?;
    let link = node.name();
    let ports = client.ports().map_err(fabric)?;
    let port = ports.into_iter().find(|port| port.link == link);
    let wwpn = port.ok_or_else(|| Error::other("no port on the link"))?.wwpn;
    let mut log_in_again = |npiv: bool| -> Result<()> {
        let mark = world.mark()?;
        client.set_npiv(Some(link), npiv).map_err(fabric)?;
        client.drop(wwpn).map_err(fabric)?;
        world.wait_login(mark, Side::A, wwpn, link)?;
        crate::lab::wait_port(node, COMMAND)
    };
    log_in_again(false)?;
    let said = look();
    log_in_again(true)?;
    said
}
