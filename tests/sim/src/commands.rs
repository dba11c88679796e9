//! Commands of initiators: what they ask for, and how far they have come.

use super::contents::Written;
use understudy_core::wwn::Wwn;

/// An initiator's commands to one LUN, one at a time: writes, which are numbered and go to
/// its place on the disk, and reads of that place.
#[derive(Debug, Clone)]
pub struct Flow {
    pub(super) initiator: Wwn,
    pub(super) port: Wwn,
    pub(super) lun: u16,
    /// The disk that the LUN is, by its first name.
    pub(super) disk: String,
    /// The unit serial number that the LUN had when it was met first.
    pub(super) serial: Option<String>,
    /// The last write that the initiator was told is done.
    pub acked: u64,
    /// Whether the next command is a read: after each login, and now and then.
    pub(super) looks: bool,
    /// The port that it is logged in to, of those with the name.
    pub(super) session: Option<usize>,
    /// Counts the sessions: the initiator knows nothing of commands of earlier ones.
    pub(super) epoch: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub flow: usize,
    pub(super) epoch: u64,
    pub(super) asks: Asks,
    pub node: usize,
    pub port: usize,
    pub disk: String,
    /// Whether the disk had no owner when it took the command in, from a node that should
    /// have been fenced.
    pub(super) unguarded: bool,
    /// Whether its disk has left the node, which it was or is given to.
    pub is_cut_off: bool,
    pub stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// The write of this number.
    Write(u64),
    Read,
}

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// From the initiator to the port.
    OnTheWire,
    /// With the port, and in no counter but that of its frames.
    Arrived,
    /// A WRITE that was accepted, whose data the initiator still has to send.
    AwaitsData,
    /// Handed to the block device, and in its `inflight` from now on.
    Submitted,
    /// With the disk, past its look at the reservation.
    InDisk,
    /// Given up by its initiator, and never ended: tcm_fc tries its answer again and again.
    Lost,
    /// The answer is on its way to the initiator.
    Answered(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Good,
    /// What the disk holds in the initiator's place.
    Data(Option<Written>),
    /// NOT READY, 04/0A: try again in a moment.
    Transitioning,
    /// RESERVATION CONFLICT.
    Conflict,
    /// A conflict that comes of a node that should have been fenced.
    Excused,
    /// NOT READY, 08/00: the disk has left the node.
    Error,
}

impl Flow {
    /// Returns where on a disk it writes: in a place of its initiator's and its port's, which
    /// each disk has.
    pub(super) fn place(&self) -> (Wwn, Wwn) {
        (self.initiator, self.port)
    }

    /// Stops the test unless what was found on the disk is the last write that this flow, of
    /// this number, was told is done, or the next one, whose answer is still to come.
    #[expect(clippy::panic, reason = "data that was acknowledged would be lost")]
    pub(super) fn must_hold(&self, number: usize, found: Option<Written>) {
        let sent = self.acked..=self.acked + 1;
        let its = |found: Written| found.flow == number && sent.contains(&found.number);
        if !found.map_or(self.acked == 0, its) {
            let Self { initiator, lun, disk, acked, .. } = self;
            panic!(
                "write {acked} of {initiator} to LUN {lun} ({disk}) is acknowledged, and \
                 there is {found:?}"
            );
        }
    }
}
