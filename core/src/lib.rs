//! understudy's core: moves a Fibre Channel port identity and its disks between two
//! storage nodes. No OCF and no process exit in here; ARCHITECTURE.md has the map.

pub mod action;
pub mod config;
mod digest;
pub mod disks;
pub mod fc;
pub mod kernel;
pub mod lio;
#[cfg(feature = "python")]
mod python;
pub mod run_files;
pub mod saved_reservations;
pub mod situation;
pub mod text;
pub mod verbs;
pub mod wwn;
