//! An action: its steps, its time and where that went, and the form of what it says when it
//! fails.

pub mod budget;
pub mod failure;
pub mod phases;
pub mod step;
