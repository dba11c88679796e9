//! reservations-survive: two initiators register and reserve through the port. The node
//! that serves it loses its power in the middle of their PERSISTENT RESERVE OUT commands.
//! Everything that was acknowledged is there on the partner, and a third initiator is
//! still refused.

use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use super::world::COMMAND;
use super::{Seen, World};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::plan::{ARRAYS, HOST, Side, guests};
use crate::progress;

/// How often the power is cut, unless `UNDERSTUDY_ROUNDS` has another number: once for
/// each node. Each cut costs a boot of a minute.
const ROUNDS: u32 = 2;
/// The last digits of the port names of the second and the third initiator, which are
/// virtual ports of the host.
const GUESTS: [&str; 2] = ["75640000000e", "75640000000f"];
/// The node name of the second and the third initiator.
const NODE: &str = "200075640000000e";

/// Plays reservations-survive.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    survive(world, group, || Ok(()))?;
    Ok(Seen::default())
}

/// Has initiators register and reserve on a group with four LUNs and a state disk, cuts
/// the power of the node that serves it, once for each node, and checks what is left.
/// After each cut `back` waits for what a node needs that is to serve the group. In the
/// end the groups that are always there are at home.
///
/// # Errors
/// Something that was acknowledged is not there on the partner, or a node does not come
/// back.
pub fn survive(
    world: &World,
    group: &Group,
    back: impl Fn() -> Result<()>,
) -> Result<()> {
    let (allowed, side) =
        (group.parameter("initiators").unwrap_or_default(), group.side());
    let host = world.lab.host()?;
    world.load.pause()?;
    progress::during("two more initiators are allowed, and log in", || {
        let all = format!("{allowed} {}", more_initiators(side).join(" "));
        world.set_parameter(group, "initiators", &all)?;
        host.run(&each("vport_create", side), COMMAND)
    })?;
    let rounds = std::env::var("UNDERSTUDY_ROUNDS").ok().and_then(|n| n.parse().ok());
    for turn in 1..=rounds.unwrap_or(ROUNDS) {
        let step = progress::step(format!("power cut in a storm, the {turn}. time"));
        let answered = round(world, group, turn)?;
        back()?;
        step.done(&format!("{answered} answers, all true"));
    }
    progress::during("as before", || {
        host.run(&each("vport_delete", side), COMMAND)?;
        world.set_parameter(group, "initiators", &allowed)?;
        world.giveback()
    })
}

/// Returns the port names of the second and the third initiator in a fabric.
#[must_use]
pub fn more_initiators(side: Side) -> [String; 2] {
    let number = match side {
        Side::A => 1,
        Side::B => 2,
    };
    GUESTS.map(|digits| format!("200{number}{digits}"))
}

/// Cuts the power of the node that serves, and waits until it is a member again. Returns
/// how many commands were acknowledged.
fn round(world: &World, group: &Group, turn: u32) -> Result<u32> {
    let host = world.lab.host()?;
    let (node, _) = world.serving(group)?;
    let partner = ARRAYS.into_iter().find(|name| *name != node).unwrap_or_default();
    let first = guests().into_iter().find(|guest| guest.name == HOST);
    let first =
        first.map(|guest| guest.wwpn(group.side()).replace("0x", "")).unwrap_or_default();
    let [second, third] = more_initiators(group.side());
    let port = group.wwpn().replace(':', "");
    let script = format!("lab-persist {port} {first} {second} {third} {turn}");
    host.run("rm -f /run/persist.ready /run/persist.end", COMMAND)?;
    let said = thread::scope(|scope| {
        let storm = scope.spawn(|| host.run(&script, COMMAND * 2));
        host.run("until [ -e /run/persist.ready ]; do sleep 0.1; done", COMMAND)?;
        if storm.is_finished() {
            return ended(storm);
        }
        let mark = world.mark()?;
        let victim = world.node(&node)?;
        let boots = victim.boots();
        // Each turn cuts the power at another moment.
        thread::sleep(Duration::from_millis(u64::from(turn) * 37 % 500));
        victim.power_off();
        world.wait_fenced(&node, boots)?;
        world.wait_served(mark, group, partner)?;
        host.run("sleep 1; : > /run/persist.end", COMMAND)?;
        ended(storm)
    })?;
    world.wait_whole()?;
    said.trim().parse().map_err(|_| Error::other(said))
}

fn ended(storm: ScopedJoinHandle<'_, Result<String>>) -> Result<String> {
    storm.join().unwrap_or_else(|_| Err(Error::other("the storm's thread ended")))
}

/// Returns a script for the host that writes the names of both virtual ports to an
/// attribute of its physical port in a fabric.
fn each(attribute: &str, side: Side) -> String {
    let names = more_initiators(side).map(|name| format!("{name}:{NODE}")).join(" ");
    let port = side.interface();
    format!(
        "for h in /sys/class/net/{port}/ctlr_*/host*/fc_host/host*; do
             for n in {names}; do echo $n > $h/{attribute}; done
         done"
    )
}
