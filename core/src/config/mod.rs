//! The configuration: which parameters a resource has, and the group that they describe.

mod choices;
mod device_name;
pub mod group;
pub mod kind;
pub mod params;
pub mod reader;
mod slot;
mod spec;
