//! LUN numbers keep their disks, on whichever node the group starts: the cluster remembers
//! which disk initiators know behind each number.

use understudy_core::disk;
use understudy_core::failure::{Failure, Kind};
use understudy_core::numbers::{KEEP, Numbers};

use super::Call;
use crate::cluster;

/// A group's LUN numbers, as they were and as they are configured.
pub struct Change {
    before: Option<Numbers>,
    now: Numbers,
}

impl Change {
    /// Asks the cluster which numbers it remembers for a group. Returns nothing where the
    /// configuration cannot be read.
    ///
    /// # Errors
    /// The cluster does not say what it remembers.
    pub fn of(call: &Call) -> Result<Option<Self>, Failure> {
        let Ok(group) = &call.scope.group else { return Ok(None) };
        let before = cluster::numbers_of(&call.scope.name)?;
        let disks = disk::find_any(&call.kernel, &group.disks);
        Ok(Some(Self { before, now: Numbers::of(group, &disks) }))
    }

    /// Refuses a disk behind a number where initiators know another one.
    pub fn allow(&self, group: &str) -> Result<(), Failure> {
        let before = self.before.iter();
        let moved: Vec<_> = before.flat_map(|its| self.now.moved_since(its)).collect();
        if moved.is_empty() {
            return Ok(());
        }
        let moved: Vec<_> = moved.iter().map(u16::to_string).collect();
        let cause = format!("another disk is behind LUN {}", moved.join(", "));
        Err(Failure::new(Kind::Configuration, KEEP, cause).advise(format!(
            "What initiators send to that number is meant for the disk that it had. If it \
             is meant so, and no initiator uses it: understudy accept {group}"
        )))
    }

    /// Has the cluster remember the numbers, where they have changed. If that fails, the
    /// group is served nevertheless.
    pub fn remember(&self, group: &str) {
        if self.before.as_ref() == Some(&self.now) {
            return;
        }
        if let Err(failure) = cluster::remember_numbers(group, &self.now) {
            log::warn!("{failure}; the next start cannot compare");
        }
    }
}
