//! A guest's QEMU command line.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::accel::Accel;
use crate::child::{self, Owned};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::plan::{Folders, Interface, Role, Spec, System, Wire, fabric_socket};
use crate::wire::PORT;
use crate::{hba, hub, nvme, paths, program};

/// What a guest's QEMU is started with, the same at each power-on.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The guest's plan.
    pub spec: Spec,
    /// The image that the machine boots.
    pub image: Image,
    /// How the machine's processor runs.
    pub accel: Accel,
    /// The folders of the lab's files.
    pub folders: Folders,
}

/// The processes of a machine that has power.
#[derive(Debug)]
pub struct Running {
    /// QEMU.
    pub qemu: Owned,
    _hba: Option<Owned>,
}

impl Machine {
    /// Powers the machine on by starting a new QEMU, and its HBA before it. Each boot has a
    /// log of its own for the serial console.
    ///
    /// # Errors
    /// QEMU or the HBA cannot be started.
    pub fn start(&self, boot: u32) -> Result<Running> {
        let name = self.spec.name;
        for socket in [self.qmp(), self.channel()] {
            paths::remove(&socket)?;
        }
        for kind in ["journal", "cluster"] {
            self.guests_log(&format!("{name}.{boot}.{kind}"))?;
        }
        let hba = self.spec.hba.map(|hba| hba::start(hba, name, boot, &self.folders));
        let hba = hba.transpose()?;
        let mut command = self.image.emulator().machine();
        command.args(self.arguments(boot));
        let log = self.folders.log(&format!("{name}.{boot}.qemu"));
        let out = File::create(&log).map_err(Error::io("create", &log))?;
        let err = out.try_clone().map_err(Error::io("create", &log))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let qemu = child::spawn(command).map_err(|error| Error::Program {
            program: "qemu-system-x86_64".to_owned(),
            reason: program::missing(&error),
        })?;
        Ok(Running { qemu, _hba: hba })
    }

    /// Returns the socket of QEMU's machine protocol.
    #[must_use]
    pub fn qmp(&self) -> std::path::PathBuf {
        self.folders.socket(&format!("{}.qmp", self.spec.name))
    }

    /// Returns the socket of the guest's virtio-serial port.
    #[must_use]
    pub fn channel(&self) -> std::path::PathBuf {
        self.folders.socket(&format!("{}.ch", self.spec.name))
    }

    /// Makes a log that the guest itself writes. It is one file with two names: among the
    /// logs, and in the folder that the guest sees.
    fn guests_log(&self, name: &str) -> Result<()> {
        let (log, share) = (self.folders.log(name), self.folders.share().join("log"));
        paths::write(&log, "")?;
        paths::make(&share)?;
        let seen = share.join(name);
        std::fs::hard_link(&log, &seen).map_err(Error::io("link", seen))
    }

    fn arguments(&self, boot: u32) -> Vec<String> {
        let console = self.folders.log(&format!("{}.{boot}.console", self.spec.name));
        let mut all = Arguments::default();
        all.add("-name", self.spec.name);
        let mut machine = "pc,usb=off,vmport=off,hpet=off".to_owned();
        if self.spec.hba.is_some() {
            let device = hba::device(&self.folders, self.spec.name);
            machine += all.hba(&device, self.spec.mebibytes);
        }
        all.add("-machine", &machine);
        all.0.extend(self.accel.arguments().iter().map(ToString::to_string));
        all.add("-m", &self.spec.mebibytes.to_string());
        for flag in ["-nodefaults", "-no-user-config"] {
            all.0.push(flag.to_owned());
        }
        all.add("-display", "none");
        let system = self.spec.role.system();
        all.add("-kernel", &self.image.kernel(system).to_string_lossy());
        all.add("-initrd", &self.image.initramfs(system).to_string_lossy());
        all.add("-append", &self.kernel_command_line(boot));
        all.add("-serial", &format!("file:{}", console.display()));
        all.socket("qmp", &self.qmp());
        all.add("-mon", "chardev=qmp,mode=control");
        all.add("-device", "virtio-serial-pci");
        all.socket("channel", &self.channel());
        all.add("-device", &format!("virtserialport,chardev=channel,name={PORT}"));
        if let System::Debian { .. } = system {
            all.disk("root", &self.folders.disk(self.spec.name), "qcow2");
            if self.spec.role == Role::Host {
                all.disk("shelf", &self.folders.state.join("shelf.raw"), "raw");
            }
            all.share(&self.folders.share());
        }
        for nic in &self.spec.interfaces {
            all.nic(&self.folders.run, self.spec.name, nic);
        }
        all.0
    }

