//! The unit that turns the physical ports of QLogic HBAs into targets. A shell runs its
//! command on a folder in place of `/sys`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const UNIT: &str = include_str!("../../packaging/systemd/understudy-qla2xxx.service");
const TARGET: &str = "kernel/config/target/qla2xxx";

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Makes a physical port below a device of this driver, or of none. The port has no
/// `proc_name`.
fn port(sys: &Path, number: u8, device: &str, driver: Option<&str>) {
    let (host, parent) = (format!("host{number}"), sys.join("devices").join(device));
    let class = sys.join("class/fc_host").join(&host);
    write(&class.join("vport_create"), "");
    write(&class.join("port_name"), &format!("0x210000000000000{number}\n"));
    write(&sys.join("class/scsi_host").join(&host).join("proc_name"), "(null)\n");
    fs::create_dir_all(parent.join(&host)).unwrap();
    symlink(parent.join(&host), class.join("device")).unwrap();
    if let Some(driver) = driver {
        let module = sys.join("module").join(driver);
        fs::create_dir_all(&module).unwrap();
        let driver = sys.join("bus/pci/drivers").join(driver);
        fs::create_dir_all(&driver).unwrap();
        symlink(module, driver.join("module")).unwrap();
        symlink(driver, parent.join("driver")).unwrap();
    }
    // The attributes that a mkdir makes in configfs.
    let tpg = sys.join(TARGET).join(format!("21:00:00:00:00:00:00:0{number}/tpgt_1"));
    write(&tpg.join("attrib/generate_node_acls"), "1\n");
    write(&tpg.join("enable"), "0\n");
}

#[test]
fn only_ports_of_qla2xxx_become_targets() {
    let dir = tempfile::tempdir().unwrap();
    let sys = dir.path().join("sys");
    port(&sys, 0, "pci0000:00/0000:00:05.0", Some("qla2xxx"));
    port(&sys, 1, "pci0000:00/0000:00:06.0", Some("lpfc"));
    port(&sys, 2, "virtual/net/eth1/ctlr_0", None);
    let script = UNIT.split_once("-ec '").unwrap().1.split_once("'\n").unwrap().0;
    let script = script.replace("\\\n", "\n").replace("$$", "$");
    let script = script.replace("modprobe", ":").replace("/sys", sys.to_str().unwrap());
    let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    for (number, on) in [(0, "1\n"), (1, "0\n"), (2, "0\n")] {
        let tpg = format!("{TARGET}/21:00:00:00:00:00:00:0{number}/tpgt_1");
        let enabled = fs::read_to_string(sys.join(tpg).join("enable")).unwrap();
        assert_eq!(enabled, on, "host{number}");
    }
}
