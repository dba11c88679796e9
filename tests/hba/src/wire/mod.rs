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
//!
//! # What the wire leaves to firmware
//!
//! - Which remote ports are logged in: PLOGI, PRLI, LOGO are events. Firmware says what
//!   it learnt by [`Wire::set_receive_size`] and [`Wire::end_exchanges`].
//! - Every decision about a command or an ABTS.

mod event;
mod options;

use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::Reject;
use understudy_fabric::wwn::Wwn;

pub use event::{
    AbortAnswer, Cause, DataFault, Event, LoggedIn, LogoutBy, Refusal, RscnPage,
};
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

/// Why a wire does not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No port has this index.
    #[error("no port has this index")]
    NoPort,
    /// The port is not logged in.
    #[error("the port is not logged in")]
    NotLoggedIn,
    /// All exchanges are in use.
    #[error("all exchanges are in use")]
    NoExchange,
    /// No such exchange is open.
    #[error("no such exchange is open")]
    Unknown,
    /// The other end wants the exchange aborted, so nothing more is sent on it.
    #[error("the other end aborts the exchange")]
    Aborted,
    /// The exchange is of another kind, or is not at a point where this may be done.
    #[error("the exchange is of another kind, or not at this point")]
    WrongState,
    /// The bytes do not fit into what was asked for.
    #[error("the bytes do not fit into what was asked for")]
    TooLong,
}

/// What has passed, and what was thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames that were dropped: damaged, foreign, or of no exchange.
    pub discarded: u64,
}

/// An HBA's side of the fabric.
#[derive(Debug)]
pub struct Wire {
    options: Options,
}

/// # The link and the time
impl Wire {
    /// Returns a wire whose link is down.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Notes that the link is up or down.
    pub fn link(&mut self, up: bool, now: Duration) {
        let _ = (up, now);
    }

    /// Takes an Ethernet frame.
    pub fn receive(&mut self, frame: &[u8], now: Duration) {
        let _ = (frame, now);
    }

    /// Does what is due. Hand in first what was received, and take the events before this:
    /// a keep-alive that waits in a socket is then not missed, and a port that firmware no
    /// longer wants is not logged in again.
    pub fn tick(&mut self, now: Duration) {
        let _ = now;
    }

    /// Returns when [`tick`](Self::tick) has to be called next, or `None` if nothing will
    /// ever be due.
    pub fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Returns the frames to send, in order.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Returns what happened, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// Returns the counts of frames.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Starts over, as a chip does that is reset: the fabric gets a LOGO for the physical
    /// port, and all ports, exchanges and events are forgotten. The link stays as it is.
    pub fn reset(&mut self, now: Duration) {
        let _ = now;
    }
}

/// # Logins to the fabric
impl Wire {
    /// Wants a port logged in, now and after each loss of the link, until
    /// [`logout`](Self::logout). The physical port sends FLOGI as soon as there is a
    /// forwarder, a virtual port FDISC as soon as the physical port is logged in. The
    /// answer is [`Event::LoggedIn`] or [`Event::Refused`]. A port that is logged in
    /// already is logged in again, with a new FDISC.
    pub fn login(
        &mut self,
        vp: Vp,
        names: Names,
        now: Duration,
    ) -> Result<(), WireError> {
        let _ = (vp, names, now);
        Err(WireError::NoPort)
    }

    /// Wants a port logged out. Its exchanges end, it sends LOGO to the fabric, and
    /// [`Event::LoggedOut`] comes when that is answered, or at once if the port was not
    /// logged in. LOGOs to other ports are firmware's to send, before this. The physical
    /// port takes the logins of the virtual ports along.
    pub fn logout(&mut self, vp: Vp, now: Duration) -> Result<(), WireError> {
        let _ = (vp, now);
        Err(WireError::NoPort)
    }

    /// Returns the address of a port that is logged in.
    pub fn id(&self, vp: Vp) -> Option<Fcid> {
        let _ = vp;
        None
    }

    /// Returns the port at an address.
    pub fn port_at(&self, id: Fcid) -> Option<Vp> {
        let _ = id;
        None
    }

    /// Notes the receive size that a remote port stated in its PLOGI or LS_ACC. Data to
    /// ports without one goes out in frames of the size that the fabric takes.
    pub fn set_receive_size(&mut self, vp: Vp, remote: Fcid, size: u16) {
        let _ = (vp, remote, size);
    }

    /// Ends all exchanges with a remote port, as its LOGO or PLOGI does, and forgets its
    /// receive size. Returns them; no event tells of them. Nothing is sent.
    pub fn end_exchanges(&mut self, vp: Vp, remote: Fcid) -> Vec<ExchangeId> {
        let _ = (vp, remote);
        Vec::new()
    }
}

