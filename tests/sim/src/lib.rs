//! A simulated kernel: nodes, disks, initiators and the fabric between them in memory,
//! with the rules of configfs, sysfs, reservations and Fibre Channel as far as understudy
//! meets them. It stops the test when it is asked for something that would hang a real
//! kernel or cost an initiator an I/O error. It has a clock of its own, which goes as far
//! as an operation or a pause takes; all that is due by then has happened.

mod boot;
mod commands;
mod configfs;
mod contents;
mod disks;
mod faults;
mod in_flight;
mod keepers;
mod lanes;
mod leaving;
mod light;
mod nvmet;
mod path_leaves;
mod perform;
mod pr_out;
mod qla2xxx;
mod registrations;
mod rng;
mod san;
mod traffic;
mod transport;
mod tree;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;

pub use disks::{Disks, Nexus};
use faults::Faults;
pub use faults::{Deed, Fault, Killed};
pub use rng::Rng;
pub use san::{Hba, Nft, San};
use understudy_core::kernel::{Chain, ChainResult, Op};
use understudy_core::kernel::{Instant, Kernel, KernelError, LANES};

/// A [`San`] that its nodes' processes share.
pub type SharedSan = Rc<RefCell<San>>;

/// What is called whenever time passes for a process; with zero, where it only looks.
pub type Pause<'a> = &'a dyn Fn(Duration);

/// A process's door into one node's kernel.
pub struct SimKernel<'a> {
    san: SharedSan,
    node: usize,
    faults: Faults,
    lanes: Cell<usize>,
    pause: Option<Pause<'a>>,
}

impl<'a> SimKernel<'a> {
    /// Adds a node and enters it.
    pub fn boot(san: &SharedSan) -> Self {
        let node = san.borrow_mut().add_node();
        Self::enter(san, node)
    }

    /// Returns the door of another process on a node.
    pub fn enter(san: &SharedSan, node: usize) -> Self {
        Self {
            san: Rc::clone(san),
            node,
            faults: Faults::default(),
            lanes: Cell::new(LANES),
            pause: None,
        }
    }

    /// Whenever time passes for this process, `pause` decides what happens meanwhile.
    #[must_use]
    pub fn paused_by(mut self, pause: Pause<'a>) -> Self {
        self.pause = Some(pause);
        self
    }

    /// Returns the node's number.
    pub fn node(&self) -> usize {
        self.node
    }

    /// Sets how many chains are worked on at once from now on.
    pub fn set_lanes(&self, lanes: usize) {
        self.lanes.set(lanes.max(1));
    }

    /// Starts to count operations again, and plans that one of them goes wrong: the first
    /// is 0.
    pub fn plan(&self, fault: Option<(usize, Fault)>) {
        self.faults.plan(fault);
    }

    /// Starts to count reads again, and plans that one of them fails.
    pub fn plan_read(&self, number: usize, errno: Errno) {
        self.faults.plan_read((number, errno));
    }

    /// From now on, whatever ends with this path cannot be read, listed or looked up.
    pub fn make_unreadable(&self, end: &str, errno: Errno) {
        self.faults.make_unreadable(Path::new(end), errno);
    }

    /// From now on, each operation of this one's kind on its disk goes wrong in this way; or
    /// none does.
    pub fn make_lasting(&self, fault: Option<(Op, Fault)>) {
        self.faults.make_lasting(fault);
    }

    /// Returns what was done since [`Self::plan`].
    pub fn deeds(&self) -> Vec<Deed> {
        self.faults.deeds()
    }

    /// Returns how many reads there were since one of the plans was made.
    pub fn reads(&self) -> usize {
        self.faults.reads()
    }

    /// Commands are in flight for this long from now.
    pub fn keep_busy(&self, time: Duration) {
        self.san.borrow_mut().keep_busy(self.node, time);
    }

    /// Puts a text in place of a file's.
    pub fn set(&self, path: &str, text: &str) {
        self.with_tree(|tree| tree.file(path, text));
    }

    /// Makes a symbolic link.
    pub fn set_link(&self, at: &str, to: &str) {
        self.with_tree(|tree| tree.link(at, to));
    }

    /// Makes a directory, and every one above it.
    pub fn set_dir(&self, path: &Path) {
        self.with_tree(|tree| tree.dir(path));
    }

    /// Returns every path below a directory.
    pub fn below(&self, dir: &str) -> Vec<PathBuf> {
        self.with_tree(|tree| tree.below(Path::new(dir)))
    }

