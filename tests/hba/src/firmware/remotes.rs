//! Remote ports that are logged in, by the handles that driver and firmware call them.

use std::collections::{BTreeMap, BTreeSet};

use understudy_fabric::addr::Fcid;

use crate::chip::iocb::PortRoles;
use crate::wire::{Names, Vp};

/// Handles of well-known addresses: the name server is 7FCh.
const WELL_KNOWN: u16 = 0x7f0;
/// The highest handle that an N_Port may have.
const HIGHEST: u16 = 0x7ee;

/// How far a login has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// A PLOGI was handed to the driver, and waits for its word.
    PlogiPending,
    /// PLOGI is done.
    Plogi,
    /// A PRLI was handed to the driver.
    PrliPending,
    /// PRLI is done: commands may come.
    Prli,
}

impl Stage {
    /// Returns the state as the port database has it (PDS_* in qla_fw.h).
    pub(super) fn code(self) -> u8 {
        match self {
            Self::PlogiPending => 3,
            Self::Plogi => 4,
            Self::PrliPending => 5,
            Self::Prli => 6,
        }
    }
}

/// A port that is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remote {
    /// The port of the HBA.
    pub(super) vp: Vp,
    /// The handle.
    pub(super) handle: u16,
    /// The address of the other port.
    pub(super) id: Fcid,
    /// The names of the other port.
    pub(super) names: Names,
    /// How far the login has come.
    pub(super) stage: Stage,
    /// What the port can do, once PRLI has told.
    pub(super) roles: PortRoles,
    /// The largest payload that the port receives.
    pub(super) receive_size: u16,
}

/// All ports that are logged in, of all ports of the HBA.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    remotes: BTreeMap<(Vp, u16), Remote>,
}

impl Remotes {
    /// Returns the port with a handle.
    pub(super) fn get(&self, vp: Vp, handle: u16) -> Option<&Remote> {
        self.remotes.get(&(vp, handle))
    }

    /// Returns the port at an address.
    pub(super) fn at(&self, vp: Vp, id: Fcid) -> Option<&Remote> {
        self.of(vp).find(|remote| remote.id == id)
    }

    /// Returns the port at an address, to be changed.
    pub(super) fn at_mut(&mut self, vp: Vp, id: Fcid) -> Option<&mut Remote> {
        let of = self.remotes.range_mut((vp, 0)..=(vp, u16::MAX));
        of.map(|(_, remote)| remote).find(|remote| remote.id == id)
    }

    /// Returns all ports that are logged in to a port of the HBA.
    pub(super) fn of(&self, vp: Vp) -> impl Iterator<Item = &Remote> {
        self.remotes.range((vp, 0)..=(vp, u16::MAX)).map(|(_, remote)| remote)
    }

    /// Returns all ports that are logged in to a port of the HBA, without the fabric's own.
    pub(super) fn n_ports(&self, vp: Vp) -> impl Iterator<Item = &Remote> {
        self.of(vp).filter(|remote| !remote.id.is_well_known())
    }

    /// Adds a port. One with its handle is replaced.
    pub(super) fn insert(&mut self, remote: Remote) {
        self.remotes.insert((remote.vp, remote.handle), remote);
    }

    /// Removes the port with a handle.
    pub(super) fn remove(&mut self, vp: Vp, handle: u16) -> Option<Remote> {
        self.remotes.remove(&(vp, handle))
    }

    /// Removes all ports that are logged in to a port of the HBA.
    pub(super) fn remove_all(&mut self, vp: Vp) -> Vec<Remote> {
        let gone: Vec<Remote> = self.of(vp).copied().collect();
        self.remotes.retain(|key, _| key.0 != vp);
        gone
    }

    /// Returns the handles that are free, from the top down: the driver takes its own from
    /// the bottom up. Those above `after`, if that is a handle, come last. Handles of all
    /// ports of the HBA differ.
    pub(super) fn free_handles(&self, after: Option<u16>) -> impl Iterator<Item = u16> {
        let used: BTreeSet<u16> = self.remotes.keys().map(|key| key.1).collect();
        let first = after.unwrap_or(HIGHEST + 1);
        let all = (0..first).rev().chain((first..=HIGHEST).rev());
        all.filter(move |handle| !used.contains(handle))
    }
}

/// Returns the well-known address that a handle stands for.
pub(super) fn well_known(handle: u16) -> Option<Fcid> {
    (WELL_KNOWN..=0x7ff).contains(&handle).then(|| Fcid(0xff_f800 + u32::from(handle)))
}
