//! Disks: how one is found and known again, who has it, and whose it is by reservation.

pub mod content;
pub mod disk;
mod find;
pub mod holders;
pub mod identity;
pub mod ownership;
pub mod wwid;
