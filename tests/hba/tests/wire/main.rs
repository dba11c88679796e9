//! Wires on a fabric: the product of both state machines, with a clock that jumps and
//! without sockets.

mod aborts;
mod capture;
mod commands;
mod login;
mod noise;
mod remote;
mod rig;
mod services;
