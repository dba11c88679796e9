//! Files below /run, which one action leaves for later ones. They are hints only, and do
//! not survive a boot.

pub mod moves;
pub mod node;
pub mod registry;
pub mod tries;
pub mod watch;
