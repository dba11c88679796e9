//! Where the kernel keeps what understudy reads and changes.
//!
//! No other module spells a path of sysfs, configfs, /proc or /run. Names that enter a path
//! are numbers, WWNs or what the kernel itself listed: never a text of the user's.

use std::path::{Component, Path, PathBuf};

use crate::wwn::Wwn;

/// Physical and virtual FC ports (drivers/scsi/scsi_transport_fc.c).
pub const FC_HOSTS: &str = "/sys/class/fc_host";
/// Virtual FC ports.
pub const FC_VPORTS: &str = "/sys/class/fc_vports";
/// Ports elsewhere on the fabric that this node has met.
pub const FC_REMOTE_PORTS: &str = "/sys/class/fc_remote_ports";
/// SCSI hosts.
pub const SCSI_HOSTS: &str = "/sys/class/scsi_host";
/// Devices, as they hang from one another.
pub const DEVICES: &str = "/sys/devices";
/// Buses with their drivers.
pub const BUSES: &str = "/sys/bus";
/// Block devices.
pub const BLOCK: &str = "/sys/class/block";
/// Loaded modules.
pub const MODULES: &str = "/sys/module";
/// The kernel's version.
pub const KERNEL_RELEASE: &str = "/proc/sys/kernel/osrelease";
/// LIO's root in configfs.
pub const TARGET: &str = "/sys/kernel/config/target";
/// The virtual port database. The kernel's own state does not survive a reboot either.
pub const REGISTRY: &str = "/run/understudy/ports";
/// The word by which this node's cluster tells its keys from another cluster's.
pub const CLUSTER: &str = "/run/understudy/cluster";
/// Which fabrics were seen, while the physical ports are watched.
pub const WATCH: &str = "/run/understudy/fcport.json";
/// What the cluster calls this node.
pub const NODE: &str = "/run/understudy/node";
/// The last move of each group that was commanded on this node.
pub const MOVES: &str = "/run/understudy/moves";
/// Where starts that have not succeeded are remembered.
pub const STARTS: &str = "/run/understudy/starts";
/// The names of disks whose content is initiators', a file each. A boot does not end it, and
/// the package's rule of udev's looks there.
pub const CONTENT: &str = "/var/lib/understudy/disks";
/// The kernel's switch for expedited RCU grace periods (kernel/ksysfs.c).
pub const RCU_EXPEDITED: &str = "/sys/kernel/rcu_expedited";
/// What is mounted, as seen from this process (fs/proc_namespace.c).
pub const MOUNTS: &str = "/proc/self/mounts";
/// The directories in which keepers have LIO write, one for each group.
pub const KEPT: &str = "/run/understudy/kept";
/// Who has turned it on, and what it was before.
pub const EXPEDITED: &str = "/run/understudy/expedited";
/// Where targetcli saves LIO's configuration: in Debian, and elsewhere.
pub const SAVED: [&str; 2] =
    ["/etc/rtslib-fb-target/saveconfig.json", "/etc/target/saveconfig.json"];
/// What was saved there, without what is a group's: a file that targetctl is given.
pub const SAVED_OTHERS: &str = "/run/understudy/saveconfig.json";
/// Device nodes.
pub const DEV: &str = "/dev";
/// Pass-through to remote ports, by the kernel's names for them.
pub const BSG: &str = "/dev/bsg";
/// Where the persistent names of disks are kept by udev.
pub const DISK_BY_ID: &str = "/dev/disk/by-id";

/// Returns whether a path leads, name by name, to something below a directory.
pub fn is_below(path: &Path, dir: &str) -> bool {
    let inside = path.strip_prefix(dir).ok().filter(|inside| *inside != Path::new(""));
    let plain = |part| matches!(part, Component::Normal(_));
    inside.is_some_and(|inside| inside.components().all(plain))
}

/// Returns the path of an attribute of a physical or virtual port.
pub fn fc_host(host: &str, attribute: &str) -> PathBuf {
    Path::new(FC_HOSTS).join(host).join(attribute)
}

/// Returns the path of an attribute of a virtual port, by the kernel's name for it
/// (`vport-H:C-N`).
pub fn fc_vport(vport: &str, attribute: &str) -> PathBuf {
    Path::new(FC_VPORTS).join(vport).join(attribute)
}

