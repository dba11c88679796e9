//! The lab: three guests of stock Debian under QEMU, a software Fibre Channel fabric, a
//! disk shelf, a BMC for each guest and a Pacemaker cluster. No hardware, nothing mocked
//! in the kernel: real libfc, real LIO, real fencing.
//!
//! [`lab::Lab`] is the whole; [`guest::Guest`] is where scenarios do things.

pub mod accel;
pub mod bench;
pub mod bmc;
pub mod capture;
pub mod channel;
pub mod chart;
pub mod child;
pub mod cluster;
pub mod console;
pub mod emulator;
pub mod error;
pub mod fabric;
pub mod groups;
pub mod guest;
pub mod hba;
pub mod hub;
pub mod image;
pub mod install;
pub mod interrupt;
pub mod lab;
pub mod load;
pub mod multipath;
pub mod nvme;
pub mod paths;
pub mod pause;
pub mod plan;
pub mod program;
pub mod progress;
pub mod qemu;
pub mod qmp;
pub mod record;
pub mod report;
pub mod scenario;
pub mod second_path;
pub mod share;
pub mod shelf;
pub mod soak;
pub mod speed;
pub mod supervise;
pub mod timeline;
pub mod wire;

pub use error::{Error, Result};
