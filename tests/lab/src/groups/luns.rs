//! Where a group's LUNs are at the initiator.

use std::time::Duration;

use super::{Group, groups};
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::plan::Side;

/// A LUN of a group, as the initiator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lun {
    /// The name of the group.
    pub group: &'static str,
    /// The LUN's number.
    pub number: u16,
    /// The device's name at the initiator, such as `sda`.
    pub device: String,
}

/// A shell command for the initiator: look for LUNs that are new.
pub const SCAN: &str = "for h in /sys/class/fc_host/host*; do
        echo '- - -' > /sys/class/scsi_host/${h##*/}/scan
    done";

/// Waits until the initiator sees every LUN of both groups. Returns them, with the names
/// of their devices.
///
/// # Errors
/// The initiator does not see them in that time.
pub fn luns(host: &Guest, time: Duration) -> Result<Vec<Lun>> {
    let mut found = Vec::new();
    for group in groups() {
        found.extend(luns_of(host, &group, group.disks().len(), time)?);
    }
    Ok(found)
}

/// Waits until the initiator sees this many LUNs of a group, and returns them.
///
/// # Errors
/// The initiator does not see them in that time.
pub fn luns_of(
    host: &Guest,
    group: &Group,
    count: usize,
    time: Duration,
) -> Result<Vec<Lun>> {
    luns_through(host, group, group.side(), count, time)
}

/// Waits until the initiator sees this many LUNs of a group through its port in a fabric,
/// and returns them.
///
/// # Errors
/// The initiator does not see them in that time.
pub fn luns_through(
    host: &Guest,
    group: &Group,
    side: Side,
    count: usize,
    time: Duration,
) -> Result<Vec<Lun>> {
    let wwpn = group.wwpn_in(side).replace(':', "");
    // A target's SCSI address leads to its port name. A LUN's address is that of its
    // target, and its number.
    let script = format!(
        "while :; do
            list=
            for t in /sys/class/fc_transport/target*; do
                read -r name < $t/port_name || continue
                [ \"$name\" = 0x{wwpn} ] || continue
                for d in /sys/class/scsi_device/${{t##*/target}}:*/device/block/*; do
                    [ -e $d ] || continue
                    lun=${{d%/device/block/*}}
                    list=\"$list ${{lun##*:}}=${{d##*/}}\"
                done
            done
            set -- $list
            [ $# -eq {count} ] && echo $list && exit
            sleep 0.3
        done"
    );
    let said = host.run(&script, time)?;
    let lun = |word: &str| {
        let (number, device) = word.split_once('=').unwrap_or_default();
        let number = number.parse().map_err(|_| Error::other("not a LUN"))?;
        Ok(Lun { group: group.name, number, device: device.to_owned() })
    };
    said.split_whitespace().map(lun).collect()
}
