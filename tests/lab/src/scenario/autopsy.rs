//! A record of the lab at the moment when a scenario fails, beside the logs that are
//! written all the time. With it nobody has to run the scenario again to understand the
//! failure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::World;
use crate::guest::Guest;
use crate::plan::{ARRAYS, HOST, SIDES};
use crate::{console, paths};

/// How long a guest may take to answer each question.
const TIME: Duration = Duration::from_secs(30);

/// The words by which Pacemaker's scheduler reports a decision to fence
/// (lib/pengine/unpack.c).
const FENCED: &str = " will be fenced: ";

/// The commands that a storage node is asked.
const NODE: &str = "uptime
    crm_mon -1nrfA
    understudy status
    ls -l /run/understudy/ports
    grep . /sys/class/fc_host/*/port_state /sys/class/fc_vports/*/vport_state
    for d in /sys/block/sd*; do echo ${d##*/} in flight: $(cat $d/inflight); done
    ps -eo pid,stat,wchan:32,args | grep ' [DRSZ][^ ]* ' | grep -v ' S.* -  '
    nft list ruleset";

/// The commands that the initiator is asked.
const INITIATOR: &str = "uptime
    grep . /sys/class/fc_remote_ports/*/port_name /sys/class/fc_remote_ports/*/port_state
    for d in /sys/block/sd*; do
        echo ${d##*/} $(cat $d/device/wwid $d/device/state) in flight: $(cat $d/inflight)
    done
    dmsetup status --target multipath";

/// Returns the length of the initiator's journal. What comes later can be told by it.
pub fn journal_length(world: &World) -> usize {
    journal(world).len()
}

/// Returns what the initiator's kernel reported of failed commands after its journal had
/// this length. A status or a host byte tells who ended a command.
pub fn failed_commands(world: &World, since: usize) -> String {
    console::failed_commands(journal(world).get(since..).unwrap_or_default())
}

/// Returns the initiator's journal, or an empty text if it cannot be read.
fn journal(world: &World) -> String {
    let log = |host: &Guest| {
        let name = format!("{HOST}.{}.journal", host.boots());
        paths::read(&world.lab.folders().log(&name))
    };
    world.lab.host().and_then(log).unwrap_or_default()
}

/// Returns the lines of the cluster's logs that report a decision to fence.
pub fn fences(world: &World) -> BTreeSet<String> {
    let log = |node: &Guest, boot: u32| {
        let name = format!("{}.{boot}.cluster", node.name());
        paths::read(&world.lab.folders().log(&name)).unwrap_or_default()
    };
    let nodes = ARRAYS.iter().filter_map(|name| world.lab.guest(name).ok());
    let logs = nodes.flat_map(|node| (1..=node.boots()).map(move |boot| log(node, boot)));
    let lines = logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.contains(FENCED)).collect()
}

/// Returns the node that such a line names, and the cluster's reason.
pub fn reason(line: &str) -> Option<String> {
    let (before, why) = line.split_once(FENCED)?;
    let node = before.split_whitespace().next_back()?;
    Some(format!("{node}: {}", why.trim()))
}

/// Writes the record of a failure to `NAME.failed` among the logs. A guest that does not
/// answer is named in it.
pub fn write(world: &World, name: &str, error: &str) {
    let mut text = format!("{name}: {error}\n");
    let asked = ARRAYS.map(|node| (node, NODE)).into_iter().chain([(HOST, INITIATOR)]);
    for (name, script) in asked {
        let Ok(guest) = world.lab.guest(name) else { continue };
        let boots = guest.boots();
        let _ = writeln!(
            text,
            "\n== {name}, powered on {boots} times, on: {}",
            guest.is_on()
        );
        if guest.boot().is_some() {
            let said = guest.try_run(&format!("{{\n{script}\n}} 2>&1"), TIME);
            let _ = writeln!(text, "{}{:?}", said.stdout, said.end);
        }
    }
    for side in SIDES {
        let _ = writeln!(text, "\n== {}", side.name());
        let ports = super::world::client(&world.lab, side).map(|mut c| c.ports());
        let _ = writeln!(text, "{ports:#?}");
    }
    let file = world.lab.folders().log(&format!("{name}.failed"));
    if let Err(error) = paths::write(&file, text) {
        eprintln!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clusters_reason_is_read() {
        let line = "Nov 27 09:00:00 array-b pacemaker-schedulerd[900] (pe_fence_node) \
                    warning: Cluster node array-a will be fenced: vport failed there";
        assert_eq!(reason(line).as_deref(), Some("array-a: vport failed there"));
        assert_eq!(reason("nothing"), None);
    }
}
