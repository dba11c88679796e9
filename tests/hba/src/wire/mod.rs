//! An HBA's side of the fabric: a pure state machine over Ethernet frames.
//!
//! Frames and the time go in by [`Wire::receive`] and [`Wire::tick`]. What is to be sent
//! comes out of [`Wire::take_frames`], and what firmware has to know out of
//! [`Wire::take_events`]. There are no sockets, no clock, no chip and no guest here.
//!
//! The time is a [`Duration`] since any fixed point. It never runs backwards.
//!
//! # What the wire does by itself
//!
//! - Discovery of a forwarder, keep-alives, and logins for the ports that firmware wants
//!   (FC-BB-5).
//! - ECHO, RLS, RTV, REC, RRQ and RSCN are answered (FC-LS). All other ELS are handed up.
//! - Frames that belong to no exchange are dropped and counted.
//! - An exchange that a fault strikes loses frames, or gets them late ([`Wire::strike`]).
//!
//! # What the wire leaves to firmware
//!
//! - Which remote ports are logged in: PLOGI, PRLI, LOGO are events. Firmware says what
//!   it learnt by [`Wire::set_receive_size`], and drops the exchanges of a login that has
//!   ended.
//! - Every decision about a command or an ABTS.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use understudy_fabric::addr::Mac;
//! use understudy_fabric::wwn::Wwn;
//! use understudy_hba::wire::{Names, Options, Vp, Wire};
//!
//! let names = Names { wwpn: Wwn(0x2100_0000_0000_0001), wwnn: Wwn(0x2000_0000_0000_0001) };
//! let mut wire = Wire::new(Options::new(Mac([2, 0, 0, 0, 0, 1]), names.wwnn));
//! let now = Duration::ZERO;
//! wire.link(true, now);
//! wire.login(Vp::PHYSICAL, names, now)?;
//! // The first frame looks for a forwarder. FLOGI follows when one has answered.
//! assert_eq!(wire.take_frames().len(), 1);
//! // If none answers, the next look is in two seconds.
//! assert_eq!(wire.deadline(), Some(Duration::from_secs(2)));
//! # Ok::<(), understudy_hba::wire::WireError>(())
//! ```

mod abort;
mod bls;
mod commands;
mod enode;
mod error;
mod event;
mod exchange;
mod faults;
pub mod fcp;
mod login;
mod loss;
mod options;
mod own_els;
mod port;
mod receive;
mod sequence;
mod services;
mod transmit;

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::els::MAX_PAYLOAD;
use understudy_fabric::frame::{ETHERTYPE_FCOE, ETHERTYPE_FIP, Ethernet};
use understudy_fabric::wwn::Wwn;

use abort::Abort;
use enode::{Discovery, Due};
use exchange::{Exchange, Exchanges, Kind};
use faults::Faults;
use port::Port;

pub use error::WireError;
pub use event::{
    AbortAnswer, Cause, DataFault, Event, LoggedIn, LogoutBy, Refusal, RscnPage,
};
pub use faults::{Direction, Fate, Fault, FrameKind};
pub use options::Options;

/// A port of the HBA, by its index. Index 0 is the physical port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vp(pub u8);

impl Vp {
    /// The physical port.
    pub const PHYSICAL: Self = Self(0);
}

/// An exchange. No two exchanges that are open at a time have one value, and a value
/// comes back only after thousands of other exchanges. It is never 0xffffffff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

/// The names of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The name of the port.
    pub wwpn: Wwn,
    /// The name of its node.
    pub wwnn: Wwn,
}

/// What has passed, and what was thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames that were received and dropped: damaged, foreign, of no exchange, or struck by
    /// a fault.
    pub discarded: u64,
}

/// An HBA's side of the fabric.
#[derive(Debug)]
pub struct Wire {
    options: Options,
    discovery: Discovery,
    ports: Vec<Port>,
    /// The OX_ID of the last FLOGI, FDISC or LOGO.
    fip_ox_id: u16,
    exchanges: Exchanges,
    /// The ABTS that wait for firmware.
    aborts: BTreeMap<ExchangeId, Abort>,
    last_abort: u16,
    /// The receive sizes of remote ports.
    sizes: BTreeMap<(Vp, Fcid), u16>,
    /// The receive size of the F_Port.
    fabric_size: u16,
    r_a_tov: Duration,
    faults: Faults,
    /// The time that the wire was last told.
    now: Duration,
    frames: Vec<Vec<u8>>,
    events: Vec<Event>,
    counters: Counters,
}

/// # The link and the time
impl Wire {
    /// Returns a wire whose link is down.
    pub fn new(options: Options) -> Self {
        Self {
            discovery: Discovery::Down,
            ports: vec![Port::OUT; usize::from(options.vports) + 1],
            fip_ox_id: 0,
            exchanges: Exchanges::new(options.exchanges),
            aborts: BTreeMap::new(),
            last_abort: 0,
            sizes: BTreeMap::new(),
            fabric_size: MAX_PAYLOAD,
            r_a_tov: options.r_a_tov,
            faults: Faults::default(),
            now: Duration::ZERO,
            frames: Vec::new(),
            events: Vec::new(),
            counters: Counters::default(),
            options,
        }
    }

    /// Notes that the link is up or down.
    pub fn link(&mut self, up: bool, now: Duration) {
        match (up, self.discovery) {
            (true, Discovery::Down) => {
                self.discovery = Discovery::Looking(now);
                self.tick(now);
            }
            (false, Discovery::Looking(_) | Discovery::Found(_)) => {
                self.discovery = Discovery::Down;
                self.frames.clear();
                self.link_lost();
            }
            _ => {}
        }
    }

