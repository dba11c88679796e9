//! The exchanges of an HBA: who they are with, and what they wait for.
//!
//! Each end of an exchange has a number for it (FC-FS: OX_ID and RX_ID). Ours is the
//! exchange's place in the table.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::frame::{FcHeader, XID_UNKNOWN};

use super::fcp::Transfer;
use super::sequence::{Message, RESPONDER, Stretch};
use super::{DataFault, ExchangeId, Vp};

/// The most exchanges that a table may have. Numbers above are for what is no exchange.
pub(super) const MOST: u16 = 0xff00;

/// An exchange that is open.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Our port.
    pub(super) vp: Vp,
    /// Our port's address.
    pub(super) local: Fcid,
    /// The port at the other end.
    pub(super) remote: Fcid,
    /// Whether we began it.
    pub(super) ours: bool,
    /// The originator's number.
    pub(super) ox_id: u16,
    /// The responder's number.
    pub(super) rx_id: u16,
    /// The SEQ_ID of the next sequence that we send.
    pub(super) seq_id: u8,
    /// When patience ends.
    pub(super) deadline: Option<Duration>,
    /// Whether the other end wants it aborted.
    pub(super) aborted: bool,
    /// What it is.
    pub(super) kind: Kind,
}

/// What an exchange is, and how far it has come.
#[derive(Debug)]
pub(super) enum Kind {
    /// A request of ours, and its answer as far as it is here.
    Request(Purpose, Message),
    /// An ELS of somebody else, as far as it is here.
    Arriving(Message),
    /// An ELS of somebody else that firmware has to answer.
    Els,
    /// A command of somebody else.
    Target {
        /// The data that was asked for.
        ask: Option<Stretch>,
        /// How many bytes have been sent and received.
        moved: u32,
    },
    /// A command of ours.
    Initiator {
        /// Where data goes, and how much.
        transfer: Transfer,
        /// What is read, as far as it is here.
        read: Stretch,
        /// What was wrong with it.
        fault: Option<DataFault>,
        /// The offset and length of the data that the target waits for.
        wanted: Option<(u32, u32)>,
    },
    /// An exchange for which our ABTS is on its way. If true, firmware wants to know.
    Aborting(bool),
    /// An exchange of ours whose number must rest after an ABTS, until RRQ.
    Resting,
}

impl Kind {
    /// Whether firmware has this exchange, and must hear when it ends.
    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::Request(purpose, _) => *purpose != Purpose::Own,
            Self::Aborting(known) => *known,
            Self::Els | Self::Target { .. } | Self::Initiator { .. } => true,
            Self::Arriving(_) | Self::Resting => false,
        }
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An ELS of firmware.
    Els,
    /// A CT request of firmware.
    Ct,
    /// An ELS of the wire itself, whose answer nobody waits for.
    Own,
}

/// All exchanges that are open.
#[derive(Debug)]
pub(super) struct Exchanges {
    open: BTreeMap<u16, Exchange>,
    /// How often each number was used. That is the high half of an [`ExchangeId`].
    uses: Vec<u16>,
    /// The numbers that are free. The one that has been free for longest is used next.
    free: VecDeque<u16>,
    /// The exchanges of other ports, by what their originators call them.
    theirs: BTreeMap<(Vp, Fcid, u16), u16>,
}

impl Exchanges {
    /// Returns a table with room for `limit` exchanges.
    pub(super) fn new(limit: u16) -> Self {
        let limit = limit.min(MOST);
        Self {
            open: BTreeMap::new(),
            uses: vec![0; usize::from(limit)],
            free: (0..limit).collect(),
            theirs: BTreeMap::new(),
        }
    }

    /// Opens an exchange that we begin. Returns `None` if all are in use.
    pub(super) fn begin(
        &mut self,
        vp: Vp,
        local: Fcid,
        remote: Fcid,
        kind: Kind,
    ) -> Option<ExchangeId> {
        let number = self.free.pop_front()?;
        let exchange = Exchange {
            vp,
            local,
            remote,
            ours: true,
            ox_id: number,
            rx_id: XID_UNKNOWN,
            seq_id: 0,
            deadline: None,
            aborted: false,
            kind,
        };
        self.open.insert(number, exchange);
        Some(self.id(number))
    }

    /// Whether a frame may begin an exchange. FC-FS: the originator sends the first frame,
    /// when no responder has given a number yet, and uses an OX_ID again only after the
    /// exchange's end.
    pub(super) fn may_begin(&self, vp: Vp, header: &FcHeader) -> bool {
        header.f_ctl & RESPONDER == 0
            && header.rx_id == XID_UNKNOWN
            && !self.theirs.contains_key(&(vp, header.s_id, header.ox_id))
    }

