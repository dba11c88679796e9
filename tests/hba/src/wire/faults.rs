//! Faults: exchanges whose frames are lost or late.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_fabric::addr::Fcid;
use understudy_fabric::els;
use understudy_fabric::frame::{FcHeader, Fcoe};

use super::{Wire, bls, fcp};

/// How long the frames of an exchange that was struck are lost. Later its numbers may be
/// another exchange's.
const MEMORY: Duration = Duration::from_secs(60);
/// How many frames are held at most. More are lost.
const MOST_HELD: usize = 65_536;

/// A fault that strikes one exchange.
///
/// It strikes the next exchange with such a frame. From that frame on, all frames of the
/// exchange in that direction have this fate, for a minute at most if they are lost. An
/// ABTS ends the fault, and passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which way the frames go.
    pub direction: Direction,
    /// The frame that is struck first.
    pub frame: FrameKind,
    /// What happens to it, and to those that follow it.
    pub fate: Fate,
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the fabric to this HBA.
    In,
    /// From this HBA to the fabric.
    Out,
}

/// A kind of FC frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrameKind {
    /// An ELS, by its first byte.
    Els(u8),
    /// The answer to an ELS.
    ElsAnswer,
    /// FCP_CMND.
    Command,
    /// FCP_XFER_RDY.
    TransferReady,
    /// FCP_DATA.
    Data,
    /// FCP_RSP.
    Response,
    /// ABTS.
    Abort,
}

impl FrameKind {
    fn is(self, frame: &Fcoe<'_>) -> bool {
        let FcHeader { r_ctl, fc_type, .. } = frame.header;
        let fcp = |wanted| (r_ctl, fc_type) == (wanted, fcp::TYPE);
        match self {
            Self::Els(command) => {
                (r_ctl, fc_type) == (els::R_CTL_REQUEST, els::TYPE)
                    && frame.payload.first() == Some(&command)
            }
            Self::ElsAnswer => (r_ctl, fc_type) == (els::R_CTL_REPLY, els::TYPE),
            Self::Command => fcp(fcp::R_CTL_CMND),
            Self::TransferReady => fcp(fcp::R_CTL_XFER_RDY),
            Self::Data => fcp(fcp::R_CTL_DATA),
            Self::Response => fcp(fcp::R_CTL_RSP),
            Self::Abort => r_ctl == bls::R_CTL_ABTS,
        }
    }
}

/// What happens to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The frames are lost.
    Lost,
    /// The frames are held for so long, and then pass in order.
    Held(Duration),
}

/// What happens to one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passes,
    Lost,
    /// The frame is held until this time.
    Held(Duration),
}

/// The faults that wait, the exchanges that were struck, and the frames that are held.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<Fault>,
    struck: Vec<Struck>,
    held: Vec<Held>,
}

/// An exchange, by its ends and the originator's number.
type Key = (Fcid, Fcid, u16);

/// An exchange that was struck.
#[derive(Debug)]
struct Struck {
    direction: Direction,
    exchange: Key,
    since: Duration,
    /// The end of the hold, or `None` if frames are lost.
    until: Option<Duration>,
}

/// A frame that is held: of FCoE if it comes in, of Ethernet if it goes out.
#[derive(Debug)]
pub(super) struct Held {
    until: Duration,
    pub(super) direction: Direction,
    pub(super) bytes: Vec<u8>,
}

impl Faults {
    /// Returns what happens to a frame.
    pub(super) fn judge(
        &mut self,
        direction: Direction,
        frame: &Fcoe<'_>,
        now: Duration,
    ) -> Verdict {
        if self.waiting.is_empty() && self.struck.is_empty() {
            return Verdict::Passes;
        }
        let FcHeader { s_id, d_id, ox_id, .. } = frame.header;
        let (one, other) = if s_id < d_id { (s_id, d_id) } else { (d_id, s_id) };
        let exchange = (one, other, ox_id);
        let strikes =
            |fault: &Fault| fault.direction == direction && fault.frame.is(frame);
        if let Some(at) = self.waiting.iter().position(strikes) {
            let until = match self.waiting.remove(at).fate {
                Fate::Lost => None,
                Fate::Held(time) => Some(now.saturating_add(time)),
            };
            self.struck.retain(|struck| struck.exchange != exchange);
            self.struck.push(Struck { direction, exchange, since: now, until });
        } else if frame.header.r_ctl == bls::R_CTL_ABTS {
            self.struck.retain(|struck| struck.exchange != exchange);
        }
        self.struck.retain(|struck| {
            struck.until.is_some() || now < struck.since.saturating_add(MEMORY)
        });
        let struck = self
            .struck
            .iter()
            .find(|struck| (struck.direction, struck.exchange) == (direction, exchange));
        match struck.map(|struck| struck.until) {
            None => Verdict::Passes,
            Some(Some(until)) if self.held.len() < MOST_HELD => Verdict::Held(until),
            Some(_) => Verdict::Lost,
        }
    }

    /// Holds a frame.
    pub(super) fn hold(&mut self, until: Duration, direction: Direction, bytes: Vec<u8>) {
        self.held.push(Held { until, direction, bytes });
    }

    /// Returns the frames whose hold has ended, in order. Until this is called, later
    /// frames of their exchanges are held too, so that none passes another.
    pub(super) fn released(&mut self, now: Duration) -> Vec<Held> {
        self.struck.retain(|struck| struck.until.is_none_or(|until| now < until));
        let (released, held) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|held| held.until <= now);
        self.held = held;
        released
    }

    /// Returns when a hold ends.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.held.iter().map(|held| held.until).min()
    }

    /// Forgets what was struck, as when the link is lost. Faults that wait still wait.
    pub(super) fn forget(&mut self) {
        self.struck.clear();
        self.held.clear();
    }
}

/// # Faults
impl Wire {
    /// Adds a fault. Each strikes once.
    pub fn strike(&mut self, fault: Fault) {
        self.faults.waiting.push(fault);
    }

    /// Passes the frames on whose hold has ended.
    pub(super) fn release(&mut self, now: Duration) {
        for Held { direction, bytes, .. } in self.faults.released(now) {
            match direction {
                Direction::Out => self.frames.push(bytes),
                Direction::In => match Fcoe::decode(&bytes) {
                    Some(frame) => self.dispatch(&frame, now),
                    None => self.discard("held frame is damaged"),
                },
            }
        }
    }
}
