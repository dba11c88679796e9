//! A bar against new commands, on a port of software FCoE: frames that carry a command
//! to an address are dropped before libfc sees them, everything else passes.
//!
//! libfc and tcm_fc have no way to stop listening: a command that arrives while its port
//! logs out is never ended, and the logout waits for it for ever (`ft_queue_status` in
//! drivers/target/tcm_fc/tfc_cmd.c returns early for an aborted exchange and keeps the
//! reference). To the initiator a dropped command is one that the logout, which follows
//! at once, has overtaken: it sends it again when the port is back.

use std::process::{Command, Stdio};

use nix::libc;

use super::op::{Done, Op};
use super::{Cause, KernelError};

/// The EtherType of FCoE (FC-BB-5 7.7).
const FCOE: &str = "0x8906";

/// Sets the bar.
pub fn set(link: &str, fcid: u32, op: &Op) -> Result<Done, KernelError> {
    // There already, it is refused; what counts is whether the filter goes in.
    let _ = tc(&["qdisc", "add", "dev", link, "clsact"], op);
    let (first, second) = matches(fcid);
    let preference = preference(fcid);
    let mut words =
        vec!["filter", "replace", "dev", link, "ingress", "pref", &preference];
    words.extend(["handle", "800::1", "protocol", FCOE, "u32"]);
    words.extend(["match", "u32", &first, "0x0000ffff", "at", "12"]);
    words.extend(["match", "u32", &second, "0xffff0000", "at", "16"]);
    words.extend(["action", "drop"]);
    tc(&words, op)
}

/// Takes it away; one that is not there is well taken away.
pub fn lift(link: &str, fcid: u32, op: &Op) -> Result<Done, KernelError> {
    let preference = preference(fcid);
    let words = ["filter", "del", "dev", link, "ingress", "pref", &preference];
    Ok(tc(&words, op).unwrap_or(Done::Unchanged))
}

/// Bytes 12 to 19 after the Ethernet header: a reserved one, SOF, then the FC header's
/// R_CTL (6: unsolicited command) and D_ID.
fn matches(fcid: u32) -> (String, String) {
    const UNSOLICITED_COMMAND: u32 = 0x06;
    let first = UNSOLICITED_COMMAND << 8 | fcid >> 16 & 0xff;
    (format!("{first:#010x}"), format!("{:#010x}", fcid << 16))
}

/// One for each address, so that two groups' bars do not touch each other.
fn preference(fcid: u32) -> String {
    (fcid & 0xffff).max(1).to_string()
}

fn tc(words: &[&str], op: &Op) -> Result<Done, KernelError> {
    let output =
        Command::new("tc").args(words).stdin(Stdio::null()).output().map_err(|e| {
            op.failed(Cause::Errno(e.raw_os_error().unwrap_or(libc::EIO)))
        })?;
    if output.status.success() {
        return Ok(Done::Changed);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("no reason given");
    Err(op.failed(Cause::Device(format!("tc: {said}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_the_address_matches_and_nothing_else() {
        let (first, second) = matches(0x0a_bb_cc);
        // ver, SOF, R_CTL, D_ID high; D_ID middle and low.
        assert_eq!(first, "0x0000060a");
        assert_eq!(second, "0xbbcc0000");
    }
}