/// # Extended link services and common transport
impl Wire {
    /// Sends an ELS. The answer comes as [`Event::ElsAnswer`], its absence as
    /// [`Event::Ended`] after twice R_A_TOV (FC-LS).
    pub fn send_els(
        &mut self,
        vp: Vp,
        d_id: Fcid,
        payload: &[u8],
        now: Duration,
    ) -> Result<ExchangeId, WireError> {
        let _ = (vp, d_id, payload, now);
        Err(WireError::NoPort)
    }

    /// Sends a CT request, with its CT header. The answer comes as [`Event::CtAnswer`],
    /// its absence as [`Event::Ended`] after three times R_A_TOV (FC-GS).
    pub fn send_ct(
        &mut self,
        vp: Vp,
        d_id: Fcid,
        payload: &[u8],
        now: Duration,
    ) -> Result<ExchangeId, WireError> {
        let _ = (vp, d_id, payload, now);
        Err(WireError::NoPort)
    }

    /// Answers an ELS, which ends its exchange.
    pub fn answer_els(
        &mut self,
        exchange: ExchangeId,
        payload: &[u8],
    ) -> Result<(), WireError> {
        let _ = (exchange, payload);
        Err(WireError::Unknown)
    }

    /// Answers an ELS with LS_RJT, which ends its exchange.
    pub fn reject_els(
        &mut self,
        exchange: ExchangeId,
        reject: Reject,
    ) -> Result<(), WireError> {
        self.answer_els(exchange, &reject.encode())
    }
}

/// # Commands, as a target
impl Wire {
    /// Sends data: to the initiator of a command, as much as is read; or, on a command of
    /// ours, what [`Event::DataWanted`] asked for. `offset` counts from the beginning of
    /// the whole transfer. The bytes go out at once, as one sequence.
    pub fn send_data(
        &mut self,
        exchange: ExchangeId,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), WireError> {
        let _ = (exchange, offset, bytes);
        Err(WireError::Unknown)
    }

    /// Asks an initiator for data, by FCP_XFER_RDY. It comes as [`Event::Data`], frame by
    /// frame, and then [`Event::DataDone`]. If not all is here by `deadline`, that is an
    /// error. One such question may be open at a time.
    pub fn ask_data(
        &mut self,
        exchange: ExchangeId,
        offset: u32,
        length: u32,
        deadline: Duration,
    ) -> Result<(), WireError> {
        let _ = (exchange, offset, length, deadline);
        Err(WireError::Unknown)
    }

    /// Sends an FCP_RSP, which ends the exchange.
    pub fn send_response(
        &mut self,
        exchange: ExchangeId,
        payload: &[u8],
    ) -> Result<(), WireError> {
        let _ = (exchange, payload);
        Err(WireError::Unknown)
    }

    /// Forgets an exchange. Nothing is sent, and later frames of it are dropped. Returns
    /// whether it was open.
    pub fn drop(&mut self, exchange: ExchangeId) -> bool {
        let _ = exchange;
        false
    }

    /// Whether an exchange is open.
    pub fn is_open(&self, exchange: ExchangeId) -> bool {
        let _ = exchange;
        false
    }

    /// Answers an ABTS. To accept it ends the exchange that it is about, if that is still
    /// open. An error is `Err((reason, explanation))` for the BA_RJT.
    pub fn answer_abort(
        &mut self,
        abort: ExchangeId,
        answer: Result<(), (u8, u8)>,
    ) -> Result<(), WireError> {
        let _ = (abort, answer);
        Err(WireError::Unknown)
    }
}

/// # Commands, as an initiator
impl Wire {
    /// Sends an FCP_CMND. [`Event::Data`] and [`Event::DataWanted`] follow, then
    /// [`Event::Response`]. How long it may take is firmware's to say, by
    /// [`abort`](Self::abort).
    pub fn send_command(
        &mut self,
        vp: Vp,
        d_id: Fcid,
        cmnd: &[u8],
    ) -> Result<ExchangeId, WireError> {
        let _ = (vp, d_id, cmnd);
        Err(WireError::NoPort)
    }

    /// Sends ABTS for an exchange, of any kind. [`Event::AbortDone`] ends it, at the latest
    /// after twice R_A_TOV. Until then nothing else is told of it.
    pub fn abort(
        &mut self,
        exchange: ExchangeId,
        now: Duration,
    ) -> Result<(), WireError> {
        let _ = (exchange, now);
        Err(WireError::Unknown)
    }
}
