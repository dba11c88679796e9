//! A simulated kernel: a tree in memory with the rules of configfs, sysfs, reservations
//! and a fabric as far as understudy meets them. It stops the test when it is asked for
//! something that would hang a real kernel or cost an initiator an I/O error.

mod disks;
mod tree;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;

use super::op::{Chain, ChainResult, Done, Op};
use super::{Cause, Instant, Kernel, KernelError};
pub use disks::Disks;
use tree::Tree;

/// What the simulated process dies of; see [`SimKernel::kill_after`].
#[derive(Debug)]
pub struct Killed;

/// One node's kernel.
pub struct SimKernel {
    tree: RefCell<Tree>,
    disks: Rc<RefCell<Disks>>,
    /// This node's nexus to every disk.
    nexus: u32,
    clock: Cell<Instant>,
    fuel: Cell<Option<usize>>,
    operations: Cell<usize>,
    /// Until when commands are in flight on every disk.
    busy_until: Cell<Instant>,
    npiv: Cell<bool>,
}

impl SimKernel {
    /// A node with a libfc port that is online and the given disks, shared with whoever
    /// else holds them.
    pub fn new(nexus: u32, disks: &Rc<RefCell<Disks>>) -> Self {
        let mut tree = Tree::default();
        for name in disks.borrow().names() {
            tree.file(&format!("/dev/{name}"), "");
            tree.link(&format!("/dev/disk/by-id/wwn-{name}"), &format!("/dev/{name}"));
            tree.file(&format!("/sys/class/block/{name}/inflight"), "");
            let wwid = format!("naa.6001405{name}");
            tree.file(&format!("/sys/class/block/{name}/device/wwid"), &wwid);
        }
        for (attribute, text) in [
            ("port_name", "0x2000525400000001"),
            ("port_state", "Online"),
            ("fabric_name", "0x1000000000000001"),
            ("max_npiv_vports", "255"),
            ("npiv_vports_inuse", "0"),
            ("vport_create", ""),
            ("vport_delete", ""),
        ] {
            tree.file(&format!("/sys/class/fc_host/host2/{attribute}"), text);
        }
        tree.file("/sys/class/scsi_host/host2/proc_name", "fcoe\n");
        for dir in ["/sys/module/tcm_fc", "/sys/kernel/config/target/core"] {
            tree.dir(dir);
        }
        Self {
            tree: RefCell::new(tree),
            disks: Rc::clone(disks),
            nexus,
            clock: Cell::new(Duration::from_secs(1000)),
            fuel: Cell::new(None),
            operations: Cell::new(0),
            busy_until: Cell::new(Duration::ZERO),
            npiv: Cell::new(true),
        }
    }

    /// The process dies, by a panic with [`Killed`], in place of its next operation but
    /// `n`. The kernel lives on.
    pub fn kill_after(&self, n: Option<usize>) {
        self.fuel.set(n);
    }

    /// How many operations were begun so far.
    pub fn operations(&self) -> usize {
        self.operations.get()
    }

    /// Commands are in flight for this long from now.
    pub fn keep_busy(&self, time: Duration) {
        self.busy_until.set(self.clock.get() + time);
    }

    /// Whether the fabric lets virtual ports in.
    pub fn set_npiv(&self, on: bool) {
        self.npiv.set(on);
    }

    /// Puts a text in place of a file's.
    pub fn set(&self, path: &str, text: &str) {
        self.tree.borrow_mut().file(path, text);
    }

    /// Every path below a directory.
    pub fn below(&self, dir: &str) -> Vec<PathBuf> {
        self.tree.borrow().below(Path::new(dir))
    }

    fn perform(&self, op: &Op) -> Result<Done, Cause> {
        let mut tree = self.tree.borrow_mut();
        let errno = |errno: Errno| Cause::Errno(errno as i32);
        match op {
            Op::MakeDir(path) => tree.make_dir(path).map_err(errno),
            Op::RemoveDir(path) => tree.remove_dir(path).map_err(errno),
            Op::Link { at, to } => tree.make_link(at, to).map_err(errno),
            Op::Unlink(path) => tree.unlink(path).map_err(errno),
            Op::Write { path, text } => {
                if path.ends_with("vport_delete") {
                    assert!(
                        self.clock.get() >= self.busy_until.get(),
                        "a port logs out with commands in flight: the kernel hangs"
                    );
                }
                let state = if self.npiv.get() { "Active" } else { "No Fabric Support" };
                tree.write(path, text, state).map_err(errno)
            }
            Op::ReadDisk(_) | Op::Echo(_) | Op::Bar { .. } | Op::LiftBar(_) => {
                Ok(Done::Unchanged)
            }
            _ => self.disks.borrow_mut().perform(self.nexus, op),
        }
    }
}

impl Kernel for SimKernel {
    fn read(&self, path: &Path) -> Result<String, KernelError> {
        if path.ends_with("inflight") {
            let busy = self.clock.get() < self.busy_until.get();
            return Ok(
                if busy { "       3        1\n" } else { "       0        0\n" }.into()
            );
        }
        let text = self.tree.borrow().read(path);
        text.map_err(|errno| KernelError::errno("read", path, errno))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, KernelError> {
        Ok(self.tree.borrow().list(dir))
    }

    fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, KernelError> {
        Ok(self.tree.borrow().links(dir))
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, KernelError> {
        let found = self.tree.borrow().resolve(path);
        found.map_err(|errno| KernelError::errno("look up", path, errno))
    }

    fn exists(&self, path: &Path) -> bool {
        self.tree.borrow().exists(path)
    }

    fn store(&self, path: &Path, text: &str) -> Result<(), KernelError> {
        self.tree.borrow_mut().file(&path.to_string_lossy(), text);
        Ok(())
    }

    fn discard(&self, path: &Path) -> Result<(), KernelError> {
        self.tree.borrow_mut().forget(path);
        Ok(())
    }

    #[expect(clippy::panic, reason = "a simulated process dies")]
    fn run(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        let mut results = Vec::new();
        for chain in chains {
            let mut result = ChainResult::default();
            for op in chain {
                if self.clock.get() >= until {
                    result.failed = Some(op.failed(Cause::NotBegun));
                    break;
                }
                match self.fuel.get() {
                    Some(0) => std::panic::panic_any(Killed),
                    fuel => self.fuel.set(fuel.map(|n| n - 1)),
                }
                self.operations.set(self.operations.get() + 1);
                self.sleep(Duration::from_millis(1));
                match self.perform(op) {
                    Ok(done) => result.done.push(done),
                    Err(cause) => {
                        result.failed = Some(op.failed(cause));
                        break;
                    }
                }
            }
            results.push(result);
        }
        results
    }

    fn now(&self) -> Instant {
        self.clock.get()
    }

    fn wall(&self) -> u64 {
        self.clock.get().as_secs()
    }

    fn sleep(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
    }
}
