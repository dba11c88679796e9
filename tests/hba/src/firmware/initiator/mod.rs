//! The HBA as an initiator: commands of the driver's own.
//!
//! | file | what it does |
//! | --- | --- |
//! | `command` | commands, and their data both ways |
//! | `end` | how a command ends |

mod command;
mod end;

pub(super) use command::Issued;
