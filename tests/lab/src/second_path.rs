//! A second path from the storage nodes to the shelf: another address of the shelf on the
//! node's storage network, and multipathd on the node. docs/storage.md has its configuration.

use std::time::Duration;

use crate::error::Result;
use crate::groups::Group;
use crate::guest::Guest;
use crate::plan;

/// How long paths and maps may take to come or go.
const TIME: Duration = Duration::from_secs(120);

/// What docs/storage.md advises. Nothing but one group's disks is multipath's here.
const CONF: &str = r#"
defaults {
    reservation_key file
    find_multipaths off
    user_friendly_names no
    polling_interval 2
}
blacklist {
    wwid ".*"
}
blacklist_exceptions {
WWIDS
}
overrides {
    path_checker tur
    no_path_retry 6
    fast_io_fail_tmo 5
}
"#;

/// Has the shelf listen at its second address on a node's storage network.
const LISTEN: &str = "set -e; ip address add ADDRESS/24 dev NETWORK
    for tpg in /sys/kernel/config/target/iscsi/*/tpgt_1; do mkdir $tpg/np/ADDRESS:3260; done";
/// Has the shelf listen there no longer.
const HANG_UP: &str = "set -e
    for tpg in /sys/kernel/config/target/iscsi/*/tpgt_1; do rmdir $tpg/np/ADDRESS:3260; done
    ip address del ADDRESS/24 dev NETWORK";
/// Has a node log in by both paths; a lost one is noticed after four seconds.
const LOG_IN: &str = "set -e; read -r portal target < /etc/lab-shelf
    node() { iscsiadm -m node -T \"$target\" -p ADDRESS \"$@\" > /dev/null; }
    node -o new
    node -o update -n node.startup -v manual
    node -o update -n 'node.conn[0].timeo.noop_out_interval' -v 2
    node -o update -n 'node.conn[0].timeo.noop_out_timeout' -v 2
    node -o update -n node.session.timeo.replacement_timeout -v 5
    node --login";
/// Starts multipathd and waits until each disk has a map with two paths.
const MAPS: &str = "set -e; cat > /etc/multipath.conf <<'CONF'CONFCONF
    rm -f /etc/multipath/prkeys
    systemctl start multipathd
    for wwid in LIST; do
        until map=$(readlink -f /dev/mapper/$wwid) && [ -e /sys/block/${map##*/}/slaves ] &&
            [ $(ls /sys/block/${map##*/}/slaves | wc -l) = 2 ]; do sleep 0.3; done
    done";
/// Ends the maps and the second session. Nothing may have them open.
const END: &str = "set -e; read -r portal target < /etc/lab-shelf
    systemctl stop multipathd.socket multipathd; udevadm settle
    for wwid in LIST; do dmsetup remove --retry $wwid; done
    rm -f /etc/multipath.conf /etc/multipath/prkeys
    iscsiadm -m node -T \"$target\" -p ADDRESS --logout > /dev/null
    iscsiadm -m node -T \"$target\" -p ADDRESS -o delete";
/// Drops everything between a node and the second address, as a broken cable does.
const CUT: &str = "set -e; nft 'add table inet lab
    add chain inet lab in { type filter hook input priority 0; }
    add chain inet lab out { type filter hook output priority 0; }
    add rule inet lab in ip saddr ADDRESS drop
    add rule inet lab out ip daddr ADDRESS drop'";
/// Waits until this many paths of the group's disks are in a state.
const STATE: &str = "while n=0; for wwid in LIST; do
            map=$(readlink -f /dev/mapper/$wwid)
            for s in /sys/block/${map##*/}/slaves/*; do
                [ $(cat $s/device/state) != STATE ] || n=$((n + 1))
            done
        done; [ $n != COUNT ]; do sleep 0.3; done";
/// Waits until multipathd uses this many paths.
const USED: &str =
    "while set -- $(dmsetup status --target multipath | grep -o '[0-9]*:[0-9]* A'),
        [ $(($# / 2)) -ne COUNT ]; do sleep 0.3; done";

/// Gives a storage node a second path to each disk of a group. None of them may be in use
/// there.
///
/// # Errors
/// A path or a map does not come.
pub fn start(shelf: &Guest, node: &Guest, group: &Group) -> Result<()> {
    let script = at(node, LISTEN);
    shelf.run(&script, TIME)?;
    node.run(&at(node, LOG_IN), TIME)?;
    maps(node, group)
}

/// Has multipathd make a map of each of a group's disks.
///
/// # Errors
/// A map does not come.
fn maps(node: &Guest, group: &Group) -> Result<()> {
    let each: Vec<_> =
        wwids(group).iter().map(|wwid| format!("    wwid {wwid}")).collect();
    let conf = CONF.replace("WWIDS", &each.join("\n"));
    let script = MAPS.replace("CONFCONF", &format!("{conf}CONF"));
    node.run(&script.replace("LIST", &wwids(group).join(" ")), TIME).map(drop)
}

/// Takes the second path away again, and the maps.
///
/// # Errors
/// A map is in use.
pub fn end(shelf: &Guest, node: &Guest, group: &Group) -> Result<()> {
    let script = END.replace("LIST", &wwids(group).join(" "));
    node.run(&at(node, &script), TIME)?;
    hang_up(shelf, node)
}

/// Takes the shelf's second address away, where the node has none of its paths any more.
///
/// # Errors
/// The shelf cannot.
pub fn hang_up(shelf: &Guest, node: &Guest) -> Result<()> {
    shelf.run(&at(node, HANG_UP), TIME).map(drop)
}

/// Cuts a node's second path and waits until the kernel has given it up.
///
/// # Errors
/// The node goes on using it.
pub fn cut(node: &Guest, group: &Group) -> Result<()> {
    node.run(&at(node, CUT), TIME)?;
    let disks = wwids(group).len();
    node.run(&state(group, "transport-offline", disks), TIME)?;
    node.run(&USED.replace("COUNT", &disks.to_string()), TIME).map(drop)
}

/// Has a node's second path work again, and waits until it is used.
///
/// # Errors
/// It is not used in time.
pub fn mend(node: &Guest, group: &Group) -> Result<()> {
    node.run("nft delete table inet lab", TIME)?;
    let paths = 2 * wwids(group).len();
    node.run(&state(group, "running", paths), TIME)?;
    node.run(&USED.replace("COUNT", &paths.to_string()), TIME).map(drop)
}

fn state(group: &Group, state: &str, count: usize) -> String {
    let script = STATE.replace("STATE", state).replace("COUNT", &count.to_string());
    script.replace("LIST", &wwids(group).join(" "))
}

/// Returns a script with a node's second address of the shelf, and the shelf's end of the
/// network.
fn at(node: &Guest, script: &str) -> String {
    let address = format!("{}29", plan::shelf_address(node.name()));
    let network = format!("storage-{}", &node.name()[node.name().len() - 1..]);
    script.replace("ADDRESS", &address).replace("NETWORK", &network)
}

/// Returns the names of a group's disks as multipath has them, of the state disk too.
fn wwids(group: &Group) -> Vec<String> {
    let disks = group.disks().into_iter().chain(group.state_disk());
    disks.map(|disk| format!("36001405{}", disk.serial())).collect()
}
