//! Why a wire refuses a call.

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
    /// An ABTS for the exchange waits, so nothing more is sent on it.
    #[error("the other end aborts the exchange")]
    Aborted,
    /// The exchange is of another kind, or is not at a point where this may be done.
    #[error("the exchange is of another kind, or not at this point")]
    WrongState,
    /// The bytes do not fit into what was asked for.
    #[error("the bytes do not fit into what was asked for")]
    TooLong,
    /// Bytes of the command are missing.
    #[error("bytes of the command are missing")]
    TooShort,
}
