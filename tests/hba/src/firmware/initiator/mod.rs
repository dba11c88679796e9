//! The HBA as an initiator: commands of the driver's own.
//!
//! - `command`: from the entry to the wire, and the data both ways.
//! - `abort`: aborts by either end, and task management.
//! - `end`: how a command ends.

mod abort;
mod command;
mod end;

pub(super) use command::Issued;
