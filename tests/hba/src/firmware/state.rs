//! What the firmware remembers until the chip is reset.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_fabric::addr::Fcid;
use understudy_fabric::wwn::Wwn;

use crate::chip::{Requests, Responses};
use crate::wire::{ExchangeId, LoggedIn, Names, Vp};

use super::Hba;
use super::exchanges::Pending;
use super::initiator::Issued;
use super::remotes::{Remote, Remotes};
use super::setup::Setup;
use super::target::Command;

/// A virtual port that the driver has enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VirtualPort {
    /// The port's names.
    pub(super) names: Names,
    /// Whether the port serves as a target.
    pub(super) target: bool,
    /// Whether the port is an initiator.
    pub(super) initiator: bool,
    /// The address that the driver was last told.
    pub(super) told: Option<Fcid>,
}

/// An ELS that the driver knows about, and that waits for its word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// Who sent it. The driver may end an older login of that port before its word comes,
    /// so this is a copy.
    pub(super) remote: Remote,
    /// The ELS.
    pub(super) payload: Vec<u8>,
}

/// An end of virtual ports that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disabling {
    /// The VP_CTRL to answer.
    pub(super) entry: crate::fields::Entry,
    pub(super) origin: super::exchanges::Origin,
    /// The ports whose logout is not done.
    pub(super) left: BTreeSet<u8>,
}

/// What the firmware remembers.
#[derive(Debug, Default)]
pub(super) struct State {
    /// How the driver started the firmware, once it has.
    pub(super) setup: Option<Setup>,
    pub(super) requests: Requests,
    /// Up to where the driver has filled the request ring.
    pub(super) requests_end: u32,
    pub(super) responses: Responses,
    pub(super) atios: Responses,
    /// The login of the physical port.
    pub(super) login: Option<LoggedIn>,
    /// Whether the driver has still to be told that its ports may be used.
    pub(super) update_owed: bool,
    /// When a login that was refused is tried again.
    pub(super) retry_login: Option<Duration>,
    /// The virtual ports, by index.
    pub(super) vports: BTreeMap<u8, VirtualPort>,
    pub(super) disabling: Vec<Disabling>,
    pub(super) remotes: Remotes,
    /// The handle that was given last to a port that logs in.
    last_handle: Option<u16>,
    /// Requests of ours that wait for an answer.
    pub(super) pending: HashMap<ExchangeId, Pending>,
    /// ELS of others that wait for the driver.
    pub(super) notices: HashMap<ExchangeId, Notice>,
    /// Commands of initiators.
    pub(super) commands: BTreeMap<ExchangeId, Command>,
    /// Commands of ours.
    pub(super) issued: BTreeMap<ExchangeId, Issued>,
    /// What targets ask for of commands of ours, and what cannot be sent yet: the exchange,
    /// the offset, the length.
    pub(super) wanted: VecDeque<(ExchangeId, u32, u32)>,
    /// Entries that an ABTS will end, and when.
    pub(super) ending: Vec<(Duration, ExchangeId)>,
    /// ABTS that wait for the driver: the exchange that each is about.
    pub(super) aborts: HashMap<ExchangeId, Option<ExchangeId>>,
}

impl State {
    /// Returns a handle for a port that has sent a PLOGI: the highest that is free, or the
    /// next one in turn.
    pub(super) fn take_handle(&mut self, in_turn: bool) -> Option<u16> {
        let waits =
            |handle: u16| self.notices.values().any(|n| n.remote.handle == handle);
        let after = self.last_handle.filter(|_| in_turn);
        let handle = self.remotes.free_handles(after).find(|handle| !waits(*handle))?;
        self.last_handle = Some(handle);
        Some(handle)
    }

    /// Whether a port of the HBA serves as a target.
    pub(super) fn is_target(&self, vp: Vp) -> bool {
        match vp {
            Vp::PHYSICAL => self.setup.is_some_and(|setup| setup.target),
            Vp(index) => {
                let ring = self.setup.is_some_and(|setup| setup.target);
                ring && self.vports.get(&index).is_some_and(|vport| vport.target)
            }
        }
    }

    /// Whether a port of the HBA is an initiator.
    pub(super) fn is_initiator(&self, vp: Vp) -> bool {
        let setup = self.setup.is_some_and(|setup| setup.initiator);
        match vp {
            Vp::PHYSICAL => setup,
            Vp(index) => {
                setup && self.vports.get(&index).is_some_and(|vport| vport.initiator)
            }
        }
    }

    /// Returns the names of a port of the HBA.
    pub(super) fn names(&self, vp: Vp) -> Option<Names> {
        match vp {
            Vp::PHYSICAL => self.setup.map(|setup| setup.names),
            Vp(index) => self.vports.get(&index).map(|vport| vport.names),
        }
    }
}

/// A port of the HBA, for people and tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortState {
    /// The port's index: 0 is the physical one.
    pub vp: u8,
    /// The name of the port.
    pub wwpn: Wwn,
    /// The address, if the port is logged in.
    pub fcid: Option<Fcid>,
    /// Whether the port serves as a target.
    pub target: bool,
    /// The ports that are logged in to it.
    pub sessions: Vec<SessionState>,
}

/// A port that is logged in to a port of the HBA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// The address of the other port.
    pub fcid: Fcid,
    /// The name of the other port.
    pub wwpn: Wwn,
    /// The handle of the other port.
    pub handle: u16,
    /// The state of the login: 4 after PLOGI, 6 after PRLI.
    pub state: u8,
    /// How many commands of the other port have not ended.
    pub commands: usize,
}

impl Hba {
    /// Returns the HBA's ports, and who is logged in to them.
    pub fn ports(&self) -> Vec<PortState> {
        let virtuals = self.state.vports.keys().map(|index| Vp(*index));
        let vps = std::iter::once(Vp::PHYSICAL).chain(virtuals);
        vps.filter_map(|vp| {
            let names = self.state.names(vp)?;
            let sessions = self.state.remotes.n_ports(vp).map(|remote| SessionState {
                fcid: remote.id,
                wwpn: remote.names.wwpn,
                handle: remote.handle,
                state: remote.stage.code(),
                commands: self.commands_of(vp, remote.id).len(),
            });
            Some(PortState {
                vp: vp.0,
                wwpn: names.wwpn,
                fcid: self.wire.id(vp),
                target: self.state.is_target(vp),
                sessions: sessions.collect(),
            })
        })
        .collect()
    }
}
