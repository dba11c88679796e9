//! Shared disks with persistent reservations: SCSI-3's (SPC-4 5.13), with a nexus for each path
//! of each node, or NVMe's, with one for each Host ID.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{Place, Written};
use super::nvmet;
use understudy_core::kernel::Cause;
use understudy_core::kernel::disk::nvme::names::is_nvme;
use understudy_core::kernel::reservation::{
    Holder, Key, Reservation, WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
};
use understudy_core::kernel::state::Record;
use understudy_core::kernel::{Done, Op};

/// A path of a node to a disk. A number alone is the first path of the node of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nexus {
    /// The node.
    pub node: usize,
    /// Which of its paths.
    pub path: usize,
}

impl From<usize> for Nexus {
    fn from(node: usize) -> Self {
        Self { node, path: 0 }
    }
}

#[derive(Debug, Clone, Default)]
struct Disk {
    /// Whether it is an NVMe namespace.
    is_nvme: bool,
    /// Whether every node has one Host ID there, as cloned nodes have.
    is_one_host: bool,
    registered: BTreeMap<Nexus, Key>,
    /// The nexus that holds, and the type.
    holder: Option<(Nexus, u8)>,
    unsupported: bool,
    /// How many paths more than one each node has.
    more_paths: usize,
    /// Paths by which no command comes.
    dead: BTreeSet<Nexus>,
    /// Nodes whose multipathd registers a path that comes back, and the key.
    kept: BTreeMap<usize, Key>,
    /// Whether the array keeps one registration for all paths of a node.
    by_node: bool,
    /// The nexus that has reserved it the old way (SPC-2).
    reserved: Option<Nexus>,
    deaf: bool,
    /// Of 512 bytes each, where it says so.
    sectors: Option<u64>,
    /// What a keeper has put there.
    state: Vec<Record>,
    /// What initiators have written.
    contents: BTreeMap<Place, Written>,
}

/// Disks by their first names: their kernel names on every node, until one comes back.
#[derive(Debug, Clone, Default)]
pub struct Disks {
    all: BTreeMap<String, Disk>,
}

/// What a disk answered, and whose commands in it were aborted on the way.
pub(super) type Answer = (Result<Done, Cause>, Vec<Nexus>);

impl Disks {
    /// Disks without any registration.
    pub fn new<T: AsRef<str>>(names: &[T]) -> Self {
        let disk = |name: &str| Disk { is_nvme: is_nvme(name), ..Disk::default() };
        let all = names.iter().map(|name| (name.as_ref().into(), disk(name.as_ref())));
        Self { all: all.collect() }
    }

