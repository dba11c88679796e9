//! Keepers: the processes into whose file system LIO writes what initiators register. One may
//! die, and leaves its mount; one may stand still; and one that has not said that it is ready
//! ends with the process that started it (`understudy keep`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::registrations::lines;
use super::san::San;
use super::tree::Tree;
use understudy_core::kernel::state::Record;
use understudy_core::kernel::{Done, Instant, Op, paths};

/// A keeper that runs on a node, or has died there and left its mount.
#[derive(Debug, Clone, Default)]
pub(super) struct Keeper {
    pub is_dead: bool,
    /// Until when it stands still: it answers nobody, and writes nothing.
    pub still_until: Instant,
    /// Until when it writes. It does one thing after another, and answers no question
    /// meanwhile.
    pub writes_until: Instant,
    /// When it is ready, and goes on without its start.
    ready_at: Instant,
    /// What it has read from the state device, or written there: it writes over nothing else.
    known: Vec<Record>,
}

impl Keeper {
    /// Returns a keeper that has read this, and is ready from some moment on.
    pub fn new(known: Vec<Record>, ready_at: Instant) -> Self {
        Self { known, ready_at, ..Self::default() }
    }
}

/// The keepers of a node, by their directories.
pub(super) type Keepers = BTreeMap<PathBuf, Keeper>;

impl San {
    /// Ends the process of the keeper that a node has for a state device, and leaves its mount.
    /// Returns whether there was one.
    pub fn keeper_dies(&mut self, node: usize, disk: &str) -> bool {
        let Some(at) = self.living_keeper(node, disk) else { return false };
        if let Some(keeper) = self.keeper_mut(node, &at) {
            keeper.is_dead = true;
        }
        self.refuse(node, &at);
        true
    }

    /// Has the keeper that a node has for a state device stand still until then. Returns
    /// whether there was one.
    pub fn keeper_stands_still(
        &mut self,
        node: usize,
        disk: &str,
        time: Duration,
    ) -> bool {
        let Some(at) = self.living_keeper(node, disk) else { return false };
        let until = self.now + time;
        if let Some(keeper) = self.keeper_mut(node, &at) {
            keeper.still_until = keeper.still_until.max(until);
        }
        self.changes += 1;
        true
    }

    /// Ends what a start has left that was killed: its keeper, if that was not ready yet. The
    /// mount stays where it had been made by then.
    pub fn start_is_killed(&mut self, node: usize, disk: &str) {
        let now = self.now;
        let Some(at) = self.living_keeper(node, disk) else { return };
        if self.keeper_mut(node, &at).is_none_or(|keeper| keeper.ready_at <= now) {
            return;
        }
        self.keeper_dies(node, disk);
        if self.one_in(2) {
            if let Some(there) = self.nodes.get_mut(node) {
                end(&mut there.tree, &mut there.keepers, &at);
            }
        }
    }

    /// Ends what an operation has left whose worker is given up.
    pub(super) fn is_given_up(&mut self, node: usize, op: &Op) {
        let Op::Keep { device, .. } = op else { return };
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        let disk = self.nodes.get(node).map(|node| node.first_name(&name).to_owned());
        self.start_is_killed(node, &disk.unwrap_or_default());
    }

    /// Returns whether a node has a keeper for a state device that has died.
    pub fn has_dead_keeper(&self, node: usize, disk: &str) -> bool {
        self.keeper_of(node, disk).is_some_and(|(_, keeper)| keeper.is_dead)
    }

    /// Returns whether a node has a keeper for a state device that stands still.
    pub fn has_still_keeper(&self, node: usize, disk: &str) -> bool {
        self.keeper_of(node, disk).is_some_and(|(_, its)| self.now < its.still_until)
    }

    /// Returns whether a node has a keeper for a state device.
    pub fn has_keeper(&self, node: usize, disk: &str) -> bool {
        self.keeper_of(node, disk).is_some()
    }

    /// Returns whether the keeper that a node has for a state device knows what is there.
    pub fn keeper_knows(&self, node: usize, disk: &str) -> bool {
        let keeper = self.keeper_of(node, disk);
        keeper.is_some_and(|(_, keeper)| keeper.known == self.disks.state(disk))
    }

