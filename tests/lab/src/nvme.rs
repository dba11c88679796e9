//! The NVMe shelf: its namespaces, and the storage nodes' connections to it. The shelf's
//! guest takes no commands. Its console and its namespaces show what it does.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::lab::Lab;
use crate::plan::{NVME_ADDRESS, NVME_SHELF, member_id};
use crate::{console, paths, speed};

/// The shelf's NVMe subsystem.
const NQN: &str = "nqn.2026-01.lab.understudy:nvme-shelf";
/// The last line that the shelf's console prints when the shelf is ready
/// (`image/nvme-init`).
const SERVES: &str = "lab: the NVMe shelf serves";
/// How long the shelf may take to boot, and a node to find its namespaces.
const TIME: Duration = Duration::from_secs(120);

/// Returns the words on the command line of the shelf's kernel, which configure the
/// shelf.
#[must_use]
pub fn words() -> String {
    format!("lab.address={NVME_ADDRESS} lab.nqn={NQN}")
}

/// Returns the namespaces' WWIDs in Linux's form: two are UUIDs, two are NGUIDs.
#[must_use]
pub fn wwids() -> [String; 4] {
    let uuid = |number| format!("75de5000-0000-4000-8000-00000000000{number}");
    [1, 2, 3, 4].map(|number| match number {
        1 | 2 => format!("uuid.{}", uuid(number)),
        _ => format!("eui.{}", uuid(number).replace('-', "")),
    })
}

/// Returns a storage node's Host ID, by which a namespace knows the node after each of
/// its boots.
#[must_use]
pub fn host_id(node: &str) -> String {
    format!("75de5000-0000-4000-8000-0000000001{:02}", member_id(node))
}

/// Powers the shelf on and waits until it serves.
///
/// # Errors
/// The shelf does not serve in time.
pub fn start(lab: &Lab) -> Result<()> {
    let shelf = lab.guest(NVME_SHELF)?;
    shelf.power_on()?;
    shelf.make_nice();
    let log = lab.folders().log(&format!("{NVME_SHELF}.{}.console", shelf.boots()));
    let after = speed::stretch(TIME);
    let deadline = Instant::now() + after;
    loop {
        let said = paths::read(&log).unwrap_or_default();
        if said.contains(SERVES) {
            return Ok(());
        }
        if let Some(trouble) = console::trouble(&said) {
            return Err(Error::other(format!("{NVME_SHELF}:\n{trouble}")));
        }
        if Instant::now() >= deadline {
            let what = format!("{NVME_SHELF}: serves");
            return Err(Error::Timeout { what, after });
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Connects a storage node to the shelf and waits until it has all namespaces.
///
/// # Errors
/// The node does not have them in time.
pub fn connect(node: &Guest) -> Result<()> {
    let (name, id) = (node.name(), host_id(node.name()));
    let address = NVME_ADDRESS.split('/').next().unwrap_or_default();
    let script = format!(
        "modprobe nvme-tcp
         echo transport=tcp,traddr={address},trsvcid=4420,nqn={NQN},reconnect_delay=2,\
         hostnqn=nqn.2026-01.lab.understudy:{name},\
         hostid={id} > /dev/nvme-fabrics || exit
         for w in {}; do
             until grep -qsx $w /sys/block/nvme*/wwid; do sleep 0.2; done
         done
         udevadm settle",
        wwids().join(" ")
    );
    node.run(&script, TIME).map(drop)
}

/// Disconnects a storage node from the shelf. Its namespaces go with the connection.
///
/// # Errors
/// A namespace stays.
pub fn disconnect(node: &Guest) -> Result<()> {
    let script = "for c in /sys/class/nvme/*/delete_controller; do echo 1 > $c; done
                  until ! ls -d /sys/block/nvme* 2> /dev/null; do sleep 0.2; done
                  modprobe -r nvme-tcp";
    node.run(script, TIME).map(drop)
}

/// Returns the Host IDs that are registered with a namespace, in the order of its report.
/// A `*` stands before the one that holds the reservation.
///
/// # Errors
/// The namespace does not answer, or the node does not have it.
pub fn registrants(node: &Guest, wwid: &str) -> Result<Vec<String>> {
    let said = node.run(&format!("lab-nvme registrants {wwid}"), TIME)?;
    Ok(said.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shelf_makes_what_the_nodes_look_for() {
        let init = paths::read(&paths::sources().join("image/nvme-init")).unwrap();
        assert!(init.contains(&format!("echo \"{SERVES}\"")));
        let [first, _, third, _] = wwids();
        let stem = first.trim_start_matches("uuid.").trim_end_matches('1');
        assert!(init.contains(&format!("uuid={stem}$number\n")), "{stem}");
        assert_eq!(third, format!("eui.{}3", stem.replace('-', "")));
    }
}
