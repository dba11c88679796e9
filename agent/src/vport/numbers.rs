//! LUN numbers keep their disks, on whichever node the group starts: the cluster remembers
//! which disk initiators know behind each number, and how large it is.

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::Group;
use understudy_core::disks::disk;
use understudy_core::lio::numbers::{KEEP, Numbers};

use super::Call;
use crate::cluster;

/// A group's LUN numbers, as the cluster remembers them and as they are here.
pub struct Change {
    /// What the cluster remembers.
    pub before: Option<Numbers>,
    group: Group,
}

impl Change {
    /// Asks the cluster which numbers it remembers for a group. Returns nothing where the
    /// configuration cannot be read.
    ///
    /// # Errors
    /// The cluster does not say what it remembers.
    pub fn of(call: &Call) -> Result<Option<Self>, Failure> {
        let Ok(group) = call.scope.group.clone() else { return Ok(None) };
        let before = cluster::numbers_of(&call.scope.name)?;
        Ok(Some(Self { before, group }))
    }

    /// Refuses a disk behind a number where initiators know another one.
    pub fn allow(&self, call: &Call) -> Result<(), Failure> {
        let Some(before) = &self.before else { return Ok(()) };
        let moved = self.now(call).moved_since(before);
        if moved.is_empty() {
            return Ok(());
        }
        let moved: Vec<_> = moved.iter().map(u16::to_string).collect();
        let cause = format!("another disk is behind LUN {}", moved.join(", "));
        Err(Failure::new(Kind::Configuration, KEEP, cause).advise(format!(
            "What initiators send to that number is meant for the disk that it had. If it \
             is meant so, and no initiator uses it: understudy accept {}",
            self.group.name
        )))
    }

    /// Has the cluster remember the numbers as they are here now, where they have changed. If
    /// that fails, the group is served nevertheless.
    pub fn remember(&self, call: &Call) {
        self.remember_if(call, |_, _| true);
    }

    /// Has the cluster remember the numbers as they are here now, if they are as is wanted.
    fn remember_if(
        &self,
        call: &Call,
        wanted: impl Fn(&Option<Numbers>, &Numbers) -> bool,
    ) {
        let mut now = self.now(call);
        if let Some(before) = &self.before {
            now.keep_sizes(before);
        }
        if self.before.as_ref() == Some(&now) || !wanted(&self.before, &now) {
            return;
        }
        if let Err(failure) = cluster::remember_numbers(&self.group.name, &now) {
            log::warn!("{failure}; the next start cannot compare");
        }
    }

    /// Returns the numbers of the disks that are here now: some may have come meanwhile.
    fn now(&self, call: &Call) -> Numbers {
        let disks = disk::find_any(call.kernel(), &self.group.disks);
        Numbers::of(call.kernel(), &self.group, &disks)
    }
}

/// Has the cluster remember the numbers of a group that is served, after a change. If that
/// fails, the next start compares with the numbers from before.
pub fn remember(call: &Call) {
    match Change::of(call) {
        Ok(change) => change.iter().for_each(|its| its.remember(call)),
        Err(failure) => log::warn!("{failure}"),
    }
}

/// Has the cluster remember that a disk of a group that is served has grown, where nothing
/// else has changed.
pub fn remember_growth(call: &Call) {
    let grown = |before: &Option<Numbers>, now: &Numbers| {
        before.as_ref().is_some_and(|before| now.has_grown_since(before))
    };
    match Change::of(call) {
        Ok(change) => change.iter().for_each(|its| its.remember_if(call, grown)),
        Err(failure) => log::warn!("{failure}"),
    }
}
