//! The paths of everything that understudy reads and changes in the kernel.
//!
//! No other module spells a path in sysfs, configfs, /proc or /run. The variable parts of
//! a path are numbers, WWNs or names that the kernel itself listed, never a text from a
//! user.

use std::path::{Component, Path, PathBuf};

use crate::wwn::Wwn;

/// The hosts of physical and virtual FC ports (drivers/scsi/scsi_transport_fc.c).
pub const FC_HOSTS: &str = "/sys/class/fc_host";
/// Virtual FC ports.
pub const FC_VPORTS: &str = "/sys/class/fc_vports";
/// Ports elsewhere on the fabric that this node has met.
pub const FC_REMOTE_PORTS: &str = "/sys/class/fc_remote_ports";
/// SCSI hosts.
pub(crate) const SCSI_HOSTS: &str = "/sys/class/scsi_host";
/// All devices, each below its parent.
pub(crate) const DEVICES: &str = "/sys/devices";
/// Buses, with their drivers.
pub(crate) const BUSES: &str = "/sys/bus";
/// Block devices.
pub const BLOCK: &str = "/sys/class/block";
/// Loaded modules.
pub(crate) const MODULES: &str = "/sys/module";
/// The kernel's release.
pub const KERNEL_RELEASE: &str = "/proc/sys/kernel/osrelease";
/// LIO's root in configfs.
pub const TARGET: &str = "/sys/kernel/config/target";
/// The virtual port database. Like the kernel's own state, it does not survive a reboot.
pub(crate) const REGISTRY: &str = "/run/understudy/ports";
/// The cluster's word, which makes its nodes' reservation keys differ from other
/// clusters'.
pub(crate) const CLUSTER: &str = "/run/understudy/cluster";
/// The fabrics that were seen, as `fcport` remembers them while it watches.
pub(crate) const WATCH: &str = "/run/understudy/fcport.json";
/// This node's name in the cluster.
pub(crate) const NODE: &str = "/run/understudy/node";
/// The last move of each group that was commanded on this node.
pub(crate) const MOVES: &str = "/run/understudy/moves";
/// Starts that were tried and have not succeeded.
pub(crate) const STARTS: &str = "/run/understudy/starts";
/// The names of disks whose content belongs to initiators, one file each. They survive a
/// reboot, because udev reads them early, by a rule of the package.
pub const CONTENT: &str = "/var/lib/understudy/disks";
/// The kernel's switch for expedited RCU grace periods (kernel/ksysfs.c).
pub const RCU_EXPEDITED: &str = "/sys/kernel/rcu_expedited";
/// The mounts that this process sees (fs/proc_namespace.c).
pub const MOUNTS: &str = "/proc/self/mounts";
/// The keepers' directories, one for each group.
pub(crate) const KEPT: &str = "/run/understudy/kept";
/// The processes that have turned on expedited grace periods, and the switch's value
/// before.
pub(crate) const EXPEDITED: &str = "/run/understudy/expedited";
/// The files in which targetcli saves LIO's configuration: on Debian, and on others.
pub(crate) const SAVED: [&str; 2] =
    ["/etc/rtslib-fb-target/saveconfig.json", "/etc/target/saveconfig.json"];
/// A copy of targetcli's saved configuration without anything of a group, for targetctl
/// to restore.
pub const SAVED_OTHERS: &str = "/run/understudy/saveconfig.json";
/// Device nodes.
pub const DEV: &str = "/dev";
/// The bsg devices, for pass-through to FC ports, by the kernel's names for the ports.
pub(crate) const BSG: &str = "/dev/bsg";
/// The persistent names that udev gives to disks.
pub(crate) const DISK_BY_ID: &str = "/dev/disk/by-id";

/// Returns whether a path leads to something below a directory, with no `..` on the way.
pub(crate) fn is_below(path: &Path, dir: &str) -> bool {
    let inside = path.strip_prefix(dir).ok().filter(|inside| *inside != Path::new(""));
    let plain = |part| matches!(part, Component::Normal(_));
    inside.is_some_and(|inside| inside.components().all(plain))
}

/// Returns the path of an attribute of an FC host.
pub fn fc_host(host: &str, attribute: &str) -> PathBuf {
    Path::new(FC_HOSTS).join(host).join(attribute)
}

/// Returns the path of an attribute of a virtual port, which the kernel calls
/// `vport-H:C-N`.
pub fn fc_vport(vport: &str, attribute: &str) -> PathBuf {
    Path::new(FC_VPORTS).join(vport).join(attribute)
}