    /// Returns until when the keeper of a directory answers nobody.
    pub(super) fn keeper_is_busy_until(&self, node: usize, at: &Path) -> Instant {
        let keeper = self.nodes.get(node).and_then(|node| node.keepers.get(at));
        let keeper = keeper.filter(|keeper| !keeper.is_dead);
        let busy = |its: &Keeper| its.still_until.max(its.writes_until);
        // While its device does not answer, it answers nothing either.
        let waits = self.pr_out_before_keeper(node, at);
        let stalled = waits
            .zip(self.stalled(node))
            .map(|(given_up, time)| given_up.min(self.now + time));
        keeper.map_or(Instant::ZERO, |its| busy(its).max(stalled.unwrap_or_default()))
    }

    /// Has a keeper write a record, where it can. Returns whether the device has it.
    pub(super) fn save(
        &mut self,
        node: usize,
        at: &Path,
        device: &str,
        record: Record,
    ) -> bool {
        let Some(there) = self.nodes.get_mut(node) else { return false };
        if !there.has_device(device) {
            return false;
        }
        let device = there.first_name(device).to_owned();
        let state = self.disks.state(&device);
        let keeper = there.keepers.get_mut(at);
        if keeper.as_ref().is_some_and(|its| its.is_dead || its.known != state) {
            return false;
        }
        self.disks.put(&device, record);
        if let Some(keeper) = keeper {
            keeper.known = self.disks.state(&device);
        }
        true
    }

    pub(super) fn keeper_mut(&mut self, node: usize, at: &Path) -> Option<&mut Keeper> {
        self.nodes.get_mut(node)?.keepers.get_mut(at)
    }

    fn living_keeper(&self, node: usize, disk: &str) -> Option<PathBuf> {
        let (at, keeper) = self.keeper_of(node, disk)?;
        (!keeper.is_dead).then(|| at.clone())
    }

    fn keeper_of(&self, node: usize, disk: &str) -> Option<(&PathBuf, &Keeper)> {
        let there = self.nodes.get(node)?;
        let mounts = there.tree.read(Path::new(paths::MOUNTS)).ok()?;
        let its = |at: &Path| {
            let on = |line: &&str| line.split(' ').nth(1) == at.to_str();
            let line = mounts.lines().find(on)?;
            Some(there.first_name(line.split(' ').next()?.strip_prefix("/dev/")?))
        };
        there.keepers.iter().find(|(at, _)| its(at) == Some(disk))
    }
}

/// Starts a keeper, unless one runs and answers: its directory is mounted.
pub(super) fn keep(
    tree: &mut Tree,
    keepers: &mut Keepers,
    (device, keeper): (&Path, Keeper),
    at: &Path,
) -> Result<Done, Errno> {
    if keepers.get(at).is_some_and(|keeper| keeper.is_dead) {
        end(tree, keepers, at);
    }
    let mut mounts = lines(tree, Path::new(paths::MOUNTS));
    let mount = format!("{} {} fuse rw 0 0", device.display(), at.display());
    if mounts.contains(&mount) {
        return Ok(Done::Unchanged);
    }
    if !tree.exists(device) {
        return Err(Errno::ENOENT);
    }
    mounts.push(mount);
    keepers.insert(at.to_owned(), keeper);
    tree.file(paths::MOUNTS, mounts.join("\n"));
    tree.dir(at);
    Ok(Done::Changed)
}

/// Succeeds if a directory has a keeper.
pub(super) fn hear(tree: &Tree, keepers: &Keepers, at: &Path) -> Result<Done, Errno> {
    if keepers.get(at).is_some_and(|keeper| keeper.is_dead) {
        return Err(Errno::ENOTCONN);
    }
    let mounts = lines(tree, Path::new(paths::MOUNTS));
    let there = mounts.iter().any(|line| line.split(' ').nth(1) == at.to_str());
    if there { Ok(Done::Unchanged) } else { Err(Errno::ENOTCONN) }
}

/// Ends a keeper: its directory is unmounted and removed.
pub(super) fn end(tree: &mut Tree, keepers: &mut Keepers, at: &Path) -> Done {
    keepers.remove(at);
    let mut mounts = lines(tree, Path::new(paths::MOUNTS));
    mounts.retain(|line| line.split(' ').nth(1) != at.to_str());
    tree.file(paths::MOUNTS, mounts.join("\n"));
    if tree.remove(at).is_some() { Done::Changed } else { Done::Unchanged }
}
