//! bad-configuration: each mistake is refused with a reason that names it, with the exit
//! code that has Pacemaker do the right thing, and nothing of it stays in the kernel.

use understudy_fabric::client::Client;
use understudy_fabric::control::What;

use super::world::{COMMAND, fabric};
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::progress;
use crate::shelf;

/// A mistake: what is changed, and what must come of it.
struct Mistake {
    what: &'static str,
    change: (&'static str, String),
    code: i32,
    reason: &'static str,
}

/// The scenario.
pub fn run(world: &World) -> Result<Seen> {
    let [group, other] = &world.groups;
    under_load(world, |_| {
        let node = world.node(other.home)?;
        for mistake in mistakes(group) {
            progress::during(mistake.what, || refused(node, group, &mistake))?;
        }
        // Without virtual ports on the link: a new login of the node's port must not
        // touch the group that it serves.
        world.move_to(other, other.partner)?;
        progress::during("no NPIV on the port", || no_npiv(world, node, group))?;
        world.giveback()?;
        Ok(vec![other.clone()])
    })
}

fn mistakes(group: &Group) -> Vec<Mistake> {
    let disks = group.disks();
    let device = |i: usize| {
        disks.get(i).map(|disk| disk.device().display().to_string()).unwrap_or_default()
    };
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
            change: ("disks", format!("0={} 0={}", device(0), device(1))),
            code: 6,
            reason: "LUN 0 is given twice",
        },
        Mistake {
            what: "an unknown fabric",
            change: ("ports", format!("{}@10:00:00:00:00:00:ab:cd", group.wwpn())),
            code: 5,
            reason: "in fabric 10:00:00:00:00:00:ab:cd",
        },
        Mistake {
            what: "a disk without reservations",
            change: ("disks", format!("0={nopr}")),
            code: 5,
            reason: "does not support SCSI-3 persistent reservations",
        },
    ]
}

fn refused(node: &Guest, group: &Group, mistake: &Mistake) -> Result<()> {
    let (name, value) = &mistake.change;
    let environment = group.environment(&[(name, value)]);
    starts_not(node, &environment, mistake.code, mistake.reason)?;
    nothing_left(node, group)
}

fn starts_not(node: &Guest, environment: &str, code: i32, reason: &str) -> Result<()> {
    // A name of its own: the cluster's resource is running elsewhere.
    let script = format!(
        "env {environment} OCF_RESOURCE_INSTANCE=mistake \
         /usr/lib/ocf/resource.d/understudy/vport start"
    );
    let output = node.try_run(&script, COMMAND);
    let line = output.stderr.lines().find(|line| line.starts_with("ocf-exit-reason:"));
    if output.code() == Some(code) && line.is_some_and(|line| line.contains(reason)) {
        return Ok(());
    }
    Err(Error::other(format!("not {code} for \"{reason}\": {}", output.explain())))
}

/// No port, no target, no backstore, no database entry, and no key on the disks.
fn nothing_left(node: &Guest, group: &Group) -> Result<()> {
    let wwpn = group.wwpn();
    let script = format!(
        "ls -d /sys/kernel/config/target/fc/{wwpn} \
             /run/understudy/ports/{}.json 2>/dev/null
         grep -l 0x{} /sys/class/fc_vports/*/port_name 2>/dev/null
         for d in {}; do
             sg_persist --in --read-keys $d | grep 0x7573 | sort -u | wc -l | grep -v '^[01]$'
         done; :",
        wwpn.replace(':', ""),
        wwpn.replace(':', ""),
        group.disks().iter().map(|d| d.device().display().to_string()).collect::<Vec<_>>().join(" "),
    );
    let left = node.run(&script, COMMAND)?;
    if left.trim().is_empty() {
        return Ok(());
    }
    Err(Error::other(format!("{}: left behind: {left}", node.name())))
}

fn no_npiv(world: &World, node: &Guest, group: &Group) -> Result<()> {
    let mut client = Client::connect(world.lab.fabric().control()).map_err(fabric)?;
    let link = node.name();
    let physical = client.ports().map_err(fabric)?;
    let physical = physical.into_iter().find(|port| port.link == link);
    let physical = physical.ok_or_else(|| Error::other("no port on the link"))?.wwpn;
    let mut new_login = |on: bool| -> Result<()> {
        let mark = world.mark()?;
        client.set_npiv(Some(link), on).map_err(fabric)?;
        client.drop(physical).map_err(fabric)?;
        crate::lab::wait_port(node, COMMAND)?;
        // The kernel's port is Online a moment before it has asked the fabric.
        while !world
            .events(mark)?
            .iter()
            .any(|event| event.event == What::Login && event.wwpn == Some(physical))
        {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        crate::lab::wait_port(node, COMMAND)
    };
    new_login(false)?;
    let said = starts_not(node, &group.environment(&[]), 5, "Turn NPIV on");
    new_login(true)?;
    said?;
    nothing_left(node, group)
}