/// Returns the path of the attribute that names the driver behind a SCSI host, where the
/// driver sets it.
pub fn driver_name(host: &str) -> PathBuf {
    Path::new(SCSI_HOSTS).join(host).join("proc_name")
}

/// Returns the path of an attribute of a block device.
pub fn block(name: &str, attribute: &str) -> PathBuf {
    Path::new(BLOCK).join(name).join(attribute)
}

/// Returns the path of an attribute of an FCoE controller, by the kernel's name for it
/// (`ctlr_0`).
pub fn fcoe_controller(name: &str, attribute: &str) -> PathBuf {
    Path::new("/sys/bus/fcoe/devices").join(name).join(attribute)
}

/// Returns the path of an attribute of a network interface.
pub fn interface(name: &str, attribute: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name).join(attribute)
}

/// Returns the directory of a module, there while it is loaded.
pub fn module(name: &str) -> PathBuf {
    Path::new(MODULES).join(name)
}

/// Returns the path of a parameter of a module, as it was loaded.
pub fn module_parameter(module_name: &str, parameter: &str) -> PathBuf {
    module(module_name).join("parameters").join(parameter)
}

/// Returns the directory of LIO's backstores.
pub fn lio_core() -> PathBuf {
    Path::new(TARGET).join("core")
}

/// Returns the path of the attribute that says where LIO keeps its state files.
pub fn lio_dbroot() -> PathBuf {
    Path::new(TARGET).join("dbroot")
}

/// Returns the path of the file in which LIO keeps what initiators have registered on a
/// LUN. It is below LIO's [`lio_dbroot`], and named by the LUN's serial number
/// (`__core_scsi3_write_aptpl_to_file`).
pub fn aptpl(dbroot: &Path, serial: &str) -> PathBuf {
    dbroot.join("pr").join(aptpl_name(serial))
}

/// Returns the name of the file that [`aptpl`] is the path of.
pub fn aptpl_name(serial: &str) -> String {
    format!("aptpl_{serial}")
}

/// Returns the serial number in a name that [`aptpl_name`] returns.
pub fn aptpl_serial(name: &str) -> Option<&str> {
    let serial = name.strip_prefix("aptpl_")?;
    let plain = !serial.is_empty() && serial.chars().all(|c| c.is_ascii_alphanumeric());
    Some(serial).filter(|_| plain)
}

/// Returns the directory of a group's keeper.
pub fn kept(wwnn: Wwn) -> PathBuf {
    Path::new(KEPT).join(wwnn.hex())
}

/// The directory of a keeper in which LIO writes, below that in which it is mounted. Without
/// the keeper it is not there, and LIO refuses what it could not write.
pub const KEPT_FILES: &str = "lio";

/// Returns the directory of a group's keeper in which LIO writes.
pub fn kept_files(wwnn: Wwn) -> PathBuf {
    kept(wwnn).join(KEPT_FILES)
}

/// Returns a target fabric's directory, such as `fc`.
pub fn lio_fabric(fabric: &str) -> PathBuf {
    Path::new(TARGET).join(fabric)
}

/// Returns a target port's directory under its fabric.
pub fn lio_port(fabric: &str, wwpn: Wwn) -> PathBuf {
    lio_fabric(fabric).join(wwpn.to_string())
}

/// Returns the link by which a unit is on: started with the system.
pub fn unit_wanted(unit: &str) -> PathBuf {
    Path::new("/etc/systemd/system/multi-user.target.wants").join(unit)
}

/// Returns the path of the file that the package puts beside a unit of others; then of
/// the administrator's files that would replace it.
pub fn unit_drop_ins(unit: &str) -> [PathBuf; 3] {
    ["/usr/lib", "/etc", "/run"].map(|root| {
        PathBuf::from(format!("{root}/systemd/system/{unit}.d/understudy.conf"))
    })
}

/// Returns the path of the database entry of a port.
pub fn registry_entry(wwpn: Wwn) -> PathBuf {
    Path::new(REGISTRY).join(format!("{}.json", wwpn.hex()))
}
