//! The whole lab, owned by the process that starts it. When the [`Lab`] is dropped,
//! everything that it has started is gone.

use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::accel::Accel;
use crate::bmc::Bmc;
use crate::error::{Error, Result};
use crate::fabric::Fabric;
use crate::guest::Guest;
use crate::hub::Hub;
use crate::image::Image;
use crate::plan::{ARRAYS, Folders, HOST, Role, Side, Spec, guests, reserve};
use crate::qemu::Machine;
use crate::shelf::Disk;
use crate::{cluster, interrupt, paths, program, progress, share, shelf, speed};

/// How long a guest may take to boot, and to attach hundreds of disks.
const BOOT: Duration = Duration::from_secs(420);
/// How long the cluster may take to form after the boot.
const FORM: Duration = Duration::from_secs(180);

/// The speed below which the guests' own waiting times are stretched too, not only the
/// lab's.
const SLOW: f64 = 0.8;

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    guests: Vec<Guest>,
    /// The guests that are off until a scenario needs them.
    reserve: Vec<Guest>,
    bmcs: Mutex<Vec<Bmc>>,
    _hub: Hub,
    image: Image,
    fabrics: [Fabric; 2],
    folders: Folders,
    accel: Accel,
    began: Instant,
    _only_one: Flock<File>,
}

impl Lab {
    /// Starts everything; the guests boot when this returns.
    ///
    /// # Errors
    /// Something does not start. What was started is stopped again.
    pub fn start() -> Result<Self> {
        Self::of(&guests(), &shelf::disks())
    }

    /// Starts a lab of these guests, with these disks on the shelf.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn of(specs: &[Spec], disks: &[Disk]) -> Result<Self> {
        let only_one = lock()?;
        let image = Image::get()?;
        let folders = make_folders()?;
        let lab = Self::start_in(specs, disks, folders.clone(), image, only_one);
        if lab.is_err() {
            let _ = paths::remove(&folders.run);
        }
        lab
    }

    fn start_in(
        specs: &[Spec],
        disks: &[Disk],
        folders: Folders,
        image: Image,
        only_one: Flock<File>,
    ) -> Result<Self> {
        let (step, began) =
            (progress::step("start: fabric, BMCs, guests"), Instant::now());
        let accel = Accel::probe(&image.emulator());
        let all = [specs, &reserve()].concat();
        let hub = Hub::start(&all, &folders.run)?;
        let fabrics = [
            Fabric::start(Side::A, &all, &folders)?,
            Fabric::start(Side::B, &all, &folders)?,
        ];
        let guest = |spec: &Spec| {
            let (image, folders) = (image.clone(), folders.clone());
            Guest::new(Machine { spec: spec.clone(), image, accel, folders })
        };
        let guests: Vec<Guest> = specs.iter().map(guest).collect();
        let reserve = reserve().iter().map(guest).collect();
        let bmcs = guests
            .iter()
            .map(|guest| Bmc::start(guest, &folders))
            .collect::<Result<Vec<_>>>()?;
        let port = |name| {
            let at = guests.iter().position(|guest| guest.name() == name);
            at.and_then(|at| bmcs.get(at)).map_or(0, Bmc::port)
        };
        share::fill(&all, disks, ARRAYS.map(port), &folders)?;
        shelf::make(disks, &folders)?;
        for guest in &guests {
            make_disk(&image, &folders, guest.name())?;
            guest.power_on()?;
        }
        step.done(if accel == Accel::Kvm { "KVM" } else { "emulation: no KVM" });
        Ok(Self {
            guests,
            reserve,
            bmcs: Mutex::new(bmcs),
            _hub: hub,
            image,
            fabrics,
            folders,
            accel,
            began,
            _only_one: only_one,
        })
    }

    /// Waits until all guests take commands, the physical ports are Online, the disks are
    /// attached and the cluster has formed.
    ///
    /// # Errors
    /// One of these does not happen in its time.
    pub fn wait_ready(&self) -> Result<()> {
        progress::during("boot: three guests take commands", || {
            self.guests.iter().try_for_each(|guest| guest.wait_up(BOOT).map(drop))
        })?;
        progress::during("fabric: physical ports Online", || {
            self.everywhere(|guest| wait_port(guest, BOOT))
        })?;
        progress::during("shelf: disks on both storage nodes", || {
            wait_unit(self.host()?, "lab-shelf.service", BOOT)?;
            self.everywhere(|guest| match guest.machine().spec.role {
                Role::Array => wait_unit(guest, "lab-disks.service", BOOT),
                _ => Ok(()),
            })
        })?;
        progress::during("cluster: both nodes online", || {
            cluster::wait_online(self.guest(ARRAYS[0])?, 2, FORM)
        })?;
        progress::during("cluster: fencing devices started", || {
            cluster::wait_idle(self.guest(ARRAYS[0])?, FORM)
        })?;
        speed::measure(self.began.elapsed());
        progress::note(&format!("machine: speed {:.1}", speed::measured()));
        if speed::measured() < SLOW {
            progress::during("machine: slow, more patience everywhere", || {
                self.be_patient()
            })?;
        }
        // The guests yield from here on only: one of them is the shelf, which everything
        // has waited for.
        self.guests.iter().for_each(Guest::make_nice);
        Ok(())
    }

    /// Sets what the cluster and the initiator wait for to what this machine's speed
    /// needs.
    fn be_patient(&self) -> Result<()> {
        cluster::be_patient([self.guest(ARRAYS[0])?, self.guest(ARRAYS[1])?])?;
        let patience = speed::stretch(Duration::from_secs(share::DEV_LOSS)).as_secs();
        share::set_dev_loss(&self.folders, patience)?;
        let script = format!(
            "for h in /sys/class/fc_host/host*; do echo {patience} > $h/dev_loss_tmo; done"
        );
        self.host()?.run(&script, Duration::from_secs(20)).map(drop)
    }

    /// Powers on a guest that is off until it is needed. Returns the UDP port of its BMC.
    ///
    /// # Errors
    /// There is no such guest, or it cannot be started.
    pub fn call_in(&self, name: &str) -> Result<u16> {
        let guest = self.guest(name)?;
        let bmc = Bmc::start(guest, &self.folders)?;
        let port = bmc.port();
        self.bmcs.lock().unwrap_or_else(PoisonError::into_inner).push(bmc);
        make_disk(&self.image, &self.folders, name)?;
        guest.power_on()?;
        Ok(port)
    }

    /// Runs `work` for every guest that is always on, side by side.
    ///
    /// # Errors
    /// The first error of `work`.
    pub fn everywhere(&self, work: impl Fn(&Guest) -> Result<()> + Sync) -> Result<()> {
        side_by_side(&self.guests, work)
    }

    /// Returns the guests that are always on.
    #[must_use]
    pub fn guests(&self) -> &[Guest] {
        &self.guests
    }

    /// Returns every guest, on or off.
    pub fn all(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter().chain(&self.reserve)
    }

    /// Returns a guest by its name.
    ///
    /// # Errors
    /// There is no guest of that name.
    pub fn guest(&self, name: &str) -> Result<&Guest> {
        self.all().find(|guest| guest.name() == name).ok_or_else(|| {
            let names: Vec<_> = self.all().map(Guest::name).collect();
            Error::other(format!("no guest {name}: one of {}", names.join(", ")))
        })
    }

    /// Returns the initiator, which is also the shelf.
    ///
    /// # Errors
    /// Never in practice.
    pub fn host(&self) -> Result<&Guest> {
        self.guest(HOST)
    }

    /// Returns a fabric.
    #[must_use]
    pub fn fabric(&self, side: Side) -> &Fabric {
        let [a, b] = &self.fabrics;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// Returns the folders of the lab's files.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Returns how the guests' processors run.
    #[must_use]
    pub fn accel(&self) -> Accel {
        self.accel
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Lab {
    /// Cuts every guest's power and removes what only a running lab needs. The logs
    /// remain.
    pub fn stop(&self) {
        for guest in self.all() {
            guest.power_off();
        }
        let _ = paths::remove(&self.folders.run);
        for guest in self.all() {
            let _ = paths::remove(&self.folders.disk(guest.name()));
        }
        let _ = paths::remove(&self.folders.state.join("shelf.raw"));
        let _ = paths::remove(&self.folders.state.join("run"));
    }
}

/// Runs `work` for these guests, side by side.
///
/// # Errors
/// The first error of `work`.
pub fn side_by_side<'a>(
    guests: impl IntoIterator<Item = &'a Guest>,
    work: impl Fn(&Guest) -> Result<()> + Sync,
) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let guests = guests.into_iter();
        let all: Vec<_> = guests.map(|guest| scope.spawn(move || work(guest))).collect();
        all.into_iter().try_for_each(|one| {
            one.join().unwrap_or_else(|_| Err(Error::other("a thread panicked")))
        })
    })
}

