//! Counts of what happened in all schedules together: a simulation in which nothing goes
//! wrong proves nothing.

use std::ops::AddAssign;

#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub schedules: u64,
    /// Schedules in which nothing goes wrong.
    pub calm: u64,
    /// Schedules in a fabric in which the nodes do not see each other's ports.
    pub zoned: u64,
    /// Actions that were answered with success, and those that were not.
    pub starts: [u64; 2],
    pub stops: [u64; 2],
    pub monitors: [u64; 2],
    pub reloads: [u64; 2],
    /// Schedules in which configurations are edited, edits, those that are wrong, and LUNs that
    /// a reload has taken away.
    pub edited: u64,
    pub edits: u64,
    pub wrong_edits: u64,
    pub luns_gone: u64,
    pub writes: u64,
    /// Keys that were left on a disk by a stop that could not give them up.
    pub keys_left: u64,
    /// Keys that an initiator was told are registered, in groups whose registrations
    /// outlive a node.
    pub registered: u64,
    pub agents_killed: u64,
    /// Operations that were to fail or to hang.
    pub faults: u64,
    pub messages_lost: u64,
    pub power_cuts: u64,
    /// Paths to disks that failed for a while, one of two.
    pub paths_lost: u64,
    /// Paths that left the node, and how many of these came back under another name.
    pub paths_left: u64,
    pub paths_renamed: u64,
    /// Disks that have left a node for a while: all, those that a node served, those of a
    /// group that an action was under way for, and those that came back under another name.
    pub disks_left: u64,
    pub left_in_service: u64,
    pub left_in_action: u64,
    pub renamed: u64,
    /// Errors that initiators met, of LUNs whose disks had left.
    pub errors: u64,
    /// Schedules in which disks leave, or keepers die, and nothing else goes wrong.
    pub disks_alone: u64,
    /// Answers that were given while nothing had gone wrong but disks and keepers: nobody was
    /// fenced until then, and nothing had failed for another reason.
    pub unspoilt: u64,
    /// Keepers of initiators' registrations that have died, and that stood still for a while.
    pub keepers_died: u64,
    pub keepers_still: u64,
    /// Stops that failed because a registration waited for such a keeper.
    pub stuck: u64,
    /// Disks that something else on an idle node had for a while.
    pub held: u64,
    pub partitions: u64,
    pub fenced: u64,
    /// How often fencing said that a node was off without turning it off.
    pub lies: u64,
    /// How often a name was seen logged in twice, which only a lie of fencing allows.
    pub doubled: u64,
    /// Late writes to a disk that nobody owned, by nodes that should have been fenced;
    /// see [`understudy_sim::San::unguarded`].
    pub unguarded: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let add = |a: [u64; 2], b: [u64; 2]| [a[0] + b[0], a[1] + b[1]];
        self.schedules += other.schedules;
        self.calm += other.calm;
        self.zoned += other.zoned;
        self.starts = add(self.starts, other.starts);
        self.stops = add(self.stops, other.stops);
        self.monitors = add(self.monitors, other.monitors);
        self.reloads = add(self.reloads, other.reloads);
        self.edited += other.edited;
        self.edits += other.edits;
        self.wrong_edits += other.wrong_edits;
        self.luns_gone += other.luns_gone;
        self.writes += other.writes;
        self.keys_left += other.keys_left;
        self.registered += other.registered;
        self.agents_killed += other.agents_killed;
        self.faults += other.faults;
        self.messages_lost += other.messages_lost;
        self.power_cuts += other.power_cuts;
        self.paths_lost += other.paths_lost;
        self.paths_left += other.paths_left;
        self.paths_renamed += other.paths_renamed;
        self.disks_left += other.disks_left;
        self.left_in_service += other.left_in_service;
        self.left_in_action += other.left_in_action;
        self.renamed += other.renamed;
        self.errors += other.errors;
        self.disks_alone += other.disks_alone;
        self.unspoilt += other.unspoilt;
        self.keepers_died += other.keepers_died;
        self.keepers_still += other.keepers_still;
        self.stuck += other.stuck;
        self.held += other.held;
        self.partitions += other.partitions;
        self.fenced += other.fenced;
        self.lies += other.lies;
        self.doubled += other.doubled;
        self.unguarded += other.unguarded;
    }
}
