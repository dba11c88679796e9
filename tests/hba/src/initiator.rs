//! A small initiator, for tests: a port on the fabric that logs in to one target and sends
//! it commands. It is a state machine as the [`Hba`](crate::firmware::Hba) is, without a
//! chip.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::ct;
use understudy_fabric::els::{self, Login, command};
use understudy_fabric::wwn::Wwn;

use crate::els::{PRLI, plogi, prli};
use crate::wire::{
    AbortAnswer, Event, ExchangeId, Names, Options, Vp, Wire, WireError, fcp,
};

/// The FC-4 feature of an initiator, for the name server.
const INITIATOR: u8 = 2;
/// Service parameter word 3 of an initiator's PRLI.
const WORD3: u16 = 0x22;

/// How far the login to the target has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Nothing has been asked for, or the login has ended.
    None,
    /// The name server or the target has not answered yet.
    Pending,
    /// The target takes commands at this address.
    Ready(Fcid),
    /// The name server does not know the target, or the target has refused.
    Refused,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By a response, with the data that was read.
    Response(fcp::Response, Vec<u8>),
    /// By an abort of the initiator's.
    Aborted(AbortAnswer),
    /// By the end of the login, or by damage.
    Lost,
}

/// A command that has not ended.
#[derive(Debug, Default)]
struct Open {
    write: Vec<u8>,
    read: Vec<u8>,
}

/// A port that logs in to one target.
#[derive(Debug)]
pub struct Initiator {
    wire: Wire,
    names: Names,
    target: Option<Wwn>,
    session: Session,
    /// The ELS and CT requests that have not been answered, by what they are about.
    requests: BTreeMap<ExchangeId, Request>,
    open: BTreeMap<ExchangeId, Open>,
    outcomes: BTreeMap<ExchangeId, Outcome>,
    /// Whether data that a target asks for is held back.
    hold: bool,
    held: Vec<(ExchangeId, u32, u32)>,
    now: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Request {
    NameServer,
    Registration,
    Find,
    Plogi(Fcid),
    Prli(Fcid),
    Logo,
}

impl Initiator {
    /// Returns an initiator without a link.
    pub fn new(names: Names) -> Self {
        let [.., a, b, c, d] = names.wwpn.0.to_be_bytes();
        let enode = Mac([0x02, 0x1a, a, b, c, d]);
        Self {
            wire: Wire::new(Options::new(enode, names.wwnn)),
            names,
            target: None,
            session: Session::None,
            requests: BTreeMap::new(),
            open: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            hold: false,
            held: Vec::new(),
            now: Duration::ZERO,
        }
    }

    /// Plugs the cable in, and logs in to the fabric.
    pub fn plug(&mut self, now: Duration) {
        self.now = now;
        self.wire.link(true, now);
        // The physical port is always there.
        let _ = self.wire.login(Vp::PHYSICAL, self.names, now);
        self.settle();
    }

    /// Takes an Ethernet frame.
    pub fn receive(&mut self, frame: &[u8], now: Duration) {
        self.now = now;
        self.wire.receive(frame, now);
        self.settle();
    }

    /// Does what is due now.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        self.settle();
        self.wire.tick(now);
        self.settle();
    }

    /// Returns when [`Self::tick`] has to be called next.
    pub fn deadline(&self) -> Option<Duration> {
        self.wire.deadline()
    }

