//! Bad input for everything that understudy reads: a target each, a function of any
//! bytes at all. It ends soon, and panics only where what was read breaks a promise.
//!
//! A fuzzer calls them (`fuzz`, beside this), and an ordinary test does with the same
//! corpus and a fixed seed (`tests/bounded`).

mod frames;
mod names;
mod node;
mod nvme;
mod scsi;
mod tree;

pub use frames::frames;
pub use names::names;
pub use node::{database, environment, saved, sysfs};
pub use nvme::nvme;
pub use scsi::scsi;