    fn with_tree<T>(&self, ask: impl FnOnce(&mut tree::Tree) -> T) -> T {
        let mut san = self.san.borrow_mut();
        match san.nodes.get_mut(self.node) {
            Some(node) => ask(&mut node.tree),
            None => unreachable!("a process of a node that was never there"),
        }
    }

    /// Lets time pass, for this process and for all that happens by itself.
    fn pass(&self, time: Duration) {
        match &self.pause {
            Some(pause) => pause(time),
            None => {
                let mut san = self.san.borrow_mut();
                let to = san.now() + time;
                san.advance(to);
            }
        }
    }

    /// Begins a read. A process that looks may be overtaken as well as one that does
    /// something.
    fn look(&self, action: &str, path: &Path) -> Result<(), KernelError> {
        if let Some(pause) = &self.pause {
            pause(Duration::ZERO);
        }
        match self.faults.strike_read(path) {
            Some(errno) => Err(KernelError::errno(action, path, errno)),
            None => Ok(()),
        }
    }

    fn keep(&self, action: &str, path: &Path, deed: Deed) -> Result<(), KernelError> {
        let fault = self.faults.strike(|| deed);
        self.pass(Duration::from_micros(100));
        match fault {
            Some(Fault::Fails(cause)) => Err(KernelError::new(action, path, cause)),
            _ => Ok(()),
        }
    }

    /// Attributes that the kernel counts up, rather than being written.
    fn counted(&self, path: &Path) -> Option<String> {
        let san = self.san.borrow();
        let path = path.to_str()?;
        if let Some(block) = path.strip_suffix("/inflight") {
            let disk = block.rsplit('/').next()?;
            return Some(format!("{:8} {:8}\n", 0, san.in_flight(self.node, disk)));
        }
        let host = path.strip_suffix("/statistics/rx_frames")?.rsplit('/').next()?;
        let node = san.nodes.get(self.node)?;
        let port = node.ports.iter().find(|port| port.host == host)?;
        let frames = match node.hba {
            Hba::Libfc => port.frames,
            // It counts what the HBA does (`qla2x00_get_fc_host_stats`).
            Hba::Qla2xxx => node.ports.iter().map(|port| port.frames).sum(),
        };
        Some(format!("{frames:#x}\n"))
    }
}

impl Kernel for SimKernel<'_> {
    fn read(&self, path: &Path) -> Result<String, KernelError> {
        self.look("read", path)?;
        let text = self.with_tree(|tree| match configfs::counts_nothing(tree, path) {
            true => Err(Errno::ENODEV),
            false => tree.read(path).map(str::to_owned),
        });
        let text = text.map_err(|errno| KernelError::errno("read", path, errno))?;
        Ok(self.counted(path).unwrap_or(text))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, KernelError> {
        self.look("list", dir)?;
        Ok(self.with_tree(|tree| tree.list(dir)))
    }

    fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, KernelError> {
        self.look("list", dir)?;
        if !self.exists(dir) {
            return Err(KernelError::errno("list", dir, Errno::ENOENT));
        }
        Ok(self.with_tree(|tree| tree.links(dir)))
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, KernelError> {
        self.look("look up", path)?;
        let found = self.with_tree(|tree| tree.resolve(path));
        found.map_err(|errno| KernelError::errno("look up", path, errno))
    }

    fn exists(&self, path: &Path) -> bool {
        self.with_tree(|tree| tree.exists(path))
    }

    fn store(&self, path: &Path, text: &str) -> Result<(), KernelError> {
        self.keep("write", path, Deed::Store)?;
        self.with_tree(|tree| tree.file(path, text));
        Ok(())
    }

    fn discard(&self, path: &Path) -> Result<(), KernelError> {
        self.keep("remove", path, Deed::Discard)?;
        self.with_tree(|tree| tree.remove(path));
        Ok(())
    }

    fn run(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        let results = self.side_by_side(chains, until);
        let keeps =
            |chain: &Chain| chain.iter().any(|op| matches!(op, Op::KeepPaths { .. }));
        let mut told = chains.iter().zip(&results).filter(|(chain, _)| keeps(chain));
        if told.any(|(_, result)| result.failed.is_some()) {
            self.san.borrow_mut().untold = true;
        }
        results
    }

    fn now(&self) -> Instant {
        self.san.borrow().now()
    }

    fn wall(&self) -> u64 {
        self.now().as_secs()
    }

    fn sleep(&self, time: Duration) {
        self.pass(time);
    }
}
