//! Bad input for everything that understudy reads: one target for each kind. A target is
//! a function of any bytes. It ends soon, and panics only where what it reads breaks a
//! promise.
//!
//! A fuzzer calls the targets (`fuzz`, beside this). An ordinary test does so too, with
//! the same corpus and the mutants of a fixed seed (`tests/bounded`).

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
