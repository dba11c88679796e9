//! The HBA as a target: ELS of other ports, commands, aborts.
//!
//! | file | what it does |
//! | --- | --- |
//! | `notify` | logins: from an ELS to a notice, and from the driver's word to the answer |
//! | `command` | commands: from a frame to the ATIO ring, and what the driver does next |
//! | `abort` | aborts |
//! | `end` | what happens to commands when their initiator, port or link goes |

mod abort;
mod command;
mod end;
mod notify;

pub(super) use command::Command;
