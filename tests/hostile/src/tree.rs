//! A kernel that is a text: a line for each attribute (`PATH=TEXT`) or link (`PATH ->
//! TARGET`).
//!
//! Every operation succeeds. What is removed is gone, and nothing is made. A test fails
//! if a path is asked for that understudy may not touch.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use understudy_core::kernel::reservation::{Holder, Key, Reservation};
use understudy_core::kernel::{
    Cause, Chain, ChainResult, Done, Instant, Kernel, KernelError, Op,
};

enum Node {
    Text(String),
    Link(PathBuf),
    /// A file whose reading fails.
    Broken,
}

/// A kernel whose files are those of a text.
pub struct TreeKernel {
    nodes: RefCell<BTreeMap<PathBuf, Node>>,
    clock: Cell<Duration>,
}

impl TreeKernel {
    /// Returns the kernel that a text describes. Reading an attribute fails if its text
    /// is `EIO`.
    pub fn new(text: &str) -> Self {
        let mut nodes = BTreeMap::new();
        for line in text.lines() {
            let (path, node) = match (line.split_once(" -> "), line.split_once('=')) {
                (Some((path, target)), _) => (path, Node::Link(target.into())),
                (_, Some((path, "EIO"))) => (path, Node::Broken),
                (_, Some((path, text))) => (path, Node::Text(format!("{text}\n"))),
                (None, None) => (line, Node::Text(String::new())),
            };
            if plain(Path::new(path)) {
                nodes.insert(path.into(), node);
            }
        }
        Self { nodes: RefCell::new(nodes), clock: Cell::new(Duration::from_secs(1)) }
    }

    /// Returns the text of an attribute.
    pub fn text(&self, path: &Path) -> Result<String, Errno> {
        match self.nodes.borrow().get(path) {
            Some(Node::Text(text)) => Ok(text.clone()),
            Some(Node::Link(_)) => Err(Errno::EISDIR),
            Some(Node::Broken) => Err(Errno::EIO),
            None => Err(Errno::ENOENT),
        }
    }

    fn perform(&self, op: &Op) -> Result<Done, Cause> {
        let (path, more) = touched(op);
        for path in path.into_iter().chain(more) {
            match op {
                // LIO's state files are where LIO says.
                Op::MakeDir(_)
                    if path.starts_with("/var") || path.starts_with("/etc") =>
                {
                    assert!(plain(path), "{} is made", path.display());
                }
                _ => allowed(path),
            }
        }
        match (op, path.map(|path| self.text(path))) {
            (_, Some(Err(Errno::EIO))) => Err(Cause::Errno(Errno::EIO as i32)),
            (Op::ReadReservation(_), Some(Ok(text))) => {
                Ok(Done::Reservation(reservation(&text)))
            }
            _ => {
                self.remove(op);
                Ok(Done::Changed)
            }
        }
    }

    fn remove(&self, op: &Op) {
        let gone = match op {
            Op::RemoveDir(path) | Op::Unlink(path) => path.as_path(),
            Op::Write { path, .. } if path.ends_with("vport_delete") => {
                Path::new("/sys/class/fc_vports")
            }
            _ => return,
        };
        self.nodes.borrow_mut().retain(|path, _| !path.starts_with(gone));
    }
}

/// Returns the paths that an operation touches.
fn touched(op: &Op) -> (Option<&Path>, Option<&Path>) {
    match op {
        Op::MakeDir(path) | Op::RemoveDir(path) | Op::Unlink(path) => (Some(path), None),
        Op::Write { path, .. }
        | Op::WriteIfAny { path, .. }
        | Op::Echo(path)
        | Op::ReadDisk(path)
        | Op::LoadState(path)
        | Op::HearKeeper(path)
        | Op::EndKeeper(path) => (Some(path), None),
        Op::LogOut { device, .. } => (Some(device), None),
        Op::WriteAll { dir, .. } => (Some(dir), None),
        Op::Keep { device, at } => (Some(device), Some(at)),
        Op::Link { at, to } => (Some(at), Some(to)),
        Op::ReadReservation(disk)
        | Op::Identify(disk)
        | Op::Rescan(disk)
        | Op::Join { disk, .. }
        | Op::Register { disk, .. }
        | Op::Confirm { disk, .. }
        | Op::Unregister { disk, .. }
        | Op::Reserve { disk, .. }
        | Op::PreemptAndAbort { disk, .. }
        | Op::KeepPaths { disk, .. } => (Some(disk), None),
        Op::BeginAccount { link, out, .. } => {
            [link, out].into_iter().for_each(|link| is_word(link));
            (None, None)
        }
        Op::Bar { link, .. } | Op::ReadAccount(link) | Op::EndAccount { link, .. } => {
            is_word(link);
            (None, None)
        }
        Op::ReadyNft | Op::LiftBar(_) | Op::Expedite | Op::Relax | Op::HearMultipathd => {
            (None, None)
        }
    }
}

