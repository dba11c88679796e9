//! understudy's core: moves a Fibre Channel port identity and its disks between two
//! storage nodes. No OCF and no process exit in here; ARCHITECTURE.md has the map.

pub mod aptpl;
pub mod budget;
pub mod claims;
pub mod content;
mod digest;
pub mod disk;
pub mod fabric;
pub mod failure;
pub mod group;
pub mod holders;
pub mod identity;
pub mod kept;
pub mod kernel;
pub mod lio;
pub mod moves;
pub mod neighbours;
pub mod node;
pub mod numbers;
pub mod ownership;
pub mod params;
pub mod phases;
#[cfg(feature = "python")]
mod python;
pub mod registry;
pub mod scope;
pub mod step;
pub mod tries;
pub mod verbs;
pub mod watch;
pub mod wwid;
pub mod wwn;
