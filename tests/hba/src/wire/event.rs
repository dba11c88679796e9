//! What a wire tells its firmware.

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::Reject;
use understudy_fabric::frame::FcHeader;
use understudy_fabric::wwn::Wwn;

use super::{ExchangeId, Vp};

/// What happened on the wire.
///
/// Every exchange that firmware knows ends in exactly one way. Either firmware ends it (an
/// answer, a response, [`drop`](super::Wire::drop)), or one of these events does:
/// [`ElsAnswer`](Self::ElsAnswer), [`CtAnswer`](Self::CtAnswer),
/// [`Response`](Self::Response), [`AbortDone`](Self::AbortDone), [`Ended`](Self::Ended).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A forwarder was found: the fabric is there, and logins may be sent.
    FabricFound {
        /// The fabric's name.
        fabric: Wwn,
    },
    /// The link went down, or the forwarder fell silent. All logins have ended, and an
    /// [`Ended`](Self::Ended) for each open exchange comes before this.
    LinkLost,
    /// A port is logged in.
    LoggedIn(LoggedIn),
    /// A login failed. The wire does not try again by itself.
    Refused {
        /// The port.
        vp: Vp,
        /// Why the login failed.
        refusal: Refusal,
    },
    /// The login of a port has ended, alone. An [`Ended`](Self::Ended) for each of its
    /// exchanges comes before this. A port that is still wanted is logged in again: by the
    /// next [`tick`](super::Wire::tick), or after a second if the fabric ended its login.
    LoggedOut {
        /// The port.
        vp: Vp,
        /// Who ended the login.
        by: LogoutBy,
    },
    /// Something has changed at these addresses. The RSCN is answered.
    Rscn {
        /// The port that was told.
        vp: Vp,
        /// The addresses.
        pages: Vec<RscnPage>,
    },
    /// Another port sent an ELS. It waits for [`answer_els`](super::Wire::answer_els) or
    /// [`reject_els`](super::Wire::reject_els).
    ElsReceived {
        /// The port that it was sent to.
        vp: Vp,
        /// The exchange to answer.
        exchange: ExchangeId,
        /// The header of its first frame.
        header: FcHeader,
        /// The ELS.
        payload: Vec<u8>,
    },
    /// The answer to an ELS of ours, LS_ACC or LS_RJT. Its exchange has ended.
    ElsAnswer {
        /// The exchange.
        exchange: ExchangeId,
        /// The answer.
        payload: Vec<u8>,
    },
    /// The answer to a CT request of ours, with its CT header. Its exchange has ended.
    CtAnswer {
        /// The exchange.
        exchange: ExchangeId,
        /// The answer.
        payload: Vec<u8>,
    },
    /// An initiator sent an FCP_CMND. It waits for
    /// [`send_response`](super::Wire::send_response) or [`drop`](super::Wire::drop).
    Command {
        /// The port that it was sent to.
        vp: Vp,
        /// The new exchange.
        exchange: ExchangeId,
        /// The frame's header.
        header: FcHeader,
        /// The FCP_CMND: 32 bytes, and more with an additional CDB.
        cmnd: Vec<u8>,
    },
    /// A frame of data, in order and without a gap since the last one. On an exchange of
    /// an initiator it answers [`ask_data`](super::Wire::ask_data), on one of ours it is
    /// what was read.
    Data {
        /// The exchange.
        exchange: ExchangeId,
        /// The offset in the whole transfer.
        offset: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// What was asked for by [`ask_data`](super::Wire::ask_data) is here, or will not
    /// come. The exchange stays open.
    DataDone {
        /// The exchange.
        exchange: ExchangeId,
        /// Why what came is not whole. What [`Data`](Self::Data) told is then void.
        result: Result<(), DataFault>,
    },
    /// An ABTS for a command, from either end of it. It waits for
    /// [`answer_abort`](super::Wire::answer_abort). Until then nothing more is sent on the
    /// exchange.
    Abort {
        /// The port that the ABTS was sent to.
        vp: Vp,
        /// Names the ABTS itself.
        abort: ExchangeId,
        /// The exchange, or `None` where this HBA does not have it.
        exchange: Option<ExchangeId>,
        /// The frame's header.
        header: FcHeader,
    },
    /// A target is ready for data of a command of ours. Send all of it, by one or more
    /// calls of [`send_data`](super::Wire::send_data).
    DataWanted {
        /// The exchange.
        exchange: ExchangeId,
        /// The offset in the whole transfer.
        offset: u32,
        /// The number of bytes.
        length: u32,
    },
    /// The FCP_RSP to a command of ours. Its exchange has ended.
    Response {
        /// The exchange.
        exchange: ExchangeId,
        /// The FCP_RSP.
        payload: Vec<u8>,
        /// How many bytes were read, or why they are not whole.
        received: Result<u32, DataFault>,
    },
    /// An [`abort`](super::Wire::abort) of ours has come to an end, and with it the
    /// exchange.
    AbortDone {
        /// The exchange.
        exchange: ExchangeId,
        /// What the other end answered.
        answer: AbortAnswer,
    },
    /// An exchange has ended and firmware did not end it.
    Ended {
        /// The exchange.
        exchange: ExchangeId,
        /// Why.
        cause: Cause,
    },
}

/// A login that the fabric accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedIn {
    /// The port.
    pub vp: Vp,
    /// The address that was granted.
    pub id: Fcid,
    /// The name of the F_Port.
    pub f_port: Wwn,
    /// The name of the fabric.
    pub fabric: Wwn,
    /// Whether virtual ports may follow. False for a virtual port.
    pub npiv: bool,
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The fabric sent an LS_RJT.
    Rejected(Reject),
    /// The fabric did not answer, however often it was asked.
    NoAnswer,
    /// The fabric's answer made no sense.
    BadAnswer,
    /// The fabric grants no virtual ports.
    NoNpiv,
}

/// Who ended a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutBy {
    /// Firmware, by [`logout`](super::Wire::logout). The fabric has answered, or had its
    /// time to.
    Us,
    /// The fabric, by a Clear Virtual Link or a LOGO.
    Fabric,
}

/// A page of an RSCN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RscnPage {
    /// The address format: 0 a port, 1 an area, 2 a domain, 3 the whole fabric.
    pub format: u8,
    /// The address.
    pub id: Fcid,
}

/// Why an exchange has ended that firmware did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No answer came in time.
    Timeout,
    /// The port, or with it all, lost its login.
    LoggedOut,
    /// An abort by the other end. Only an ELS ends so; for a command there is
    /// [`Event::Abort`] first.
    Aborted,
    /// Frames of the answer were lost or made no sense.
    Damaged,
}

/// Why data is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataFault {
    /// A frame is missing, or came twice, or came out of order.
    #[error("a frame is missing, doubled or out of order")]
    Gap,
    /// The sequence ended before all was there.
    #[error("the sequence ended early")]
    Short,
    /// More came than was asked for.
    #[error("more came than was asked for")]
    Long,
    /// Not all came in time.
    #[error("not all came in time")]
    Timeout,
}

/// What the other end answered to an ABTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortAnswer {
    /// BA_ACC: the exchange is aborted.
    Accepted,
    /// BA_RJT.
    Rejected {
        /// The reason code.
        reason: u8,
        /// The explanation code.
        explanation: u8,
    },
    /// Nothing.
    None,
}
