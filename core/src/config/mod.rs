//! The configuration: the parameters that a resource has, and a group as they describe it.

mod device_name;
pub mod group;
pub mod params;
mod parse;
mod slot;
