//! Disks: how they are found and recognized, what uses them on this node, and which node
//! has reserved them.

pub mod content;
pub mod disk;
mod find;
pub(crate) mod holders;
pub mod identity;
pub mod ownership;
pub(crate) mod wwid;
