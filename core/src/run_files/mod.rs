//! Files below /run: what one action leaves for the next. They are hints, and a boot ends
//! them.

pub mod moves;
pub mod node;
pub mod registry;
pub mod tries;
pub mod watch;
