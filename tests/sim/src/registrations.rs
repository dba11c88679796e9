//! What initiators have registered on LUNs. LIO holds it in memory, writes it at each
//! change to where its file leads, and takes it in again
//! (drivers/target/target_core_pr.c).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::configfs;
use super::san::{Node, San};
use super::tree::{Entry, Tree};
use understudy_core::kernel::state::Record;
use understudy_core::kernel::{Done, paths};
use understudy_core::wwn::Wwn;

/// A file beside LIO's own attributes: what was written into LIO and it does not show.
const TOLD: &str = "pr/told";
/// A file with the registrations that LIO holds, one a line, in the form in which it
/// takes them in.
const KNOWN: &str = "pr/known";

/// A keeper that runs on a node, or has died there and left its mount.
#[derive(Debug, Clone, Default)]
pub(super) struct Keeper {
    is_dead: bool,
    /// What it has read from the state device, or written there: it writes over nothing else.
    known: Vec<Record>,
}

/// The keepers of a node, by their directories.
pub(super) type Keepers = BTreeMap<PathBuf, Keeper>;

impl San {
    /// Ends the process of the keeper that a node has for a state device, and leaves its mount.
    /// Returns whether there was one.
    pub fn keeper_dies(&mut self, node: usize, disk: &str) -> bool {
        let at = self.keeper_of(node, disk).map(|(at, _)| at.clone());
        let keepers = self.nodes.get_mut(node).map(|node| &mut node.keepers);
        let keeper = keepers.zip(at).and_then(|(all, at)| all.get_mut(&at));
        let alive = keeper.filter(|keeper| !keeper.is_dead);
        alive.map(|keeper| keeper.is_dead = true).is_some()
    }

