//! Shared disks with SCSI-3 persistent reservations (SPC-4 5.13), one nexus a node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::kernel::Cause;
use crate::kernel::op::{Done, Op};
use crate::kernel::reservation::{
    Holder, Key, Reservation, WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
};
use crate::kernel::state::Record;

#[derive(Debug, Clone, Default)]
struct Disk {
    registered: BTreeMap<usize, Key>,
    /// The nexus that holds, and the type.
    holder: Option<(usize, u8)>,
    unsupported: bool,
    /// Nodes whose path to it is dead.
    dead: BTreeSet<usize>,
    /// The nexus that has reserved it the old way (SPC-2).
    reserved: Option<usize>,
    deaf: bool,
    /// Of 512 bytes each, where it says so.
    sectors: Option<u64>,
    /// What a keeper has put there.
    state: Vec<Record>,
}

/// Disks by their kernel names, which are the same on every node until one comes back.
#[derive(Debug, Clone, Default)]
pub struct Disks {
    all: BTreeMap<String, Disk>,
    /// Names that disks were given when they came back, and their first ones.
    renamed: BTreeMap<String, String>,
}

/// What a disk answered, and whose commands in it were aborted on the way.
type Answer = (Result<Done, Cause>, Vec<usize>);

impl Disks {
    /// Disks without any registration.
    pub fn new<T: AsRef<str>>(names: &[T]) -> Self {
        let names = names.iter().map(|name| name.as_ref().to_owned());
        let all = names.map(|name| (name, Disk::default())).collect();
        Self { all, renamed: BTreeMap::new() }
    }

    /// Returns the names of the disks.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.all.keys()
    }

    /// Returns the first name of a disk.
    pub(super) fn first_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.get(name).map_or(name, String::as_str)
    }

    /// Gives a disk another name too from now on.
    pub(super) fn rename(&mut self, disk: &str, name: &str) {
        self.renamed.insert(name.to_owned(), disk.to_owned());
    }

    fn get(&self, name: &str) -> Option<&Disk> {
        self.all.get(self.first_name(name))
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Disk> {
        let name = self.renamed.get(name).map_or(name, String::as_str);
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
    pub fn set_dead(&mut self, name: &str, nexus: usize, dead: bool) {
        let Some(disk) = self.get_mut(name) else { return };
        match dead {
            true => disk.dead.insert(nexus),
            false => disk.dead.remove(&nexus),
        };
    }

    /// Reserves a disk the old way from now on, by SPC-2 RESERVE of a nexus.
    pub fn reserve_the_old_way(&mut self, name: &str, nexus: usize) {
        if let Some(disk) = self.get_mut(name) {
            disk.reserved = Some(nexus);
        }
    }

    /// Registers another program's key by a nexus, and reserves the disk if it is to.
    pub fn other_program(&mut self, name: &str, nexus: usize, key: Key, reserves: bool) {
        if let Some(disk) = self.get_mut(name) {
            disk.registered.insert(nexus, key);
            if reserves {
                disk.holder = Some((nexus, WRITE_EXCLUSIVE_REGISTRANTS_ONLY));
            }
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

    /// Returns how many sectors a disk says that it has.
    pub fn sectors(&self, name: &str) -> Option<u64> {
        self.get(name)?.sectors
    }

    /// Returns what a disk reports.
    pub fn reservation(&self, name: &str) -> Reservation {
        self.get(name).map(Disk::report).unwrap_or_default()
    }

    /// Returns whether a disk takes writes from a nexus.
    pub fn accepts(&self, name: &str, nexus: usize) -> bool {
        self.get(name).is_some_and(|disk| match disk.holder {
            // Registrants Only: all of them may write. Of the types of other software,
            // which are met but never made here, none lets more than those in.
            Some(_) => disk.registered.contains_key(&nexus),
            None => true,
        })
    }

    pub(super) fn perform(&mut self, nexus: usize, op: &Op) -> Answer {
        let (path, key) = match op {
            Op::ReadReservation(disk) => (disk, Key(0)),
            Op::Join { disk, key }
            | Op::Register { disk, key }
            | Op::Unregister { disk, key }
            | Op::Reserve { disk, key }
            | Op::PreemptAndAbort { disk, key, .. } => (disk, *key),
            _ => return (Err(Cause::Device("no command for a disk".into())), vec![]),
        };
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        match self.get_mut(&name) {
            None => (Err(Cause::Device("no such disk".into())), vec![]),
            Some(disk) if disk.dead.contains(&nexus) => {
                // As seen of a SCSI device in the state `offline` (DID_NO_CONNECT).
                let words = "the path failed (host status 1)";
                (Err(Cause::Device(words.into())), vec![])
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
            Some(disk) => disk.perform(nexus, key, op),
        }
    }
}

impl Disk {
    fn report(&self) -> Reservation {
        let holder = self.holder.map(|(nexus, kind)| Holder {
            key: self.registered.get(&nexus).copied().unwrap_or(Key(0)),
            kind,
        });
        Reservation { keys: self.registered.values().copied().collect(), holder }
    }

    fn perform(&mut self, nexus: usize, key: Key, op: &Op) -> Answer {
        let conflict = || (Err(Cause::Device("reservation conflict".into())), vec![]);
        if matches!(op, Op::ReadReservation(_)) {
            return (Ok(Done::Reservation(self.report())), vec![]);
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
