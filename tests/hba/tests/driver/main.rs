//! The HBA without a guest: the tests play the driver, as the stock one was seen to do it.
//! Fabric and initiator are real; the clock jumps and there are no sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code, helpers included"
)]

mod aborts;
mod crossing;
mod driver;
mod ends;
mod forged;
mod handles;
mod initiator;
mod logins;
mod nonsense;
mod pair;
mod probe;
mod reset;
mod rig;
mod strange;
mod target;
mod trouble;
mod vport;
