//! Actions: their steps, the time that they have and where it went, and how they report a
//! failure.

pub mod budget;
pub mod failure;
pub mod phases;
pub mod step;
