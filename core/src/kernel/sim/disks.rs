//! Shared disks with SCSI-3 persistent reservations (SPC-4 5.13), one nexus a node.

use std::collections::BTreeMap;
use std::path::Path;

use crate::kernel::Cause;
use crate::kernel::op::{Done, Op};
use crate::kernel::reservation::{
    Holder, Key, Reservation, WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
};

#[derive(Debug, Default)]
struct Disk {
    registered: BTreeMap<u32, Key>,
    /// The nexus that holds, and the type.
    holder: Option<(u32, u8)>,
    unsupported: bool,
}

/// Disks by their kernel names.
#[derive(Debug, Default)]
pub struct Disks(BTreeMap<String, Disk>);

impl Disks {
    /// Disks without any registration.
    pub fn new(names: &[&str]) -> Self {
        Self(names.iter().map(|name| ((*name).to_owned(), Disk::default())).collect())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// From now on a disk knows no reservations.
    pub fn without_reservations(&mut self, name: &str) {
        if let Some(disk) = self.0.get_mut(name) {
            disk.unsupported = true;
        }
    }

    /// What a disk reports.
    pub fn reservation(&self, name: &str) -> Reservation {
        self.0.get(name).map(Disk::report).unwrap_or_default()
    }

    pub(super) fn perform(&mut self, nexus: u32, op: &Op) -> Result<Done, Cause> {
        let (path, key) = match op {
            Op::ReadReservation(disk) => (disk, Key(0)),
            Op::Register { disk, key }
            | Op::Unregister { disk, key }
            | Op::Reserve { disk, key }
            | Op::PreemptAndAbort { disk, key, .. }
            | Op::Release { disk, key } => (disk, *key),
            _ => return Err(Cause::Device("no command for a disk".into())),
        };
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        let disk = self.0.get_mut(name.as_ref());
        let disk = disk.ok_or_else(|| Cause::Device("no such disk".into()))?;
        if disk.unsupported {
            return Err(Cause::NoReservations);
        }
        disk.perform(nexus, key, op)
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

    fn perform(&mut self, nexus: u32, key: Key, op: &Op) -> Result<Done, Cause> {
        let conflict = || Cause::Device("reservation conflict".into());
        if matches!(op, Op::ReadReservation(_)) {
            return Ok(Done::Reservation(self.report()));
        }
        if matches!(op, Op::Register { .. }) {
            self.registered.insert(nexus, key);
            return Ok(Done::Changed);
        }
        if self.registered.get(&nexus) != Some(&key) {
            return Err(conflict());
        }
        let ours = Some((nexus, WRITE_EXCLUSIVE_REGISTRANTS_ONLY));
        match op {
            Op::Unregister { .. } => {
                self.registered.remove(&nexus);
                self.holder = self.holder.filter(|(holder, _)| *holder != nexus);
            }
            Op::Reserve { .. } if self.holder.is_some() && self.holder != ours => {
                return Err(conflict());
            }
            Op::Reserve { .. } => self.holder = ours,
            Op::Release { .. } => {
                self.holder = self.holder.filter(|(holder, _)| *holder != nexus);
            }
            Op::PreemptAndAbort { other, .. } => {
                if !self.registered.values().any(|k| k == other) {
                    return Err(conflict());
                }
                let held = self.holder.is_some_and(|(holder, _)| {
                    self.registered.get(&holder) == Some(other)
                });
                self.registered.retain(|n, k| *n == nexus || k != other);
                if held {
                    self.holder = ours;
                }
            }
            _ => {}
        }
        Ok(Done::Changed)
    }
}