    fn kernel_command_line(&self, boot: u32) -> String {
        // A kernel thread that hangs shows on the console while the test still runs.
        // Addresses are not random: QEMU translates a program again at each new address, and
        // then one that starts and ends costs four times as much.
        let preempt = match self.spec.role {
            // libfc must not be interrupted between ending the commands to a port that
            // has gone and blocking that port: they would use up their tries within
            // milliseconds (docs/fabrics.md).
            Role::Host => "preempt=none ",
            Role::Array | Role::Vote | Role::Bench | Role::NvmeShelf => "",
        };
        let own = match self.spec.role.system() {
            System::Debian { .. } => format!(
                "root=/dev/vda rw systemd.show_status=0 lab.guest={} lab.boot={boot}",
                self.spec.name
            ),
            System::NvmeTarget => nvme::words(),
        };
        format!(
            "console=ttyS0 loglevel=5 net.ifnames=0 \
             sysctl.kernel.hung_task_timeout_secs=15 \
             sysctl.kernel.hung_task_warnings=-1 \
             lsm=capability audit=0 mitigations=off nokaslr norandmaps \
             {preempt}{own}"
        )
    }
}

#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn add(&mut self, option: &str, value: &str) {
        self.0.extend([option.to_owned(), value.to_owned()]);
    }

    fn socket(&mut self, id: &str, path: &Path) {
        let path = path.display();
        self.add("-chardev", &format!("socket,id={id},path={path},server=on,wait=off"));
    }

    fn disk(&mut self, id: &str, path: &Path, format: &str) {
        let path = path.display();
        // The guest's power is cut, never the machine's: the page cache is safe enough.
        self.add(
            "-drive",
            &format!("if=none,id={id},file={path},format={format},cache=unsafe"),
        );
        self.add("-device", &format!("virtio-blk-pci,drive={id},serial={id}"));
    }

    /// Adds an HBA, and memory that the HBA's process has as well: an HBA reads and writes
    /// its host's memory. Returns what the machine's own argument then has to say.
    fn hba(&mut self, device: &Path, mebibytes: u32) -> &'static str {
        let memory = format!("memory-backend-memfd,id=ram,size={mebibytes}M,share=on");
        self.add("-object", &memory);
        let socket = json!({ "type": "unix", "path": device });
        let device = json!({ "driver": "vfio-user-pci", "socket": socket });
        self.add("-device", &device.to_string());
        ",memory-backend=ram"
    }

    fn share(&mut self, path: &Path) {
        let path = path.display();
        self.add(
            "-fsdev",
            &format!("local,id=lab,path={path},security_model=none,multidevs=remap"),
        );
        self.add("-device", "virtio-9p-pci,fsdev=lab,mount_tag=lab");
    }

    fn nic(&mut self, run: &Path, guest: &str, nic: &Interface) {
        let id = nic.name;
        let unix = |side: &str, path: &Path| {
            format!("{side}.type=unix,{side}.path={}", path.display())
        };
        let netdev = match &nic.wire {
            Wire::Fabric(side) => {
                let socket = fabric_socket(run, *side, guest);
                format!("stream,id={id},server=off,{}", unix("addr", &socket))
            }
            Wire::Cluster => {
                let (own, other) = (hub::guests_end(run, guest), hub::hubs_end(run));
                format!(
                    "dgram,id={id},{},{}",
                    unix("local", &own),
                    unix("remote", &other)
                )
            }
            Wire::StorageServer { link } => {
                format!("stream,id={id},server=on,{}", unix("addr", &run.join(link)))
            }
            Wire::StorageClient { link } => {
                format!("stream,id={id},server=off,{}", unix("addr", &run.join(link)))
            }
            Wire::Management => format!("user,id={id},ipv6=off"),
        };
        self.add("-netdev", &netdev);
        let (mac, mtu) = (&nic.mac, nic.mtu);
        self.add(
            "-device",
            &format!("virtio-net-pci,netdev={id},id=nic-{id},mac={mac},host_mtu={mtu}"),
        );
    }
}
