//! Entries of a target: commands, notices, what the driver does about them, aborts.

use understudy_fabric::addr::Fcid;
use understudy_fabric::frame::FcHeader;
use understudy_fabric::wwn::Wwn;

use crate::fields::{Entry, Fields, id_bytes, swap_words};
use crate::wire::fcp::{Residual, Response};

use super::{Segment, kind, scsi_status};

/// Length of a frame's header, in bytes.
const HEADER_LEN: usize = 24;

/// Returns the ATIO entry of a command: exchange, header and FCP_CMND as on the wire. A
/// command with a CDB that is longer than fits is cut; its length still says how long it
/// was.
pub fn atio(exchange: u32, header: &FcHeader, cmnd: &[u8]) -> Entry {
    let mut entry = Entry::new(kind::ATIO);
    let len = u16::try_from(HEADER_LEN + cmnd.len()).unwrap_or(0xfff).min(0xfff);
    let attribute = u16::from(cmnd.get(9).copied().unwrap_or(0) & 7);
    entry.set_u16(2, attribute << 12 | len);
    entry.set_u32(4, exchange);
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    header.write(&mut bytes);
    entry.set(8, &bytes);
    entry.set(32, cmnd);
    entry
}

/// An IMMED_NOTIFY entry: another port sent an ELS that concerns logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// The port of the HBA.
    pub vp: u8,
    /// The handle of the other port.
    pub handle: u16,
    /// The exchange of the ELS.
    pub exchange: u32,
    /// The ELS command.
    pub els: u8,
    /// The address of the other port.
    pub id: Fcid,
    /// The name of the other port.
    pub wwpn: Wwn,
    /// The name of its node.
    pub wwnn: Wwn,
    /// Service parameter word 3, where the ELS is a PRLI.
    pub word3: u16,
    /// The originator's exchange ID.
    pub ox_id: u16,
}

impl Notify {
    /// The status that stands for "an ELS was received".
    const ELS_RECEIVED: u16 = 0x46;
    const PRLI: u8 = 0x20;

    /// Returns the entry.
    pub fn encode(&self) -> Entry {
        let mut entry = Entry::new(kind::IMMEDIATE_NOTIFY);
        entry.set_u16(8, self.handle);
        entry.set_u16(16, Self::ELS_RECEIVED);
        entry.set(18, &[self.els]);
        entry.set_u32(20, self.exchange);
        if self.els == Self::PRLI {
            entry.set_u16(32, self.word3);
        } else {
            entry.set(32, &self.wwnn.0.to_be_bytes());
        }
        entry.set(40, &self.wwpn.0.to_be_bytes());
        entry.set(51, &[self.vp]);
        entry.set(56, &id_bytes(self.id));
        entry.set_u16(62, self.ox_id);
        entry
    }
}

/// A NOTIFY_ACK entry: the driver has done what a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotifyAck {
    /// The exchange of the ELS.
    pub exchange: u32,
    /// Whether nothing is to be sent.
    pub terminate: bool,
}

impl NotifyAck {
    const TERMINATE: u16 = 1 << 3;
    const SUCCESS: u16 = 1;

    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        Self { exchange: entry.u32(20), terminate: entry.u16(12) & Self::TERMINATE != 0 }
    }

    /// Turns the entry into its answer.
    pub fn finish(entry: &mut Entry) {
        entry.set_u16(16, Self::SUCCESS);
    }
}

/// What a CTIO does with its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing but a response, or nothing at all.
    None,
    /// Data goes to the initiator.
    In,
    /// Data comes from the initiator.
    Out,
}

/// A CTIO_TYPE7 entry: the driver goes on with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ctio {
    /// The exchange of the command.
    pub exchange: u32,
    /// Seconds that it may take; 0 for no limit of the driver's.
    pub timeout: u16,
    /// The data.
    pub phase: Phase,
    /// Whether the exchange is to be dropped.
    pub terminate: bool,
    /// Whether no answer is wanted if all goes well.
    pub silent: bool,
    /// The first byte of the data in the whole transfer.
    pub offset: u32,
    /// The length of the data.
    pub length: u32,
    /// How many segments there are: one in the entry, the others in those that continue
    /// it.
    pub segments: u16,
    /// The first segment.
    pub first: Segment,
    /// The FCP_RSP to send after the data, as on the wire.
    pub response: Option<Vec<u8>>,
}