/// Checks that an interface's name can be a word of a script.
fn is_word(link: &str) {
    let word = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
    assert!(!link.is_empty() && link.chars().all(word), "{link:?}");
}

/// Returns the reservation that a text of numbers describes: the holder's key, the type,
/// and the registered keys.
fn reservation(text: &str) -> Reservation {
    let mut numbers = text.split_whitespace().map_while(|word| word.parse::<u64>().ok());
    let holder = numbers.next().zip(numbers.next());
    Reservation {
        holder: holder.map(|(key, kind)| Holder { key: Key(key), kind: kind as u8 }),
        keys: numbers.map(Key).collect(),
        host_key: None,
    }
}

/// Returns whether a path is absolute and made of plain names.
fn plain(path: &Path) -> bool {
    let mut parts = path.components();
    parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Checks that understudy may touch a path. Nothing that it reads may lead it elsewhere.
fn allowed(path: &Path) {
    // LIO itself says below which of the last two it keeps its files.
    let roots = ["/sys", "/dev", "/run/understudy", "/var", "/etc"];
    let files =
        ["/proc", "/proc/uptime", "/proc/self/mounts", "/proc/sys/kernel/osrelease"];
    let number = path.strip_prefix("/proc").ok().and_then(|rest| rest.iter().next());
    let is_process =
        number.is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok());
    let known = roots.iter().any(|root| path.starts_with(root))
        || files.iter().any(|file| path == Path::new(file))
        || is_process;
    assert!(known && plain(path), "{} is touched", path.display());
}

impl Kernel for TreeKernel {
    fn read(&self, path: &Path) -> Result<String, KernelError> {
        allowed(path);
        self.text(path).map_err(|errno| KernelError::errno("read", path, errno))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, KernelError> {
        allowed(dir);
        if self.text(dir) == Err(Errno::EIO) {
            return Err(KernelError::errno("list", dir, Errno::EIO));
        }
        let nodes = self.nodes.borrow();
        let inside = nodes.keys().filter_map(|path| path.strip_prefix(dir).ok());
        let names = inside.filter_map(|path| path.iter().next());
        let mut names: Vec<_> =
            names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.dedup();
        Ok(names)
    }

    fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, KernelError> {
        allowed(dir);
        let nodes = self.nodes.borrow();
        let inside = nodes.iter().filter(|(path, _)| path.parent() == Some(dir));
        let links = inside.filter_map(|(path, node)| match node {
            Node::Link(target) => Some((path.clone(), target.clone())),
            Node::Text(_) | Node::Broken => None,
        });
        Ok(links.collect())
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, KernelError> {
        allowed(path);
        let failed = |errno| KernelError::errno("look up", path, errno);
        let nodes = self.nodes.borrow();
        let mut at = path;
        for _ in 0..8 {
            match nodes.get(at) {
                Some(Node::Link(target)) => at = target,
                _ if plain(at) => return Ok(at.to_owned()),
                _ => return Err(failed(Errno::ENOENT)),
            }
        }
        Err(failed(Errno::ELOOP))
    }

    fn exists(&self, path: &Path) -> bool {
        allowed(path);
        self.nodes.borrow().keys().any(|node| node.starts_with(path))
    }

    fn store(&self, path: &Path, text: &str) -> Result<(), KernelError> {
        allowed(path);
        self.nodes.borrow_mut().insert(path.into(), Node::Text(text.into()));
        Ok(())
    }

    fn discard(&self, path: &Path) -> Result<(), KernelError> {
        allowed(path);
        self.nodes.borrow_mut().remove(path);
        Ok(())
    }

    fn run(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        let carry_out = |chain: &Chain| {
            let mut result = ChainResult::default();
            for op in chain {
                let late = self.now() >= until;
                let done = if late { Err(Cause::NotBegun) } else { self.perform(op) };
                match done {
                    Ok(done) => result.done.push(done),
                    Err(cause) => {
                        result.failed = Some(op.failed(cause));
                        break;
                    }
                }
            }
            result
        };
        chains.iter().map(carry_out).collect()
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
