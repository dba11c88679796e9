//! understudy's core: moves a Fibre Channel port identity and its disks between two
//! storage nodes. No OCF and no process exit in here; ARCHITECTURE.md has the map.

pub mod group;
pub mod kernel;
pub mod params;
pub mod wwn;
