//! The configuration: the parameters that a resource has, and a group as they describe it.

pub mod group;
pub mod params;
