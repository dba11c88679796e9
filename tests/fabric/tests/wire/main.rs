//! The real program, to which scripted nodes speak through its sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code, helpers included"
)]

mod capture;
mod control;
mod links;
mod login;
mod names;
mod node;
mod program;
mod relay;
mod zones;