/// Locks the workspace, so that one lab at most runs in it.
fn lock() -> Result<Flock<File>> {
    paths::make(&paths::lab())?;
    let path = paths::lab().join("lock");
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        Error::other("a lab runs in this workspace already: understudy-lab down")
    })
}

fn make_folders() -> Result<Folders> {
    let state = paths::lab();
    paths::make(&state)?;
    let logs = state.join("logs");
    // A lab that was killed could not remove its sockets.
    if let Ok(stale) = std::fs::read_link(state.join("run")) {
        paths::remove(&stale)?;
    }
    for old in [&logs, &state.join("run")] {
        paths::remove(old)?;
    }
    paths::make(&logs)?;
    let run = paths::new_run_folder()?;
    let link = state.join("run");
    interrupt::remove_at_end(run.clone());
    interrupt::remove_at_end(link.clone());
    std::os::unix::fs::symlink(&run, &link).map_err(Error::io("make link", &link))?;
    Ok(Folders { run, state, logs })
}

fn make_disk(image: &Image, folders: &Folders, guest: &str) -> Result<()> {
    let disk = folders.disk(guest);
    paths::remove(&disk)?;
    let mut command = image.emulator().img();
    command
        .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
        .args([image.root(), disk]);
    program::run(command, &folders.log(&format!("{guest}.disk")))
}

/// Waits until a guest's physical port is Online.
///
/// # Errors
/// The port is not Online in that time.
pub fn wait_port(guest: &Guest, time: Duration) -> Result<()> {
    let script =
        "until grep -qs Online /sys/class/fc_host/*/port_state; do sleep 0.2; done";
    guest.run(script, time).map(drop)
}

/// Waits until a unit of a guest is active.
///
/// # Errors
/// The unit fails, or is not active in that time.
pub fn wait_unit(guest: &Guest, unit: &str, time: Duration) -> Result<()> {
    // The job is queued since the boot began: the start only waits for its end.
    let script = format!(
        "if systemctl is-failed -q {unit} || ! systemctl start {unit}; then
            systemctl status --no-pager {unit}
            exit 1
        fi"
    );
    guest.run(&script, time).map(drop)
}
