//! Wires on a fabric: the product of both state machines, with a clock that jumps and
//! without sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code, helpers included"
)]

mod aborts;
mod capture;
mod commands;
mod faults;
mod login;
mod noise;
mod remote;
mod rig;
mod services;
