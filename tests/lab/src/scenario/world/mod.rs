//! The world of the scenarios: the running lab with both groups served at home, and what
//! can be done to it.

mod clocks;
mod invariants;
mod moves;
mod waits;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use understudy_fabric::client::Client;
use understudy_fabric::control::Event;

use crate::error::{Error, Result};
use crate::groups::{self, Group, Lun, groups};
use crate::guest::Guest;
use crate::install::{self, Install};
use crate::lab::Lab;
use crate::load::Load;
use crate::plan::{ARRAYS, Side, owner};
use crate::{progress, supervise};

pub use clocks::{ahead, wall};
pub use invariants::runs_on;
use waits::wait_served;

/// How long a takeover may take, from the power cut to the login. Emulated nodes start
/// their fence agent slowly.
pub const TAKEOVER: Duration = Duration::from_secs(120);

/// How long a node may take to come back after it was fenced.
pub const COME_BACK: Duration = Duration::from_secs(420);

/// How long a command to the cluster may take.
pub const COMMAND: Duration = Duration::from_secs(120);

/// The lab, ready for scenarios.
#[derive(Debug)]
pub struct World {
    /// The lab.
    pub lab: Arc<Lab>,
    /// The two groups that are always there.
    pub groups: [Group; 2],
    /// The load at the initiator.
    pub load: Load,
    /// The LUNs of the group in two fabrics, while that group is there.
    pub(super) paired: Mutex<Option<Vec<Lun>>>,
}

/// A point in the fabrics' event logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([u64; 2]);

impl Mark {
    /// The mark before all events.
    const BEGIN: Self = Self([0; 2]);

    fn of(self, side: Side) -> u64 {
        let Self([a, b]) = self;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The server holds the lab too.
        self.lab.stop();
    }
}

impl World {
    /// Boots the lab, installs the agent's package and has both groups served.
    ///
    /// # Errors
    /// The lab does not start, or a group is not served.
    pub fn start() -> Result<Self> {
        Self::on(Lab::start()?, install::packages)
    }

    /// Installs the agent on a lab that has been started, with `install`, and has both
    /// groups served.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn on(lab: Lab, install: Install) -> Result<Self> {
        let lab = Arc::new(lab);
        // A person can have a shell in a guest while a scenario runs.
        let served = Arc::clone(&lab);
        thread::spawn(move || supervise::serve(served));
        lab.wait_ready()?;
        progress::during("agent: installed on both nodes", || install(&lab, &ARRAYS))?;
        progress::during("groups: each served by its home", || {
            groups::configure(lab.guest(ARRAYS[0])?, &groups())?;
            for group in groups() {
                wait_served(&lab, Mark::BEGIN, &group, group.home)?;
            }
            Ok::<_, Error>(())
        })?;
        let load = Load::start(lab.host()?, &lab.folders().share());
        let world = Self { lab, groups: groups(), load, paired: Mutex::default() };
        progress::during("initiator: eight LUNs found", || world.luns())?;
        Ok(world)
    }

    /// Returns every LUN, with the name that its device has at the initiator now.
    ///
    /// # Errors
    /// The initiator does not find all LUNs.
    pub fn luns(&self) -> Result<Vec<Lun>> {
        groups::luns(self.lab.host()?, COMMAND)
    }

    /// Returns how often the storage nodes have been powered on, all counted together.
    ///
    /// # Errors
    /// Never in practice.
    pub fn boots(&self) -> Result<u32> {
        ARRAYS.iter().map(|name| Ok(self.node(name)?.boots())).sum()
    }

    /// Returns a storage node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn node(&self, name: &str) -> Result<&Guest> {
        self.lab.guest(name)
    }

    /// Returns a mark for the present end of the fabrics' event logs.
    ///
    /// # Errors
    /// A fabric does not answer.
    pub fn mark(&self) -> Result<Mark> {
        let last = |side| {
            let events = client(&self.lab, side)?.events(0).map_err(fabric)?;
            Ok::<_, Error>(events.last().map_or(0, |event| event.seq))
        };
        Ok(Mark([last(Side::A)?, last(Side::B)?]))
    }

    /// Returns a fabric's events since a mark.
    ///
    /// # Errors
    /// The fabric does not answer.
    pub fn events(&self, since: Mark, side: Side) -> Result<Vec<Event>> {
        client(&self.lab, side)?.events(since.of(side)).map_err(fabric)
    }

    /// Returns the guest on whose links all ports of a group are logged in now, and the
    /// address of the first port.
    ///
    /// # Errors
    /// A port is not logged in, or is on another guest than the first, or a fabric does
    /// not answer.
    pub fn serving(&self, group: &Group) -> Result<(String, String)> {
        let mut places = Vec::new();
        for (side, wwpn) in group.ports()? {
            let ports = client(&self.lab, side)?.ports().map_err(fabric)?;
            let port = ports.into_iter().find(|port| port.wwpn == wwpn);
            let port = port.ok_or_else(|| {
                Error::other(format!("{}: {wwpn} is logged in nowhere", group.name))
            })?;
            places.push((owner(&port.link).to_owned(), port.fcid.to_string()));
        }
        let mut places = places.into_iter();
        let first = places.next().ok_or_else(|| Error::other("a group without ports"))?;
        match places.find(|(link, _)| *link != first.0) {
            Some((link, _)) => {
                let (name, one) = (group.name, first.0);
                Err(Error::other(format!("{name} is on {one}, and on {link}")))
            }
            None => Ok(first),
        }
    }

    /// Returns the storage node that is not `node`.
    fn other(&self, node: &str) -> Result<&Guest> {
        let [a, b] = ARRAYS;
        self.node(if node == a { b } else { a })
    }

    /// Returns a storage node that takes commands.
    ///
    /// # Errors
    /// No storage node takes commands.
    pub fn any_node(&self) -> Result<&Guest> {
        let up = |name: &&&str| self.node(name).is_ok_and(|node| node.boot().is_some());
        let name = ARRAYS.iter().find(up);
        self.node(name.ok_or_else(|| Error::other("no storage node is up"))?)
    }
}

/// Returns a connection to a fabric.
///
/// # Errors
/// The fabric does not answer.
pub fn client(lab: &Lab, side: Side) -> Result<Client> {
    Client::connect(lab.fabric(side).control()).map_err(fabric)
}

/// Returns a fabric's error as an error of the lab.
pub fn fabric(error: understudy_fabric::client::ClientError) -> Error {
    Error::other(error.to_string())
}