/// Returns the path of an attribute of a SCSI host.
pub fn scsi_host(host: &str, attribute: &str) -> PathBuf {
    Path::new(SCSI_HOSTS).join(host).join(attribute)
}

/// Returns the path of the attribute in which a SCSI host's driver may put its name.
pub fn driver_name(host: &str) -> PathBuf {
    scsi_host(host, "proc_name")
}

/// Returns the path of an attribute of a block device.
pub fn block(name: &str, attribute: &str) -> PathBuf {
    Path::new(BLOCK).join(name).join(attribute)
}

/// Returns the path of an attribute of an FCoE controller, which the kernel calls
/// `ctlr_0`.
pub fn fcoe_controller(name: &str, attribute: &str) -> PathBuf {
    Path::new("/sys/bus/fcoe/devices").join(name).join(attribute)
}

/// Returns the path of an attribute of a network interface.
pub(crate) fn interface(name: &str, attribute: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name).join(attribute)
}

/// Returns the directory of a module. It exists while the module is loaded.
pub fn module(name: &str) -> PathBuf {
    Path::new(MODULES).join(name)
}

/// Returns the path of a parameter of a loaded module.
pub fn module_parameter(module_name: &str, parameter: &str) -> PathBuf {
    module(module_name).join("parameters").join(parameter)
}

/// Returns the directory of LIO's backstores.
pub fn lio_core() -> PathBuf {
    Path::new(TARGET).join("core")
}

/// Returns the path of the attribute that names the directory of LIO's state files.
pub fn lio_dbroot() -> PathBuf {
    Path::new(TARGET).join("dbroot")
}

/// Returns the path of the file in which LIO saves the registrations and the reservation
/// on a LUN. It is below [`lio_dbroot`] and named after the LUN's serial number
/// (`__core_scsi3_write_aptpl_to_file`).
pub fn aptpl(dbroot: &Path, serial: &str) -> PathBuf {
    dbroot.join("pr").join(aptpl_name(serial))
}

/// Returns the name of the file at [`aptpl`].
pub fn aptpl_name(serial: &str) -> String {
    format!("aptpl_{serial}")
}

/// Returns the serial number in a file name from [`aptpl_name`]; `None` for any other
/// name.
pub fn aptpl_serial(name: &str) -> Option<&str> {
    let serial = name.strip_prefix("aptpl_")?;
    let plain = !serial.is_empty() && serial.chars().all(|c| c.is_ascii_alphanumeric());
    Some(serial).filter(|_| plain)
}

/// Returns the directory at which a group's keeper is mounted.
pub(crate) fn kept(wwnn: Wwn) -> PathBuf {
    Path::new(KEPT).join(wwnn.hex())
}

/// The directory in which LIO writes, below the one at which a keeper is mounted. It
/// exists only while the keeper runs, so without one LIO can save nothing and refuses the
/// change.
pub const KEPT_FILES: &str = "lio";

/// Returns the directory of a group's keeper in which LIO writes.
pub(crate) fn kept_files(wwnn: Wwn) -> PathBuf {
    kept(wwnn).join(KEPT_FILES)
}

/// Returns the directory of a target fabric, such as `fc`.
pub fn lio_fabric(fabric: &str) -> PathBuf {
    Path::new(TARGET).join(fabric)
}

/// Returns the directory of a target port, below its fabric.
pub fn lio_port(fabric: &str, wwpn: Wwn) -> PathBuf {
    lio_fabric(fabric).join(wwpn.to_string())
}

/// Returns the link that makes systemd start a unit at boot.
pub(crate) fn unit_wanted(unit: &str) -> PathBuf {
    Path::new("/etc/systemd/system/multi-user.target.wants").join(unit)
}

/// Returns the files that extend a unit of another package: the one that this package
/// installs, and the administrator's two that take precedence over it.
pub(crate) fn unit_drop_ins(unit: &str) -> [PathBuf; 3] {
    ["/usr/lib", "/etc", "/run"].map(|root| {
        PathBuf::from(format!("{root}/systemd/system/{unit}.d/understudy.conf"))
    })
}

/// Returns the path of a port's entry in the virtual port database.
pub(crate) fn registry_entry(wwpn: Wwn) -> PathBuf {
    Path::new(REGISTRY).join(format!("{}.json", wwpn.hex()))
}
