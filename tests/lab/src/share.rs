//! The folder that the guests see as /lab. It has the guests' own files, which are put
//! over the stock root at each boot, and what the lab and the guests give each other.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::cluster::Member;
use crate::error::{Error, Result};
use crate::fabric::binary;
use crate::plan::{
    BENCH, Folders, HOST, MEMBERS, Role, STORAGE_NODES, Side, Spec, System,
    cluster_address, iscsi_name,
};
use crate::shelf::Disk;
use crate::{cluster, paths, plan, second_path, shelf};

/// How long a Linux initiator waits for a port that is gone, in seconds, unless it is
/// told otherwise (`fc_dev_loss_tmo` in scsi_transport_fc.c).
pub const DEV_LOSS: u64 = 60;

/// Fills the folder. `bmc_ports` are the UDP ports of the storage nodes' BMCs.
///
/// # Errors
/// A file cannot be written.
pub fn fill(
    guests: &[Spec],
    disks: &[Disk],
    bmc_ports: [u16; 2],
    folders: &Folders,
) -> Result<()> {
    let (share, files) = (folders.share(), paths::sources().join("guest"));
    paths::remove(&share)?;
    let common = share.join("common");
    paths::copy_tree(&files.join("common"), &common)?;
    for ours in ["understudy-lab-guest", "understudy-lab-load", "understudy-lab-meter"] {
        let there = common.join(ours);
        fs::copy(binary(ours)?, &there).map_err(Error::io("copy to", &there))?;
    }
    paths::write(&common.join("disks"), shelf::table(disks))?;
    set_ports(folders, &[Side::A])?;
    set_dark(folders, "-")?;
    set_dev_loss(folders, DEV_LOSS)?;
    paths::write(&common.join("cib.xml"), cluster::first_cib(bmc_ports))?;
    paths::make(&share.join("out"))?;
    for guest in guests {
        let System::Debian { files: of_role } = guest.role.system() else { continue };
        let own = share.join(guest.name);
        paths::copy_tree(&files.join(of_role), &own)?;
        paths::write(&own.join("interfaces"), guest.interface_table())?;
        identity(guest, disks, &own.join("files/etc"))?;
        if matches!(guest.role, Role::Array | Role::Vote) {
            corosync(guest.name, &cluster::pair(), cluster::TOKEN, folders)?;
        }
    }
    set_hbas(folders, false)
}

/// Sets the fabrics in which the guests have a port from their boot on.
///
/// # Errors
/// The file cannot be written.
pub fn set_ports(folders: &Folders, sides: &[Side]) -> Result<()> {
    let ports: Vec<_> = sides.iter().map(|side| side.interface()).collect();
    paths::write(&folders.share().join("common/ports"), ports.join(" ") + "\n")
}

/// Sets the guest on which the port in the second fabric stays off at a boot. `-` stands
/// for none.
///
/// # Errors
/// The file cannot be written.
pub fn set_dark(folders: &Folders, guest: &str) -> Result<()> {
    paths::write(&folders.share().join("common/dark"), format!("{guest} fc1\n"))
}

/// Sets whether the guests with an HBA load its driver at their next boots. The driver's
/// probe takes seconds, so only scenarios that need it have it on.
///
/// # Errors
/// A file cannot be written.
pub fn set_hbas(folders: &Folders, on: bool) -> Result<()> {
    let text = if on { "# The HBA is used.\n" } else { "blacklist qla2xxx\n" };
    STORAGE_NODES.iter().chain(&[HOST, BENCH]).try_for_each(|guest| {
        let files = folders.share().join(guest).join("files");
        paths::write(&files.join("etc/modprobe.d/lab.conf"), text)
    })
}

/// Writes a guest's `corosync.conf`, for its next boot.
///
/// # Errors
/// The file cannot be written.
pub fn corosync(
    guest: &str,
    members: &[Member],
    token: Duration,
    folders: &Folders,
) -> Result<()> {
    let file = folders.share().join(guest).join("files/etc/corosync/corosync.conf");
    paths::write(&file, cluster::corosync_conf(members, token))
}

/// Sets for how many seconds an initiator on this machine waits for a port that is gone
/// (`dev_loss_tmo`). This applies to ports that come up from now on.
///
/// # Errors
/// The file cannot be written.
pub fn set_dev_loss(folders: &Folders, seconds: u64) -> Result<()> {
    paths::write(&folders.share().join("common/dev_loss_tmo"), format!("{seconds}\n"))
}

fn identity(guest: &Spec, disks: &[Disk], etc: &Path) -> Result<()> {
    let name = guest.name;
    paths::write(&etc.join("hostname"), format!("{name}\n"))?;
    // Given, so that no boot is a first boot.
    let number = name
        .bytes()
        .fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    paths::write(
        &etc.join("machine-id"),
        format!("75de50000000000000000000{number:08x}\n"),
    )?;
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for member in MEMBERS {
        let _ = writeln!(hosts, "{} {member}", cluster_address(member));
    }
    paths::write(&etc.join("hosts"), hosts)?;
    let target = iscsi_name("shelf");
    match guest.role {
        Role::Array => {
            let initiator = format!("InitiatorName={}\n", iscsi_name(name));
            paths::write(&etc.join("iscsi/initiatorname.iscsi"), initiator)?;
            paths::write(&etc.join("multipath.conf"), second_path::conf(disks))?;
            let (portal, second) =
                (plan::shelf_address(name), plan::second_shelf_address(name));
            let line = format!("{target} {portal} {second}\n");
            paths::write(&etc.join("lab-shelf"), line)
        }
        Role::Host => {
            debug_assert_eq!(name, HOST);
            let mut text = format!("{} {target}\n", shelf::MEBIBYTES);
            for array in STORAGE_NODES {
                let (first, second) =
                    (plan::shelf_address(array), plan::second_shelf_address(array));
                let (interface, initiator) =
                    (plan::shelf_interface(array), iscsi_name(array));
                let _ = writeln!(text, "{interface} {first} {second} {initiator}");
            }
            paths::write(&etc.join("lab-shelf"), text)
        }
        Role::Vote | Role::Bench | Role::NvmeShelf => Ok(()),
    }
}