    /// Returns whether a node has a keeper for a state device that has died.
    pub fn has_dead_keeper(&self, node: usize, disk: &str) -> bool {
        self.keeper_of(node, disk).is_some_and(|(_, keeper)| keeper.is_dead)
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

    /// Registers a key by an initiator through a port, and reserves if a type is given.
    /// Returns whether that was answered with success.
    pub fn register(
        &mut self,
        initiator: Wwn,
        port: Wwn,
        lun: u16,
        key: u64,
        reserve: Option<u8>,
    ) -> bool {
        let has_session = |node: &&mut Node| {
            node.port(port).is_some_and(|port| port.sessions.contains(&initiator))
        };
        let Some(node) = self.nodes.iter_mut().find(has_session) else { return false };
        let tree = &mut node.tree;
        let Some(store) = configfs::store_of(tree, port, initiator, lun) else {
            return false;
        };
        let mut known = lines(tree, &store.join(KNOWN));
        known.retain(|line| !line.contains(&format!("initiator_node={initiator},")));
        let holder = reserve.map_or(String::new(), |kind| {
            format!("res_holder=1,res_type={kind},res_scope=0,")
        });
        known.push(format!(
            "initiator_fabric=fc,initiator_node={initiator},sa_res_key={key},{holder}\
             res_all_tg_pt=0,mapped_lun={lun},target_fabric=fc,target_node={port},tpgt=1,\
             port_rtpi=1,target_lun={lun}"
        ));
        tree.file(store.join(KNOWN), known.join("\n"));
        let forced = tree.read(&store.join("attrib/force_pr_aptpl")) == Ok("1\n");
        if !forced {
            return true;
        }
        let Some((device, at, serial)) = kept_on(tree, &store) else { return false };
        // The keeper's write fails, and LIO keeps what it could not write.
        if !node.has_device(&device) {
            return false;
        }
        let device = node.first_name(&device).to_owned();
        let state = self.disks.state(&device);
        let keeper = node.keepers.get_mut(&at);
        if keeper.as_ref().is_some_and(|its| its.is_dead || its.known != state) {
            return false;
        }
        self.disks.put(&device, Record { serial, text: written(&known) });
        if let Some(keeper) = keeper {
            keeper.known = self.disks.state(&device);
        }
        true
    }

    /// Returns the registrations that LIO holds for a LUN on the node where its port is
    /// logged in, sorted.
    pub fn registered(&self, port: Wwn, initiator: Wwn, lun: u16) -> Vec<String> {
        let node = self.logged_in_at(port).first().and_then(|node| self.nodes.get(*node));
        let Some(node) = node else { return Vec::new() };
        let store = configfs::store_of(&node.tree, port, initiator, lun);
        let known = store.map(|store| lines(&node.tree, &store.join(KNOWN)));
        let mut known = known.unwrap_or_default();
        known.sort();
        known
    }
}

fn lines(tree: &Tree, path: &Path) -> Vec<String> {
    tree.read(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Returns the text as LIO writes it.
fn written(known: &[String]) -> String {
    let each = known.iter().enumerate().map(|(number, line)| {
        let fields = line.split(',').map(|field| match field.split_once("res_type=") {
            Some((_, kind)) => {
                format!("res_type={:02x}\n", kind.parse::<u8>().unwrap_or(0))
            }
            None => format!("{field}\n"),
        });
        let fields: String = fields.collect();
        format!("PR_REG_START: {number}\n{fields}PR_REG_END: {number}\n")
    });
    each.collect()
}

/// Returns the device of the keeper that LIO's file of a backstore leads to, the keeper's
/// directory, and the serial.
fn kept_on(tree: &Tree, store: &Path) -> Option<(String, PathBuf, String)> {
    let serial = tree.read(&store.join("wwn/vpd_unit_serial")).ok()?;
    let serial = serial.trim().rsplit(": ").next()?.to_owned();
    let root = PathBuf::from(tree.read(&paths::lio_dbroot()).ok()?.trim());
    let Some(Entry::Link(to)) = tree.get(&paths::aptpl(&root, &serial)) else {
        return None;
    };
    let mounts = tree.read(Path::new(paths::MOUNTS)).ok()?;
    // Only the keeper itself has the directory of its files.
    let dir = to.parent().filter(|dir| dir.ends_with(paths::KEPT_FILES))?.parent()?;
    let mount = mounts.lines().find(|line| line.split(' ').nth(1) == dir.to_str())?;
    let device = mount.split(' ').next()?.strip_prefix("/dev/")?;
    Some((device.to_owned(), dir.to_owned(), serial))
}

/// Writes a registration into LIO, which looks at it when the LUN is mapped.
pub fn tell(tree: &mut Tree, store: &Path, text: &str) -> Result<Done, Errno> {
    let field = |name: &str| text.split(',').find_map(|field| field.strip_prefix(name));
    // `match_int`: a leading 0 makes it octal.
    let octal = |value: &str| value.len() > 1 && value.starts_with('0');
    if field("res_type=").is_some_and(|kind| octal(kind) && kind.contains(['8', '9'])) {
        return Err(Errno::EINVAL);
    }
    let mut told = lines(tree, &store.join(TOLD));
    told.push(text.to_owned());
    tree.file(store.join(TOLD), told.join("\n"));
    Ok(Done::Changed)
}

/// Takes note that a LUN was mapped to an initiator: what was written into LIO about the
/// two holds from now on.
pub fn mapped(tree: &mut Tree, store: &Path, port: Wwn, initiator: Wwn) {
    let its = |line: &String| {
        line.contains(&format!("initiator_node={initiator},"))
            && line.contains(&format!("target_node={port},"))
    };
    let (now, later): (Vec<_>, Vec<_>) =
        lines(tree, &store.join(TOLD)).into_iter().partition(its);
    let mut known = lines(tree, &store.join(KNOWN));
    known.extend(now);
    tree.file(store.join(TOLD), later.join("\n"));
    tree.file(store.join(KNOWN), known.join("\n"));
}

/// Starts a keeper, unless one runs and answers: its directory is mounted.
pub fn keep(
    tree: &mut Tree,
    keepers: &mut Keepers,
    (device, known): (&Path, Vec<Record>),
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
    keepers.insert(at.to_owned(), Keeper { is_dead: false, known });
    tree.file(paths::MOUNTS, mounts.join("\n"));
    tree.dir(at);
    Ok(Done::Changed)
}

/// Succeeds if a directory has a keeper.
pub fn hear(tree: &Tree, keepers: &Keepers, at: &Path) -> Result<Done, Errno> {
    if keepers.get(at).is_some_and(|keeper| keeper.is_dead) {
        return Err(Errno::ENOTCONN);
    }
    let mounts = lines(tree, Path::new(paths::MOUNTS));
    let there = mounts.iter().any(|line| line.split(' ').nth(1) == at.to_str());
    if there { Ok(Done::Unchanged) } else { Err(Errno::ENOTCONN) }
}

/// Ends a keeper: its directory is unmounted and removed.
pub fn end(tree: &mut Tree, keepers: &mut Keepers, at: &Path) -> Done {
    keepers.remove(at);
    let mut mounts = lines(tree, Path::new(paths::MOUNTS));
    mounts.retain(|line| line.split(' ').nth(1) != at.to_str());
    tree.file(paths::MOUNTS, mounts.join("\n"));
    if tree.remove(at).is_some() { Done::Changed } else { Done::Unchanged }
}