impl Ctio {
    const OUT: u16 = 1;
    const IN: u16 = 1 << 1;
    const MODE_1: u16 = 1 << 6;
    const SILENT: u16 = 1 << 8;
    const TERMINATE: u16 = 1 << 14;
    const STATUS: u16 = 1 << 15;

    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        let flags = entry.u16(26);
        let set = |bit: u16| flags & bit != 0;
        // Mode 1 has sense and response bytes where mode 0 has the data.
        let data = !set(Self::MODE_1);
        let phase = match (set(Self::IN), set(Self::OUT)) {
            (true, _) if data => Phase::In,
            (false, true) if data => Phase::Out,
            _ => Phase::None,
        };
        Self {
            exchange: entry.u32(20),
            timeout: entry.u16(10),
            phase,
            terminate: set(Self::TERMINATE),
            silent: set(Self::SILENT),
            offset: if data { entry.u32(36) } else { 0 },
            length: if data { entry.u32(44) } else { 0 },
            segments: entry.u16(12),
            first: Segment::at(entry, 52),
            response: set(Self::STATUS).then(|| response(entry, !data)),
        }
    }

    /// Returns the answer to the entry.
    pub fn finish(entry: &Entry, status: CtioStatus, exchange_open: bool) -> Entry {
        let mut answer = Entry::new(kind::CTIO);
        answer.set_u32(4, entry.handle());
        answer.set_u16(8, status as u16);
        answer.set(14, &[entry.u8(14)]);
        answer.set_u32(20, entry.u32(20));
        // A terminated exchange is one that the driver need not terminate itself.
        let ended = if exchange_open { 0 } else { Self::TERMINATE };
        answer.set_u16(26, entry.u16(26) & !Self::TERMINATE | ended);
        answer.set_u32(28, entry.u32(28));
        answer.set_u16(32, entry.u16(32));
        answer
    }
}

/// How a CTIO ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum CtioStatus {
    /// Done.
    Success = 0x01,
    /// The exchange was terminated or aborted.
    Aborted = 0x02,
    /// The exchange is not known.
    UnknownExchange = 0x08,
    /// The time is up.
    Timeout = 0x0b,
    /// The initiator is logged out.
    LoggedOut = 0x29,
    /// The configuration of the initiator's port has changed.
    ConfigurationChanged = 0x2a,
}

/// Returns the FCP_RSP that a CTIO asks for. Mode 1 has the response and sense bytes in
/// the entry, in words that the chip turns round.
fn response(entry: &Entry, mode_1: bool) -> Vec<u8> {
    let flags = entry.u16(34);
    let [status, _] = flags.to_le_bytes();
    let residual = match flags & (scsi_status::OVER | scsi_status::UNDER) {
        scsi_status::OVER => Residual::Over(entry.u32(28)),
        scsi_status::UNDER => Residual::Under(entry.u32(28)),
        _ => Residual::None,
    };
    let len = |valid: u16, at: usize| {
        let there = mode_1 && flags & valid != 0;
        if there { usize::from(entry.u16(at).min(24)) } else { 0 }
    };
    let (info_len, sense_len) =
        (len(scsi_status::RESPONSE_VALID, 36), len(scsi_status::SENSE_VALID, 24));
    let mut bytes = swap_words(&entry.array::<24>(40));
    bytes.resize(48, 0);
    let mut bytes = bytes.into_iter();
    let info = bytes.by_ref().take(info_len).collect();
    let sense = bytes.take(sense_len).collect();
    Response { status, residual, info, sense }.encode()
}

/// An ABTS_RECV entry: an initiator wants an exchange aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortReceived {
    /// The port of the HBA.
    pub vp: u8,
    /// The handle of the initiator, or 0xffff.
    pub handle: u16,
    /// The exchange of the ABTS itself.
    pub abort: u32,
    /// The exchange that it is about, if firmware has that.
    pub exchange: Option<u32>,
    /// The header of the frame.
    pub header: FcHeader,
}

impl AbortReceived {
    /// What stands for an exchange that firmware does not have.
    const UNKNOWN: u32 = u32::MAX;
    const SOF_I3: u8 = 1 << 4;

    /// Returns the entry.
    pub fn encode(&self) -> Entry {
        let mut entry = Entry::new(kind::ABORT_RECEIVED);
        let header = &self.header;
        entry.set_u16(10, self.handle);
        entry.set(14, &[self.vp, Self::SOF_I3]);
        entry.set_u32(16, self.abort);
        entry.set(20, &id_bytes(header.d_id));
        entry.set(23, &[header.r_ctl]);
        entry.set(24, &id_bytes(header.s_id));
        entry.set(27, &[header.cs_ctl]);
        let [a, b, c, _] = header.f_ctl.to_le_bytes();
        entry.set(28, &[a, b, c, header.fc_type]);
        entry.set_u16(32, header.seq_cnt);
        entry.set(34, &[header.df_ctl, header.seq_id]);
        entry.set_u16(36, header.rx_id);
        entry.set_u16(38, header.ox_id);
        entry.set_u32(40, header.parameter);
        entry.set_u32(60, self.exchange.unwrap_or(Self::UNKNOWN));
        entry
    }
}

/// An ABTS_RESP entry: the driver answers an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortResponse {
    /// The exchange of the ABTS.
    pub abort: u32,
    /// The BA_RJT's reason and explanation, or `Ok` for a BA_ACC.
    pub answer: Result<(), (u8, u8)>,
}

impl AbortResponse {
    const BA_ACC: u8 = 0x84;

    /// Takes the entry apart.
    pub fn decode(entry: &Entry) -> Self {
        // The payload is in words: vendor, explanation, reason, 0.
        let answer = match entry.u8(23) {
            Self::BA_ACC => Ok(()),
            _ => Err((entry.u8(46), entry.u8(45))),
        };
        Self { abort: entry.u32(16), answer }
    }

    /// Turns the entry into its answer.
    pub fn finish(entry: &mut Entry, status: u16) {
        entry.set_u16(8, status);
        entry.clear(52, 8);
    }
}
