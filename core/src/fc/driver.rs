//! The name of a physical port's driver.
//!
//! The kernel has no single place for it. `proc_name` is for a driver to set: fcoe and
//! lpfc do, but qla2xxx, bnx2fc, qedf and fnic do not, and it reads `(null)`
//! (`shost_rd_attr2` in drivers/scsi/scsi_sysfs.c). The host of qla2xxx, qedf and fnic is
//! a child of the PCI device (`scsi_add_host`), whose driver is the right one. The hosts
//! of fcoe and bnx2fc are children of a controller on a bus without drivers
//! (`fcoe_bus_type`). That is a child of a network interface, whose driver has nothing to
//! do with Fibre Channel.

use std::path::{Path, PathBuf};

use super::switch::controller;
use crate::kernel::{self, Kernel, KernelError, paths};

/// What the kernel prints for a name that a driver has not set.
const UNSET: &str = "(null)";

/// Returns the name of a physical port's driver: its module's name, or the driver's own
/// if it has no module. The result is empty if the kernel does not show it.
///
/// # Errors
/// When the driver's name is there and cannot be read.
pub fn host_driver(kernel: &dyn Kernel, host: &str) -> Result<String, KernelError> {
    let name = kernel::attribute(kernel, &paths::driver_name(host))?;
    if !name.is_empty() && name != UNSET {
        return Ok(name);
    }
    let device = match kernel.resolve(&paths::fc_host(host, "device")) {
        Ok(device) => device,
        Err(error) if error.is_gone() => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    if controller(&device).is_some() {
        // The symbolic name begins with the driver (`bnx2fc_shost_config`,
        // `fcoe_shost_config`).
        let name = kernel::attribute(kernel, &paths::fc_host(host, "symbolic_name"))?;
        return Ok(name.split_whitespace().next().unwrap_or_default().to_owned());
    }
    let parent = device.parent().filter(|parent| paths::is_below(parent, paths::DEVICES));
    let Some(driver) = leads(kernel, parent, "driver", paths::BUSES)? else {
        return Ok(String::new());
    };
    let module = leads(kernel, Some(&driver), "module", paths::MODULES)?;
    let name = module.as_deref().unwrap_or(&driver).file_name().unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

/// Returns where a link in a directory leads; `None` unless that is below `below`.
fn leads(
    kernel: &dyn Kernel,
    dir: Option<&Path>,
    link: &str,
    below: &str,
) -> Result<Option<PathBuf>, KernelError> {
    let to = dir.map_or(Ok(None), |dir| kernel.leads(&dir.join(link)))?;
    Ok(to.filter(|to| paths::is_below(to, below)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RealKernel;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// sysfs has relative links, and its classes are links themselves.
    #[test]
    fn the_driver_is_found_by_the_links_of_sysfs() {
        let root = tempfile::tempdir().unwrap();
        let sys = root.path().join("sys");
        let pci = "devices/pci0000:00/0000:00:05.0";
        let write = |path: &str, text: &str| {
            let path = sys.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |path: &str, to: &str| {
            let path = sys.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(to, path).unwrap();
        };
        write("class/scsi_host/host0/proc_name", "(null)\n");
        write(&format!("{pci}/host0/fc_host/host0/port_name"), "0x1\n");
        link(&format!("{pci}/host0/fc_host/host0/device"), "../../../host0");
        link("class/fc_host/host0", &format!("../../{pci}/host0/fc_host/host0"));
        let kernel = RealKernel::new(root.path());
        let driver = || host_driver(&kernel, "host0").unwrap();
        assert_eq!(driver(), "");
        link(&format!("{pci}/driver"), "../../../bus/pci/drivers/qla2xxx");
        fs::create_dir_all(sys.join("bus/pci/drivers/qla2xxx")).unwrap();
        assert_eq!(driver(), "qla2xxx");
        // A driver from outside the kernel, whose PCI driver has the name that the
        // kernel's own has.
        link("bus/pci/drivers/qla2xxx/module", "../../../../module/qla2xxx_scst");
        assert_eq!(driver(), "qla2xxx_scst");
        write("class/scsi_host/host0/proc_name", "lpfc\n");
        assert_eq!(driver(), "lpfc");
    }
}