    /// Opens the exchange that a frame begins. Returns `None` if all are in use.
    pub(super) fn accept(
        &mut self,
        vp: Vp,
        header: &FcHeader,
        kind: Kind,
    ) -> Option<ExchangeId> {
        let number = self.free.pop_front()?;
        let exchange = Exchange {
            vp,
            local: header.d_id,
            remote: header.s_id,
            ours: false,
            ox_id: header.ox_id,
            rx_id: number,
            seq_id: 0,
            deadline: None,
            aborted: false,
            kind,
        };
        self.open.insert(number, exchange);
        self.theirs.insert((vp, header.s_id, header.ox_id), number);
        Some(self.id(number))
    }

    /// Returns the exchange that a frame belongs to. FC-FS: F_CTL tells which end sent it,
    /// and so whose number is ours. A frame must come from the exchange's other port.
    pub(super) fn of_frame(&self, vp: Vp, header: &FcHeader) -> Option<ExchangeId> {
        let number = if header.f_ctl & RESPONDER != 0 {
            header.ox_id
        } else {
            *self.theirs.get(&(vp, header.s_id, header.ox_id))?
        };
        let exchange = self.open.get(&number)?;
        let from_responder = header.f_ctl & RESPONDER != 0;
        let fits = exchange.vp == vp
            && exchange.remote == header.s_id
            && exchange.ours == from_responder
            && (header.rx_id == XID_UNKNOWN
                || exchange.rx_id == XID_UNKNOWN
                || exchange.rx_id == header.rx_id);
        fits.then(|| self.id(number))
    }

    /// Returns the exchange that a frame belongs to, and notes the responder's number if it
    /// is new. FC-FS: the responder's first frame tells it, and all later frames of the
    /// originator have it.
    pub(super) fn met(&mut self, vp: Vp, header: &FcHeader) -> Option<ExchangeId> {
        let id = self.of_frame(vp, header)?;
        let exchange = self.get_mut(id)?;
        if exchange.rx_id == XID_UNKNOWN {
            exchange.rx_id = header.rx_id;
        }
        Some(id)
    }

    /// Returns an exchange that is open.
    pub(super) fn get(&self, id: ExchangeId) -> Option<&Exchange> {
        self.open.get(&self.number(id)?)
    }

    /// Returns an exchange that is open, to change it.
    pub(super) fn get_mut(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        let number = self.number(id)?;
        self.open.get_mut(&number)
    }

    /// Closes an exchange, and returns it.
    pub(super) fn close(&mut self, id: ExchangeId) -> Option<Exchange> {
        let number = self.number(id)?;
        let exchange = self.open.remove(&number)?;
        if !exchange.ours {
            self.theirs.remove(&(exchange.vp, exchange.remote, exchange.ox_id));
        }
        if let Some(uses) = self.uses.get_mut(usize::from(number)) {
            *uses = uses.wrapping_add(1);
        }
        self.free.push_back(number);
        Some(exchange)
    }

    /// Returns the open exchanges that `what` picks, in the order of their numbers.
    pub(super) fn find(&self, what: impl Fn(&Exchange) -> bool) -> Vec<ExchangeId> {
        let found = self.open.iter().filter(|(_, exchange)| what(exchange));
        found.map(|(number, _)| self.id(*number)).collect()
    }

    /// Returns when the first patience ends.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.open.values().filter_map(|exchange| exchange.deadline).min()
    }

    /// Returns how many exchanges are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn id(&self, number: u16) -> ExchangeId {
        let uses = self.uses.get(usize::from(number)).copied().unwrap_or_default();
        ExchangeId(u32::from(uses) << 16 | u32::from(number))
    }

    /// Returns the number of an exchange, or `None` if the name is an earlier one's.
    fn number(&self, id: ExchangeId) -> Option<u16> {
        let number = u16::try_from(id.0 & 0xffff).ok()?;
        (usize::from(number) < self.uses.len() && self.id(number) == id).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(table: &mut Exchanges) -> Option<ExchangeId> {
        table.begin(Vp(0), Fcid(1), Fcid(2), Kind::Resting)
    }

    #[test]
    fn a_closed_exchange_is_not_found_under_its_old_name() {
        let mut table = Exchanges::new(2);
        let first = begin(&mut table).unwrap();
        table.close(first).unwrap();
        let others: Vec<_> = std::iter::from_fn(|| begin(&mut table)).collect();
        assert_eq!(others.len(), 2);
        assert!(!others.contains(&first) && table.get(first).is_none());
        assert!(table.close(first).is_none());
    }

    #[test]
    fn the_number_that_rested_longest_is_used_next() {
        let mut table = Exchanges::new(3);
        let numbers: Vec<u16> = (0..6)
            .map(|_| {
                let id = begin(&mut table).unwrap();
                table.close(id).unwrap().ox_id
            })
            .collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn there_are_no_more_exchanges_than_the_limit() {
        let mut table = Exchanges::new(u16::MAX);
        let ids: Vec<_> = std::iter::from_fn(|| begin(&mut table)).collect();
        assert_eq!((ids.len(), table.len()), (usize::from(MOST), usize::from(MOST)));
        assert!(!ids.contains(&ExchangeId(u32::MAX)));
    }
}