    /// Returns the names of the disks.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.all.keys()
    }

    /// Gives every node this many paths to each disk from its next boot on, by a multipath
    /// device that has the disk's name.
    pub fn set_paths(&mut self, paths: usize) {
        self.all.values_mut().for_each(|disk| disk.more_paths = paths.saturating_sub(1));
    }

    /// Returns the names of the paths of a disk, where it has more than one.
    pub(super) fn paths(&self, name: &str) -> Vec<String> {
        match self.get(name).map_or(0, |disk| disk.more_paths) {
            0 => Vec::new(),
            more => (0..=more).map(|path| format!("{name}-{path}")).collect(),
        }
    }

    /// Returns the disk and the path that have this name. A disk that has one path is it.
    fn path_of(name: &str) -> (&str, usize) {
        match name.rsplit_once('-').map(|(disk, path)| (disk, path.parse())) {
            Some((disk, Ok(path))) => (disk, path),
            _ => (name, 0),
        }
    }

    fn get(&self, name: &str) -> Option<&Disk> {
        self.all.get(name)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Disk> {
        self.all.get_mut(name)
    }

    /// Takes reservations away from a disk from now on.
    pub fn without_reservations(&mut self, name: &str) {
        if let Some(disk) = self.get_mut(name) {
            disk.unsupported = true;
        }
    }

    /// Makes a node's path to a disk dead from now on, so that every command by it fails;
    /// or makes it well again.
    pub fn set_dead(&mut self, name: &str, nexus: impl Into<Nexus>, dead: bool) {
        let Some(disk) = self.get_mut(name) else { return };
        let nexus = nexus.into();
        match dead {
            true => disk.dead.insert(nexus),
            false => disk.dead.remove(&nexus),
        };
        // multipathd looks whether the key is still there, and registers before it lets
        // commands go by the path. If not, it does nothing until it is told again.
        if let Some(key) = disk.kept.get(&nexus.node).copied().filter(|_| !dead) {
            match disk.registered.values().any(|its| *its == key) {
                true => disk.registered.insert(nexus, key),
                false => disk.kept.remove(&nexus.node),
            };
        }
    }

    /// Has every array keep one registration for all paths of a node from now on.
    pub fn register_by_node(&mut self) {
        self.all.values_mut().for_each(|disk| disk.by_node = true);
    }

    /// Has all nodes have one Host ID at every NVMe namespace from now on.
    pub fn share_host_id(&mut self) {
        self.all.values_mut().for_each(|disk| disk.is_one_host = true);
    }

    /// Returns whether a disk is an NVMe namespace.
    pub(super) fn is_nvme(&self, name: &str) -> bool {
        self.get(name).is_some_and(|disk| disk.is_nvme)
    }

    /// Has a node's multipathd register paths that come back with a key. Where none is given
    /// it registers none from now on.
    pub(super) fn keep_paths(&mut self, name: &str, node: usize, key: Option<Key>) {
        let Some(disk) = self.get_mut(name) else { return };
        match key {
            Some(key) => disk.kept.insert(node, key),
            None => disk.kept.remove(&node),
        };
    }

    /// Forgets what a node's multipathd was told.
    pub(super) fn boots(&mut self, node: usize) {
        self.all.values_mut().for_each(|disk| disk.kept.retain(|its, _| *its != node));
    }

    /// Reserves a disk the old way from now on, by SPC-2 RESERVE of a nexus.
    pub fn reserve_the_old_way(&mut self, name: &str, nexus: usize) {
        if let Some(disk) = self.get_mut(name) {
            disk.reserved = Some(nexus.into());
        }
    }

    /// Registers another program's key by a nexus, and reserves the disk if it is to.
    pub fn other_program(&mut self, name: &str, nexus: usize, key: Key, reserves: bool) {
        let kind = reserves.then_some(WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
        self.other_type(name, nexus, key, kind);
    }

    /// Registers another program's key by a nexus, and reserves the disk with a type, if one
    /// is given.
    pub fn other_type(&mut self, name: &str, nexus: usize, key: Key, kind: Option<u8>) {
        if let Some(disk) = self.get_mut(name) {
            let nexus = nexus.into();
            disk.registered.insert(nexus, key);
            disk.holder = kind.map(|kind| (nexus, kind)).or(disk.holder);
        }
    }

    /// Makes a disk say yes to every change of its reservation from now on, and make
    /// none.
    pub fn deaf(&mut self, name: &str) {
        if let Some(disk) = self.get_mut(name) {
            disk.deaf = true;
        }
    }

    /// Gives a disk so many sectors from now on. No node has noticed yet.
    pub fn resize(&mut self, name: &str, sectors: u64) {
        if let Some(disk) = self.get_mut(name) {
            disk.sectors = Some(sectors);
        }
    }

    /// Puts what is recorded about a LUN in place of what was.
    pub(super) fn put(&mut self, name: &str, record: Record) {
        if let Some(disk) = self.get_mut(name) {
            disk.state.retain(|old| old.serial != record.serial);
            disk.state.push(record);
        }
    }

    /// Returns what a keeper has put on a disk.
    pub(super) fn state(&self, name: &str) -> Vec<Record> {
        self.get(name).map_or(Vec::new(), |disk| disk.state.clone())
    }

    /// Puts a write on a disk.
    pub(super) fn write(&mut self, name: &str, place: Place, written: Written) {
        if let Some(disk) = self.get_mut(name) {
            disk.contents.insert(place, written);
        }
    }

    /// Has a disk lose what is on it.
    pub fn empties(&mut self, name: &str) {
        if let Some(disk) = self.get_mut(name) {
            disk.contents.clear();
        }
    }

    /// Returns what was written last in a place of a disk.
    pub(super) fn written(&self, name: &str, place: Place) -> Option<Written> {
        self.get(name)?.contents.get(&place).copied()
    }

    /// Returns how many sectors a disk says that it has.
    pub fn sectors(&self, name: &str) -> Option<u64> {
        self.get(name)?.sectors
    }

    /// Returns what a disk reports.
    pub fn reservation(&self, name: &str) -> Reservation {
        self.get(name).map(Disk::report).unwrap_or_default()
    }

    /// Returns whether a disk has a registration of this nexus.
    pub fn is_registered(&self, name: &str, nexus: Nexus) -> bool {
        let disk = self.get(name);
        disk.is_some_and(|disk| disk.registered.contains_key(&disk.to_array(nexus)))
    }

    /// Returns the node that holds a disk.
    pub(super) fn holder(&self, name: &str) -> Option<usize> {
        self.get(name)?.holder.map(|(nexus, _)| nexus.node)
    }

    /// Returns whether a disk takes writes from a node, by whichever path they come.
    pub fn accepts(&self, name: &str, node: usize) -> bool {
        self.get(name).is_some_and(|disk| {
            let all = (0..=disk.more_paths).map(|path| Nexus { node, path });
            let mut alive = all.filter(|nexus| !disk.dead.contains(nexus)).peekable();
            // Registrants Only: all of them may write. Of the types of other software,
            // which are met but never made here, none lets more than those in.
            disk.holder.is_none()
                || alive.peek().is_some()
                    && alive
                        .all(|nexus| disk.registered.contains_key(&disk.to_array(nexus)))
        })
    }

    /// Carries out an operation by one path of a node.
    pub(super) fn perform(&mut self, node: usize, path: &str, op: &Op) -> Answer {
        let key = match op {
            Op::ReadReservation(_) => Key(0),
            Op::Join { key, .. }
            | Op::Register { key, .. }
            | Op::Confirm { key, .. }
            | Op::Unregister { key, .. }
            | Op::Reserve { key, .. }
            | Op::PreemptAndAbort { key, .. } => *key,
            _ => return (Err(Cause::Device("no command for a disk".into())), vec![]),
        };
        let (name, path) = Self::path_of(path);
        let nexus = Nexus { node, path };
        match self.get_mut(name) {
            None => (Err(Cause::Device("no such disk".into())), vec![]),
            Some(disk) if disk.dead.contains(&nexus) => {
                // As seen of a SCSI device in the state `offline` (DID_NO_CONNECT).
                (Err(Cause::PathFailed("host status 1".into())), vec![])
            }
            Some(disk) if disk.unsupported => (Err(Cause::NoReservations), vec![]),
            // LIO: target_scsi2_reservation_check.
            Some(disk) if disk.reserved.is_some_and(|by| by != nexus) => match op {
                Op::ReadReservation(_) => (Err(Cause::Reserved), vec![]),
                _ => (Err(Cause::Device("reservation conflict".into())), vec![]),
            },
            Some(disk) if disk.deaf && !matches!(op, Op::ReadReservation(_)) => {
                (Ok(Done::Changed), vec![])
            }
            Some(disk) => disk.perform(disk.to_array(nexus), key, op),
        }
    }
}

impl Disk {
    /// Returns the nexus under which the array keeps a registration by this one.
    fn to_array(&self, nexus: Nexus) -> Nexus {
        match self.is_nvme {
            true if self.is_one_host => 0.into(),
            true => nexus.node.into(),
            false if self.by_node => nexus.node.into(),
            false => nexus,
        }
    }

    fn report(&self) -> Reservation {
        let holder = self.holder.map(|(nexus, kind)| Holder {
            key: match kind {
                7 | 8 => Key(0),
                _ => self.registered.get(&nexus).copied().unwrap_or(Key(0)),
            },
            kind,
        });
        let keys = self.registered.values().copied().collect();
        Reservation { keys, holder, host_key: None }
    }

    fn perform(&mut self, nexus: Nexus, key: Key, op: &Op) -> Answer {
        let conflict = || (Err(Cause::Device("reservation conflict".into())), vec![]);
        if matches!(op, Op::ReadReservation(_)) {
            let own = self.registered.get(&nexus).copied().unwrap_or(Key(0));
            let host_key = self.is_nvme.then_some(own);
            let report = Reservation { host_key, ..self.report() };
            return (Ok(Done::Reservation(report)), vec![]);
        }
        if self.is_nvme {
            return nvmet::perform(&mut self.registered, &mut self.holder, nexus, op);
        }
        // LIO: core_scsi3_emulate_pro_register.
        if matches!(op, Op::Join { .. }) && self.registered.contains_key(&nexus) {
            return conflict();
        }
        if matches!(op, Op::Join { .. } | Op::Register { .. }) {
            self.registered.insert(nexus, key);
            return (Ok(Done::Changed), vec![]);
        }
        if self.registered.get(&nexus) != Some(&key) {
            return conflict();
        }
        let ours = Some((nexus, WRITE_EXCLUSIVE_REGISTRANTS_ONLY));
        let mut aborted = Vec::new();
        match op {
            Op::Unregister { .. } => {
                self.registered.remove(&nexus);
                self.holder = self.holder.filter(|(holder, _)| *holder != nexus);
            }
            Op::Reserve { .. } if self.holder.is_some() && self.holder != ours => {
                return conflict();
            }
            Op::Reserve { .. } => self.holder = ours,
            Op::PreemptAndAbort { other, .. } => {
                let victims = self.registered.iter().filter(|(_, k)| *k == other);
                aborted = victims.map(|(n, _)| *n).filter(|n| *n != nexus).collect();
                if aborted.is_empty() {
                    return conflict();
                }
                if self.holder.is_some_and(|(holder, _)| aborted.contains(&holder)) {
                    self.holder = ours;
                }
                self.registered.retain(|n, _| !aborted.contains(n));
            }
            _ => {}
        }
        (Ok(Done::Changed), aborted)
    }
}