    /// Returns the frames to send, in order.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        self.wire.take_frames()
    }

    /// Whether the port is logged in to the fabric.
    pub fn is_online(&self) -> bool {
        self.wire.id(Vp::PHYSICAL).is_some()
    }

    /// Returns how far the login to the target has come.
    pub fn session(&self) -> Session {
        self.session
    }

    /// Asks the name server for a target, and logs in to it.
    pub fn log_in(&mut self, target: Wwn) {
        self.target = Some(target);
        self.session = Session::Pending;
        self.els(
            Fcid::DIRECTORY,
            &plogi(command::PLOGI, self.names),
            Request::NameServer,
        );
    }

    /// Logs out of the target.
    pub fn log_out(&mut self) {
        if let Session::Ready(id) = self.session {
            let fcid = self.wire.id(Vp::PHYSICAL).unwrap_or(Fcid::NONE);
            let logout = els::Logout { fcid, wwpn: self.names.wwpn };
            self.els(id, &logout.encode(), Request::Logo);
        }
    }

    /// Sends a command that moves no data, or reads `read` bytes, or writes `write`.
    pub fn send(
        &mut self,
        lun: u16,
        cdb: &[u8],
        read: u32,
        write: &[u8],
    ) -> Result<ExchangeId, WireError> {
        let length = if write.is_empty() {
            read
        } else {
            u32::try_from(write.len()).map_err(|_| WireError::TooLong)?
        };
        let transfer = fcp::Transfer { write: !write.is_empty(), read: read > 0, length };
        let mut whole = [0; 16];
        whole.iter_mut().zip(cdb).for_each(|(to, from)| *to = *from);
        let cmnd = fcp::Command { transfer, cdb: whole, ..fcp::Command::default() };
        let exchange = self.send_cmnd(lun, cmnd)?;
        self.open.insert(exchange, Open { write: write.to_vec(), read: Vec::new() });
        Ok(exchange)
    }

    /// Sends a task management function, by its bit in an FCP_CMND: 10h LUN reset.
    pub fn manage(&mut self, lun: u16, function: u8) -> Result<ExchangeId, WireError> {
        let cmnd = fcp::Command { function, ..fcp::Command::default() };
        let exchange = self.send_cmnd(lun, cmnd)?;
        self.open.insert(exchange, Open::default());
        Ok(exchange)
    }

    /// Aborts a command.
    pub fn abort(&mut self, exchange: ExchangeId) -> Result<(), WireError> {
        self.wire.abort(exchange, self.now)
    }

    /// Holds back the data that targets ask for, or sends it.
    pub fn hold_data(&mut self, hold: bool) {
        self.hold = hold;
        if !hold {
            for (exchange, offset, length) in std::mem::take(&mut self.held) {
                self.send_data(exchange, offset, length);
            }
        }
    }

    /// Returns how many times targets have asked for data that is held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Returns how a command ended, once.
    pub fn take_outcome(&mut self, exchange: ExchangeId) -> Option<Outcome> {
        self.outcomes.remove(&exchange)
    }

    fn send_cmnd(
        &mut self,
        lun: u16,
        cmnd: fcp::Command,
    ) -> Result<ExchangeId, WireError> {
        let Session::Ready(id) = self.session else { return Err(WireError::NotLoggedIn) };
        let [high, low] = lun.to_be_bytes();
        let cmnd = fcp::Command { lun: [high, low, 0, 0, 0, 0, 0, 0], ..cmnd };
        self.wire.send_command(Vp::PHYSICAL, id, &cmnd.encode())
    }

    fn settle(&mut self) {
        loop {
            let events = self.wire.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                self.on_wire(event);
            }
        }
    }

    fn on_wire(&mut self, event: Event) {
        match event {
            Event::ElsAnswer { exchange, payload } => {
                self.els_answered(exchange, &payload)
            }
            Event::CtAnswer { exchange, payload } => self.ct_answered(exchange, &payload),
            Event::ElsReceived { exchange, header, payload, .. } => {
                let logo = payload.first() == Some(&command::LOGO);
                let answer =
                    if logo { els::accept() } else { els::Reject::UNSUPPORTED.encode() };
                // The port may have lost its login since.
                let _ = self.wire.answer_els(exchange, &answer);
                if logo && self.session == Session::Ready(header.s_id) {
                    self.session_lost();
                }
            }
            Event::Data { exchange, bytes, .. } => {
                if let Some(open) = self.open.get_mut(&exchange) {
                    open.read.extend(bytes);
                }
            }
            Event::DataWanted { exchange, offset, length } if self.hold => {
                self.held.push((exchange, offset, length));
            }
            Event::DataWanted { exchange, offset, length } => {
                self.send_data(exchange, offset, length);
            }
            Event::Response { exchange, payload, received } => {
                let open = self.open.remove(&exchange).unwrap_or_default();
                let outcome = match (fcp::Response::decode(&payload), received) {
                    (Some(response), Ok(_)) => Outcome::Response(response, open.read),
                    _ => Outcome::Lost,
                };
                self.outcomes.insert(exchange, outcome);
            }
            Event::AbortDone { exchange, answer } => {
                self.open.remove(&exchange);
                self.outcomes.insert(exchange, Outcome::Aborted(answer));
            }
            Event::Ended { exchange, .. } => {
                if self.open.remove(&exchange).is_some() {
                    self.outcomes.insert(exchange, Outcome::Lost);
                }
                if self.requests.remove(&exchange).is_some() {
                    self.session = Session::Refused;
                }
            }
            Event::LoggedOut { .. } | Event::LinkLost => self.session_lost(),
            _ => {}
        }
    }

    fn els_answered(&mut self, exchange: ExchangeId, payload: &[u8]) {
        let accepted = payload.first() == Some(&command::LS_ACC);
        match self.requests.remove(&exchange) {
            Some(Request::NameServer) if accepted => {
                let fcid = self.wire.id(Vp::PHYSICAL).unwrap_or(Fcid::NONE);
                let types = ct::one_type(fcp::TYPE);
                self.ct(&ct::Request::RftId { fcid, types }, Request::Registration);
                let (features, fc4) = (INITIATOR, fcp::TYPE);
                let features = ct::Request::RffId { fcid, features, fc4 };
                self.ct(&features, Request::Registration);
                if let Some(wwpn) = self.target {
                    self.ct(&ct::Request::GidPn { wwpn }, Request::Find);
                }
            }
            Some(Request::Plogi(id)) if accepted => {
                if let Some(login) = Login::decode(payload) {
                    self.wire.set_receive_size(Vp::PHYSICAL, id, login.receive_size);
                }
                self.els(id, &prli(PRLI, WORD3), Request::Prli(id));
            }
            Some(Request::Prli(id)) if accepted => self.session = Session::Ready(id),
            Some(Request::Logo) => self.session_lost(),
            Some(_) => self.session = Session::Refused,
            None => {}
        }
    }

    fn ct_answered(&mut self, exchange: ExchangeId, payload: &[u8]) {
        let Some(Request::Find) = self.requests.remove(&exchange) else { return };
        let id = match ct::decode_answer(payload) {
            Some(Ok(body)) => body.first_chunk::<4>().map(|id| u32::from_be_bytes(*id)),
            _ => None,
        };
        match id.map(|id| Fcid(id & 0xff_ffff)) {
            Some(id) => {
                self.els(id, &plogi(command::PLOGI, self.names), Request::Plogi(id));
            }
            None => self.session = Session::Refused,
        }
    }

    fn session_lost(&mut self) {
        self.session = Session::None;
        self.held.clear();
        for (exchange, _) in std::mem::take(&mut self.open) {
            self.wire.drop(exchange);
            self.outcomes.insert(exchange, Outcome::Lost);
        }
    }

    fn send_data(&mut self, exchange: ExchangeId, offset: u32, length: u32) {
        let range = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
        let open = self.open.get(&exchange);
        let bytes = open
            .zip(range)
            .and_then(|(open, (offset, length))| open.write.get(offset..)?.get(..length));
        let sent = bytes.map(|bytes| self.wire.send_data(exchange, offset, bytes));
        if !matches!(sent, Some(Ok(()))) {
            log::warn!("the target wants data that there is not: {offset}+{length}");
        }
    }

    fn els(&mut self, id: Fcid, payload: &[u8], request: Request) {
        let sent = self.wire.send_els(Vp::PHYSICAL, id, payload, self.now);
        self.asked(sent, request);
    }

    fn ct(&mut self, message: &ct::Request, request: Request) {
        let payload = message.encode();
        let server = Fcid::DIRECTORY;
        let sent = self.wire.send_ct(Vp::PHYSICAL, server, &payload, self.now);
        self.asked(sent, request);
    }

    /// Notes a request that was sent, or that the login has failed.
    fn asked(&mut self, sent: Result<ExchangeId, WireError>, request: Request) {
        match sent {
            Ok(exchange) => drop(self.requests.insert(exchange, request)),
            Err(error) => {
                log::warn!("{request:?}: {error}");
                self.session = Session::Refused;
            }
        }
    }
}
