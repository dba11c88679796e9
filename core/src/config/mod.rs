//! The configuration: the parameters that a resource has, and a group as they describe it.

mod choices;
mod device_name;
pub mod group;
pub mod kind;
pub mod params;
pub mod reader;
mod slot;
mod spec;