    /// Takes an Ethernet frame.
    pub fn receive(&mut self, frame: &[u8], now: Duration) {
        self.now = now;
        self.counters.received += 1;
        if self.discovery == Discovery::Down {
            return self.discard("the link is down");
        }
        match Ethernet::decode(frame) {
            Some(ethernet) if ethernet.ethertype == ETHERTYPE_FIP => {
                self.receive_fip(ethernet, now);
            }
            Some(ethernet) if ethernet.ethertype == ETHERTYPE_FCOE => {
                self.receive_fc(ethernet, now);
            }
            _ => self.discard("neither FIP nor FCoE"),
        }
    }

    /// Does what is due. Hand in first what was received, and take the events before this:
    /// a keep-alive that waits in a socket is then not missed, and a port that firmware no
    /// longer wants is not logged in again.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        self.release(now);
        loop {
            match self.discovery.due(now) {
                Due::Nothing => break,
                Due::Solicit => self.solicit(Mac::ALL_FCFS),
                Due::Beat => self.send_beat(None),
                Due::Lost => self.link_lost(),
            }
        }
        for vp in self.indexes() {
            self.port_due(vp, now);
        }
        let is_late =
            |exchange: &Exchange| exchange.deadline.is_some_and(|end| now >= end);
        for exchange in self.exchanges.find(is_late) {
            self.overdue(exchange, now);
        }
    }

    /// Returns when [`tick`](Self::tick) has to be called next, or `None` if nothing will
    /// ever be due.
    pub fn deadline(&self) -> Option<Duration> {
        let ports = self.indexes().filter_map(|vp| self.port_deadline(vp));
        let others = [
            self.discovery.deadline(),
            self.exchanges.deadline(),
            self.faults.deadline(),
        ];
        ports.chain(others.into_iter().flatten()).min()
    }

    /// Returns the frames to send, in order. They are kept until they are taken, so take
    /// them after each call that may send.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames)
    }

    /// Returns what happened, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Returns the counts of frames.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Starts over, as a chip does that is reset: the fabric gets a LOGO for the physical
    /// port, and all ports, exchanges and events are forgotten. The link stays as it is.
    pub fn reset(&mut self, now: Duration) {
        self.forget_ports(now);
        for exchange in self.exchanges.find(|_| true) {
            self.exchanges.close(exchange);
        }
        self.aborts.clear();
        self.sizes.clear();
        self.faults.forget();
        self.events.clear();
    }
}

/// # Exchanges of any kind
impl Wire {
    /// Forgets an exchange. Nothing is sent, and later frames of it are dropped. Returns
    /// whether it was open.
    pub fn drop(&mut self, exchange: ExchangeId) -> bool {
        self.is_open(exchange) && self.exchanges.close(exchange).is_some()
    }

    /// Whether an exchange is open.
    pub fn is_open(&self, exchange: ExchangeId) -> bool {
        self.exchange(exchange).is_ok()
    }

    /// Returns how many exchanges are in use. Some are the wire's own, or rest after an
    /// ABTS.
    pub fn exchanges_in_use(&self) -> usize {
        self.exchanges.len()
    }
}

impl Wire {
    /// Handles the end of patience with an exchange.
    fn overdue(&mut self, id: ExchangeId, now: Duration) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        match exchange.kind {
            Kind::Request(..) => {
                if exchange.kind.is_known() {
                    let cause = Cause::Timeout;
                    self.events.push(Event::Ended { exchange: id, cause });
                }
                self.send_abort(id, false, now);
            }
            Kind::Aborting(_) => self.abort_ended(id, AbortAnswer::None, now),
            Kind::Resting => self.rested(id, now),
            Kind::Target { .. } => self.data_overdue(id),
            Kind::Arriving(_) | Kind::Els | Kind::Initiator { .. } => {
                self.end(id, Cause::Timeout);
            }
        }
    }

    /// Closes an exchange, and tells firmware why if it knows it.
    fn end(&mut self, exchange: ExchangeId, cause: Cause) {
        if self.exchanges.close(exchange).is_some_and(|e| e.kind.is_known()) {
            self.events.push(Event::Ended { exchange, cause });
        }
    }

    /// Returns an exchange that firmware knows.
    fn exchange(&self, id: ExchangeId) -> Result<&Exchange, WireError> {
        let known = self.exchanges.get(id).filter(|exchange| exchange.kind.is_known());
        known.ok_or(WireError::Unknown)
    }

    /// Returns an exchange that firmware knows, to send on it.
    fn exchange_mut(&mut self, id: ExchangeId) -> Result<&mut Exchange, WireError> {
        let exchange = self.exchanges.get_mut(id).filter(|e| e.kind.is_known());
        let exchange = exchange.ok_or(WireError::Unknown)?;
        if exchange.aborted { Err(WireError::Aborted) } else { Ok(exchange) }
    }

    /// Opens an exchange of ours.
    fn begin(
        &mut self,
        vp: Vp,
        remote: Fcid,
        kind: Kind,
    ) -> Result<ExchangeId, WireError> {
        let port = self.ports.get(usize::from(vp.0)).ok_or(WireError::NoPort)?;
        let local = port.id().ok_or(WireError::NotLoggedIn)?;
        self.exchanges.begin(vp, local, remote, kind).ok_or(WireError::NoExchange)
    }

    fn discard(&mut self, why: &str) {
        log::debug!("frame dropped: {why}");
        self.counters.discarded += 1;
    }
}
